#!/usr/bin/env python3
"""What goes wrong, from one body over {HTTP/1.1, HTTP/2} to {HTTP/1.1, HTTP/2}, plain and with mutual TLS: failures
beyond the proxy, timeouts, clients that leave, connections that die, reloads and drains."""

import contextlib
import json
import threading
import unittest

import envoy_config as envoy
import sidecar
from matrix import Matrix
from peers import answers, echo, get, reply

RESET = "upstream connect error or disconnect/reset before headers. reset reason: "
BEFORE = "upstream_reset_before_response_started"


def hang(peer):
    peer.read_request()
    peer.hang()


def response_of(client):
    """None for one that is no whole response."""
    with contextlib.suppress(OSError, EOFError):
        message = client.read_response()
        return message if message.complete else None
    return None


class Failures(Matrix):
    def assert_fails(self, way, status, body, flags, details, request=get()):
        client = way.client()
        answer = client.exchange(request)
        self.assertEqual((answer.status, answer.body.decode()), (status, body))
        line = way.log()[-1]
        self.assertEqual((line["status"], line["flags"], line["details"]), (status, flags, details))
        return client

    def test_no_route(self):
        for way in self.each(ports=[1], routes=[envoy.route(prefix="/only")]):
            self.assert_fails(way, 404, "", "NR", "route_not_found")
            self.assertEqual(way.counter("http.no_route"), 1)

    def test_no_healthy_host(self):
        for way in self.each(ports=[]):
            self.assert_fails(way, 503, "no healthy upstream", "UH", "no_healthy_upstream")
            self.assertEqual(way.counter("cluster.upstream_cx_none_healthy"), 1)

    def test_connection_refused(self):
        for way in self.each(ports=[sidecar.free_port()]):
            client = way.client()
            answer = client.exchange(get())
            self.assertEqual((answer.status, way.log()[-1]["flags"]), (503, "UF"))
            self.assertTrue(answer.body.decode().startswith(RESET + "remote connection failure"), answer.body)
            self.assertEqual(way.counter("cluster.upstream_cx_connect_fail"), 1)

    def test_a_failed_connect_goes_to_another_host_whatever_the_method(self):
        for way in self.each(more_ports=[sidecar.free_port(), sidecar.free_port()]):
            client = way.client()
            for method in ("GET", "POST") * 6:
                answer = client.exchange(get("/", method=method, body=b"text"))
                self.assertEqual((answer.status, answer.json()["length"]), (200, 4))

    def test_upstream_ends_before_its_response(self):
        for ending in ("close", "reset"):
            for way in self.each(lambda peer, how=ending: (peer.read_request(), getattr(peer, how)())):
                self.assert_fails(way, 503, RESET + "connection termination", "UC",
                                  BEFORE + "{connection_termination}")

    def test_upstream_gives_a_stream_up_before_its_response(self):
        for way in self.each(lambda peer: (peer.read_request(), peer.give_up(), peer.hang()), upstreams=("h2",)):
            self.assert_fails(way, 503, RESET + "remote reset", "UR", BEFORE + "{remote_reset}")

    def test_upstream_breaks_off_within_its_response(self):
        for ending in ("close", "reset"):
            for framing in (b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
                for way in self.each(answers(b"HTTP/1.1 200 OK\r\n" + framing, then=ending)):
                    client = way.client()
                    client.send(get())
                    self.assertIsNone(response_of(client))
                    line = way.log()[-1]
                    self.assertEqual((line["status"], line["flags"] in ("UPE", "UC", "UR")), (200, True), line)
                    # The connection of an HTTP/2 client is not to blame.
                    if way.client_speaks == "h2":
                        client.send(get())
                        self.assertIsNone(response_of(client))

    def test_route_timeout(self):
        for way in self.each(hang, routes=[envoy.route(timeout="0.2s")]):
            client = self.assert_fails(way, 504, "upstream request timeout", "UT", "response_timeout")
            self.assertEqual(way.counter("cluster.upstream_rq_timeout"), 1)
            # The client's connection is whole: it may go on.
            self.assertEqual(client.exchange(get()).status, 504)

    def test_stream_idle_timeout_before_and_within_the_response(self):
        for way in self.each(hang, stream_idle_timeout="0.2s"):
            self.assert_fails(way, 504, "stream timeout", "SI", "stream_idle_timeout")
        for way in self.each(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), stream_idle_timeout="0.2s"):
            client = way.client()
            client.send(get())
            self.assertIsNone(response_of(client))
            self.assertEqual(way.log()[-1]["flags"], "SI")

    def test_timeouts_while_the_client_is_silent(self):
        request = get("/", "Content-Length: 5", method="POST") + b"ab"
        for way in self.each(stream_idle_timeout="0.2s"):
            self.assert_fails(way, 408, "stream timeout", "SI", "stream_idle_timeout", request)
        for way in self.each(request_timeout="0.2s"):
            self.assert_fails(way, 408, "request timeout", "-", "request_overall_timeout", request)
            self.assertEqual(way.counter("http.downstream_rq_timeout"), 1)

    def test_max_stream_duration(self):
        for way in self.each(hang, common_http_protocol_options={"max_stream_duration": "0.2s"}):
            self.assert_fails(way, 504, "downstream duration timeout", "-", "max_duration_timeout")

    def test_a_silent_connection_ends(self):
        for way in self.each(common_http_protocol_options={"idle_timeout": "0.2s"}, drain_timeout="0.2s"):
            client = way.client()
            self.assertEqual(client.exchange(get()).status, 200)
            self.assertTrue(client.is_closed())
            self.assertEqual(way.counter("http.downstream_cx_idle_timeout"), 1)

    def test_circuit_breakers_say_that_they_are_open(self):
        for way in self.each(hang, cluster={"circuit_breakers": {"thresholds": [{"max_requests": 1}]}}):
            way.client().send(get("/busy"))
            way.wait_counter("cluster.upstream_rq_active", 1)
            answer = way.client().exchange(get())
            self.assertEqual((answer.status, answer.body.decode(), answer.get("x-envoy-overloaded")),
                             (503, RESET + "overflow", "true"))
            self.assertEqual(way.counter("cluster.upstream_rq_active_overflow"), 1)

    def test_retries_that_are_used_up_say_so(self):
        policy = {"retry_on": "reset", "num_retries": 2,
                  "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}}
        for way in self.each(lambda peer: (peer.read_request(), peer.reset()),
                             routes=[envoy.route(retry_policy=policy)]):
            answer = way.client().exchange(get())
            self.assertEqual((answer.status, way.upstream.count), (503, 3))
            self.assertEqual(sorted(way.log()[-1]["flags"].split(",")), ["UC", "URX"])
            self.assertEqual(way.counter("cluster.upstream_rq_retry"), 2)


class Clients(Matrix):
    def test_one_that_leaves_is_logged_and_its_request_given_up(self):
        asked, gone = [], []
        for how in ("close", "give_up"):
            clients = ("h1", "h2") if how == "close" else ("h2",)
            for way in self.each(lambda peer: (asked.append(peer.read_request()), gone.append(peer.is_closed())),
                                 clients=clients):
                asked.clear()
                gone.clear()
                client = way.client()
                client.send(get())
                sidecar.until("the upstream is asked", lambda: asked)  # before, there is nothing to give up
                getattr(client, how)()
                line = way.log()[-1]
                # A connection is reset where something was left unread.
                self.assertEqual(line["status"], 0)
                self.assertIn(line["flags"], ("DC", "DR") if how == "close" else ("DR",))
                sidecar.until("the upstream sees it too", lambda: gone == [True])
                self.assertEqual(way.counter("cluster.upstream_rq_tx_reset"), 1)

    def test_one_that_leaves_its_upload_leaves_no_whole_request(self):
        seen = []

        def script(peer):
            peer.read_head()
            with contextlib.suppress(OSError, EOFError, ValueError):
                seen.append(peer.read(3))
                seen.append(peer.read(3))
        for framing in (b"Content-Length: 6\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
            for way in self.each(script):
                seen.clear()
                client = way.client()
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
                sidecar.until("the upstream has the first half", lambda: seen)
                client.reset()
                way.log()
                way.wait_counter("cluster.upstream_rq_active", 0)
                self.assertNotIn(b"abcabc", b"".join(seen))

    def test_one_that_still_uploads_gets_an_early_answer(self):
        def refuses(peer):
            peer.read_head()
            peer.send(reply(b"too much", status="413 Payload Too Large"))
            peer.hang()
        for way in self.each(refuses, delayed_close_timeout="0.2s"):
            client = way.client()
            client.send(get("/", f"Content-Length: {50 << 20}", method="POST") + b"x" * 10000)
            answer = client.read_response()
            self.assertEqual((answer.status, answer.body, answer.complete), (413, b"too much", True))
            if way.client_speaks == "h1":
                self.assertEqual(answer.get("connection"), "close")
            else:
                # NO_ERROR: the answer counts, and the rest of the upload is not wanted.
                stream = client.current
                client.wait(stream, lambda s: s.error is not None)
                self.assertEqual(stream.error, 0)
                self.assertIsNone(client.goaway)


class Pools(Matrix):
    def test_an_upstream_that_closed_its_idle_connection_costs_nothing(self):
        for way in self.each(answers(reply(b"first"), then="close"), echo):
            client = way.client()
            self.assertEqual(client.exchange(get()).body, b"first")
            # Whether the proxy has read of the end by now is chance: both must do.
            self.assertEqual(client.exchange(get("/next")).json()["target"], "/next")

    # Killed, over TLS: no close_notify.
    def test_a_connection_that_dies_as_the_next_request_arrives_costs_no_error(self):
        for ending in ("close", "reset"):
            def dies(peer, how=ending):
                peer.read_request()
                peer.send(reply(b"first"))
                peer.read_request()
                getattr(peer, how)()
            for request, length in ((get("/2"), 0), (get("/2", method="PUT", body=b"x" * 1000), 1000)):
                for way in self.each(dies, echo):
                    client = way.client()
                    self.assertEqual(client.exchange(get("/1")).body, b"first")
                    answer = client.exchange(request)
                    self.assertEqual((answer.status, answer.json()["length"]), (200, length))

    def test_a_post_is_never_sent_twice(self):
        seen = []

        def dies(peer):
            peer.read_request()
            peer.send(reply(b"first"))
            seen.append(peer.read_request().first.split(" ")[1])
            peer.close()

        def counts(peer):
            while (request := peer.read_request()) is not None:
                seen.append(request.first.split(" ")[1])
                peer.send(reply(b"counted"))
        for way in self.each(dies, counts):
            seen.clear()
            client = way.client()
            client.exchange(get("/1"))
            self.assertEqual(client.exchange(get("/pay", method="POST", body=b"10")).status, 503)
            self.assertEqual(client.exchange(get("/after")).body, b"counted")
            self.assertEqual(seen, ["/pay", "/after"])

    def test_max_requests_per_connection(self):
        for way in self.each(echo, cluster={"protocol": {"max_requests_per_connection": 2}}):
            client = way.client()
            connections = [client.exchange(get()).json()["connection"] for _ in range(6)]
            self.assertEqual(connections, [1, 1, 2, 2, 3, 3])
            self.assertEqual(way.counter("cluster.upstream_cx_max_requests"), 3)

    def test_idle_connections_end(self):
        for way in self.each(echo, cluster={"protocol": {"idle_timeout": "0.2s"}}):
            client = way.client()
            client.exchange(get())
            way.wait_counter("cluster.upstream_cx_active", 0)
            self.assertEqual(way.counter("cluster.upstream_cx_idle_timeout"), 1)
            self.assertEqual(client.exchange(get()).json()["connection"], 2)


class Changes(Matrix):
    """Of the configuration, and of the process, while requests run."""

    def slow(self, peer):
        while peer.read_request() is not None:
            self.begun.release()
            self.go.wait(sidecar.DEADLINE)
            peer.send(reply(b"late"))

    def running(self, **how):
        """The ways, and a client of each whose request runs."""
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.addCleanup(self.go.set)
        ways = list(self.each(self.slow, **how))
        clients = [way.client() for way in ways]
        for client in clients:
            client.send(get())
        for _ in clients:
            self.assertTrue(self.begun.acquire(timeout=sidecar.DEADLINE))
        return ways, clients

    def test_a_reload_lets_running_requests_end_and_serves_the_next_ones_anew(self):
        ways, clients = self.running()
        config = json.loads(sidecar.read(self.sidecar.path))
        for listener in config["static_resources"]["listeners"]:
            manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
            manager["route_config"]["virtual_hosts"][0]["routes"] = [
                {"match": {"prefix": "/"}, "direct_response": {"status": 418}}]
        before = self.sidecar.log_text().count("configuration in force")
        self.sidecar.write(config)
        self.sidecar.wait_log("configuration in force", before + 1)
        self.go.set()
        for way, client in zip(ways, clients):
            with self.subTest(way.name):
                self.assertEqual(client.read_response().body, b"late")
                self.assertEqual(client.exchange(get()).status, 418)

    def test_a_drain_lets_running_requests_end_and_tells_their_clients(self):
        ways, clients = self.running(drain_timeout="0.3s")
        self.sidecar.post("/drain_listeners?graceful")
        self.sidecar.wait_stat("http2.goaway_sent", 4)  # all listeners begin together
        self.go.set()
        for way, client in zip(ways, clients):
            with self.subTest(way.name):
                answer = client.read_response()
                self.assertEqual((answer.status, answer.body), (200, b"late"))
                if way.client_speaks == "h1":
                    self.assertEqual(answer.get("connection"), "close")
                else:
                    self.assertTrue(client.is_closed())
                    self.assertEqual(client.goaway, 0)


if __name__ == "__main__":
    unittest.main()
