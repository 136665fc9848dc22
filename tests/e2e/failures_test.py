#!/usr/bin/env python3
"""What goes wrong beyond the proxy, as Envoy tells it: status, body, response flag and details."""

import socket
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, get, reply

RESET = "upstream connect error or disconnect/reset before headers. reset reason: "
BEFORE = "upstream_reset_before_response_started"


def deaf_listener(test):
    """A port whose queue of connections is full: a connect gets no answer."""
    listener = socket.socket()
    test.addCleanup(listener.close)
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        test.addCleanup(filler.close)
    return listener.getsockname()[1]


def hang(peer):
    peer.read_request()
    peer.hang()


class Failures(unittest.TestCase):
    def proxy(self, clusters, **hcm):
        self.port = sidecar.free_port()
        # One worker: circuit breakers are shared, but each has its connections.
        self.sidecar = sidecar.start(self, envoy.bootstrap([envoy.http("in", self.port, **hcm)], clusters),
                                     flags=["--concurrency", "1"])
        return connect(self, self.port)

    def assert_fails(self, client, status, body, flags, details, request=get()):
        answer = client.exchange(request)
        self.assertEqual((answer.status, answer.body.decode()), (status, body))
        line = self.sidecar.wait_access_log(1)[-1]
        self.assertEqual((line["status"], line["flags"], line["details"]), (status, flags, details))
        return answer

    def test_no_route(self):
        client = self.proxy([envoy.cluster(ports=[1])], routes=[envoy.route(prefix="/only")])
        self.assert_fails(client, 404, "", "NR", "route_not_found")
        self.assertEqual(self.sidecar.stats()["http.in.no_route"], 1)

    def test_no_cluster(self):
        client = self.proxy([envoy.cluster(ports=[1])], routes=[
            {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}}])
        self.assert_fails(client, 503, "", "NC", "cluster_not_found", get("/", "X-Cluster: nowhere"))
        self.assertEqual(self.sidecar.stats()["http.in.no_cluster"], 1)

    def test_no_healthy_host(self):
        client = self.proxy([envoy.cluster()])
        self.assert_fails(client, 503, "no healthy upstream", "UH", "no_healthy_upstream")
        self.assertEqual(self.sidecar.stats()["cluster.app.upstream_cx_none_healthy"], 1)

    def test_an_original_destination_that_is_the_proxy_itself(self):
        # Without capture the original destination of a direct connection is the listener: it would loop.
        cluster = {"name": "app", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s"}
        client = self.proxy([cluster], listener={"use_original_dst": True})
        answer = self.assert_fails(
            client, 503, "original destination is this proxy itself: the capture rules do not exclude the sidecar's "
            "own traffic", "UH", "original_destination_is_self")
        self.assertTrue(answer.complete)
        self.sidecar.wait_log("refused to connect to one of our own listeners")
        self.assertEqual(self.sidecar.stats()["cluster.app.original_dst_is_self"], 1)

    def test_connection_refused(self):
        client = self.proxy([envoy.cluster(ports=[sidecar.free_port()])])
        answer = client.exchange(get())
        line = self.sidecar.wait_access_log(1)[-1]
        self.assertEqual((answer.status, line["flags"]), (503, "UF"))
        self.assertTrue(answer.body.decode().startswith(RESET + "remote connection failure"), answer.body)
        self.assertTrue(line["details"].startswith(BEFORE + "{remote_connection_failure"), line)
        self.assertEqual(self.sidecar.stats()["cluster.app.upstream_cx_connect_fail"], 1)

    def test_connect_timeout(self):
        client = self.proxy([envoy.cluster(ports=[deaf_listener(self)], connect_timeout="0.2s")])
        self.assert_fails(client, 503, RESET + "connection timeout", "UF", BEFORE + "{connection_timeout}")
        self.assertEqual(self.sidecar.stats()["cluster.app.upstream_cx_connect_timeout"], 1)

    def test_a_failed_connect_goes_to_another_host_whatever_the_method(self):
        upstream = Upstream(self)
        client = self.proxy([envoy.cluster(ports=[sidecar.free_port(), upstream.port, sidecar.free_port()])])
        for method in ("GET", "POST"):
            for _ in range(6):
                answer = client.exchange(get("/", method=method, body=b"text"))
                self.assertEqual((answer.status, answer.json()["length"]), (200, 4))

    def test_upstream_closes_before_its_response(self):
        for ending in ("close", "reset"):
            with self.subTest(ending):
                upstream = Upstream(self, lambda peer, how=ending: (peer.read_request(), getattr(peer, how)()))
                client = self.proxy([envoy.cluster(ports=[upstream.port])])
                self.assert_fails(client, 503, RESET + "connection termination", "UC",
                                  BEFORE + "{connection_termination}")

    def test_upstream_breaks_off_within_its_response(self):
        upstream = Upstream(self, answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", then="reset"))
        client = self.proxy([envoy.cluster(ports=[upstream.port])])
        answer = client.exchange(get())
        self.assertEqual((answer.complete, answer.body), (False, b"abc"))
        line = self.sidecar.wait_access_log(1)[-1]
        self.assertEqual((line["status"], line["flags"], line["details"]),
                         (200, "UPE", "upstream_reset_after_response_started{protocol_error}"))

    def test_route_timeout(self):
        upstream = Upstream(self, hang)
        client = self.proxy([envoy.cluster(ports=[upstream.port])], routes=[envoy.route(timeout="0.2s")])
        self.assert_fails(client, 504, "upstream request timeout", "UT", "response_timeout")
        stats = self.sidecar.stats()
        self.assertEqual(stats["cluster.app.upstream_rq_timeout"], 1)
        self.assertEqual(stats["cluster.app.upstream_cx_active"], 0, "the connection of a late answer is not used")
        # The client's connection is whole: it may go on.
        self.assertEqual(client.exchange(get()).status, 504)

    def test_circuit_breakers_say_that_they_are_open(self):
        for limit, counted in (("max_requests", "upstream_rq_active_overflow"),
                               ("max_pending_requests", "upstream_rq_pending_overflow")):
            with self.subTest(limit):
                upstream = Upstream(self, hang)
                thresholds = {limit: 1, "max_connections": 1}
                first = self.proxy([envoy.cluster(
                    ports=[upstream.port], circuit_breakers={"thresholds": [thresholds]})])
                first.send(get("/busy"))
                self.sidecar.wait_stat("cluster.app.upstream_rq_active", 1)
                if limit == "max_pending_requests":
                    connect(self, self.port).send(get("/waits"))
                    self.sidecar.wait_stat("cluster.app.upstream_rq_pending_active", 1)
                answer = self.assert_fails(connect(self, self.port), 503, RESET + "overflow", "UO",
                                           BEFORE + "{overflow}")
                self.assertEqual(answer.get("x-envoy-overloaded"), "true")
                self.assertEqual(self.sidecar.stats()[f"cluster.app.{counted}"], 1)

    def test_stream_idle_timeout_before_and_within_the_response(self):
        upstream = Upstream(self, hang, answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
        client = self.proxy([envoy.cluster(ports=[upstream.port])], stream_idle_timeout="0.2s")
        self.assert_fails(client, 504, "stream timeout", "SI", "stream_idle_timeout")
        client = connect(self, self.port)
        try:
            self.assertFalse(client.exchange(get()).complete)
        except ConnectionResetError:
            pass
        self.assertEqual(self.sidecar.wait_access_log(2)[-1]["flags"], "SI")
        self.assertEqual(self.sidecar.stats()["http.in.downstream_rq_idle_timeout"], 2)

    def test_stream_idle_timeout_while_the_client_is_silent(self):
        upstream = Upstream(self)
        client = self.proxy([envoy.cluster(ports=[upstream.port])], stream_idle_timeout="0.2s")
        self.assert_fails(client, 408, "stream timeout", "SI", "stream_idle_timeout",
                          get("/", "Content-Length: 5", method="POST") + b"ab")
        self.assertTrue(client.is_closed())

    def test_request_timeout(self):
        upstream = Upstream(self)
        client = self.proxy([envoy.cluster(ports=[upstream.port])], request_timeout="0.2s")
        self.assert_fails(client, 408, "request timeout", "-", "request_overall_timeout",
                          get("/", "Content-Length: 5", method="POST") + b"ab")
        self.assertTrue(client.is_closed())
        self.assertEqual(self.sidecar.stats()["http.in.downstream_rq_timeout"], 1)

    def test_headers_timeout(self):
        client = self.proxy([envoy.cluster(ports=[1])], request_headers_timeout="0.2s")
        answer = client.exchange(b"GET / HTTP/1.1\r\nHost:")
        self.assertEqual(answer.status, 408)
        self.assertTrue(client.is_closed())
        self.assertEqual(self.sidecar.stats()["http.in.downstream_rq_header_timeout"], 1)

    def test_a_silent_connection_ends(self):
        client = self.proxy([envoy.cluster(ports=[1])], common_http_protocol_options={"idle_timeout": "0.2s"})
        self.assertTrue(client.is_closed())
        self.assertEqual(self.sidecar.stats()["http.in.downstream_cx_idle_timeout"], 1)

    def test_max_stream_duration(self):
        upstream = Upstream(self, hang)
        client = self.proxy([envoy.cluster(ports=[upstream.port])],
                            common_http_protocol_options={"max_stream_duration": "0.2s"})
        self.assert_fails(client, 504, "downstream duration timeout", "DT", "max_duration_timeout")

    def test_a_client_that_leaves_is_logged_and_its_request_given_up(self):
        asked, gone = [], []
        upstream = Upstream(self, lambda peer: (asked.append(peer.read_request()), gone.append(peer.is_closed())))
        client = self.proxy([envoy.cluster(ports=[upstream.port])])
        client.send(get())
        sidecar.until("the upstream is asked", lambda: asked)  # before, there is nothing to give up
        client.close()
        line = self.sidecar.wait_access_log(1)[-1]
        self.assertEqual((line["status"], line["flags"], line["details"]), (0, "DC", "downstream_remote_disconnect"))
        sidecar.until("the upstream sees it too", lambda: gone == [True])

    def test_retries_that_are_used_up_say_so(self):
        upstream = Upstream(self, lambda peer: (peer.read_request(), peer.reset()))
        policy = {"retry_on": "reset", "num_retries": 2,
                  "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}}
        client = self.proxy([envoy.cluster(ports=[upstream.port])], routes=[envoy.route(retry_policy=policy)])
        answer = client.exchange(get())
        self.assertEqual((answer.status, upstream.count), (503, 3))
        self.assertEqual(sorted(self.sidecar.wait_access_log(1)[-1]["flags"].split(",")), ["UC", "URX"])
        self.assertEqual(self.sidecar.stats()["cluster.app.upstream_rq_retry"], 2)


if __name__ == "__main__":
    unittest.main()
