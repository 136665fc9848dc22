#!/usr/bin/env python3
"""What goes wrong beyond the proxy, as Envoy tells it: status, body, response flag and details.  What is the same over
all protocols: matrix_failures_test.py."""

import socket
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, get

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

    def test_no_cluster(self):
        client = self.proxy([envoy.cluster(ports=[1])], routes=[
            {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}}])
        self.assert_fails(client, 503, "", "NC", "cluster_not_found", get("/", "X-Cluster: nowhere"))
        self.assertEqual(self.sidecar.stats()["http.in.no_cluster"], 1)

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

    def test_connect_timeout(self):
        client = self.proxy([envoy.cluster(ports=[deaf_listener(self)], connect_timeout="0.2s")])
        self.assert_fails(client, 503, RESET + "connection timeout", "UF", BEFORE + "{connection_timeout}")
        self.assertEqual(self.sidecar.stats()["cluster.app.upstream_cx_connect_timeout"], 1)

    def test_upstream_breaks_off_within_its_response(self):
        upstream = Upstream(self, answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", then="reset"))
        client = self.proxy([envoy.cluster(ports=[upstream.port])])
        answer = client.exchange(get())
        self.assertEqual((answer.complete, answer.body), (False, b"abc"))
        line = self.sidecar.wait_access_log(1)[-1]
        self.assertEqual((line["status"], line["flags"], line["details"]),
                         (200, "UPE", "upstream_reset_after_response_started{protocol_error}"))

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


if __name__ == "__main__":
    unittest.main()
