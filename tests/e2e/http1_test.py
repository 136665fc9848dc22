#!/usr/bin/env python3
"""HTTP/1.1 through the proxy as a client and an origin see it: framing, persistence, interim responses."""

import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, echo, get, reply


class Http1(unittest.TestCase):
    def proxy(self, *scripts, **hcm):
        self.upstream = Upstream(self, *scripts)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, **hcm)], [envoy.cluster(ports=[self.upstream.port])]),
            flags=["--concurrency", "1"])  # each worker has upstream connections of its own
        return connect(self, self.port)

    def test_every_method_arrives_as_it_was_sent(self):
        client = self.proxy()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "get"):
            with self.subTest(method=method):
                answer = client.exchange(get(method=method, body=b"" if method == "POST" else None)).json()
                self.assertEqual(answer["method"], method)

    def test_one_connection_serves_many_requests_and_so_does_the_upstream_one(self):
        client = self.proxy()
        connections = {client.exchange(get(f"/{n}")).json()["connection"] for n in range(20)}
        self.assertEqual(connections, {1})
        self.assertEqual(self.sidecar.stats()["http.in.downstream_cx_total"], 1)

    def test_pipelined_requests_are_answered_in_order(self):
        client = self.proxy()
        client.send(b"".join(get(f"/{n}", body=b"x" * n, method="PUT") for n in range(10)))
        for n in range(10):
            answer = client.read_response().json()
            self.assertEqual((answer["target"], answer["length"]), (f"/{n}", n))

    def test_a_chunked_request_with_trailers_arrives_whole(self):
        client = self.proxy()
        answer = client.exchange(
            get("/", "Transfer-Encoding: chunked", "Trailer: x-sum", method="POST"),
            b"5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 11\r\n\r\n").json()
        self.assertEqual(answer["length"], 11)
        self.assertEqual(answer["trailers"], [["x-sum", "11"]])
        self.assertEqual(client.exchange(get("/next")).json()["target"], "/next")

    def test_a_chunked_response_with_trailers_arrives_whole(self):
        client = self.proxy(answers(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: yes\r\n\r\n",
            reply(b"second")))
        first = client.exchange(get())
        self.assertEqual((first.body, first.trailers), (b"abcde", [("x-end", "yes")]))
        self.assertEqual(client.exchange(get()).body, b"second")

    def test_a_response_that_ends_with_its_connection_is_chunked_for_the_client(self):
        client = self.proxy(answers(b"HTTP/1.1 200 OK\r\n\r\nuntil close", then="close"), answers(reply(b"next")))
        first = client.exchange(get())
        self.assertEqual((first.body, first.get("transfer-encoding")), (b"until close", "chunked"))
        self.assertEqual(client.exchange(get()).body, b"next")

    def test_responses_without_a_body_leave_the_connection_usable(self):
        for method, status in (("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")):
            with self.subTest(method=method, status=status):
                length = b"" if status.startswith("204") else b"Content-Length: 1000\r\n"
                client = self.proxy(answers(f"HTTP/1.1 {status}\r\nEtag: x\r\n".encode() + length + b"\r\n",
                                            reply(b"next")))
                first = client.exchange(get(method=method), method=method)
                self.assertEqual(first.status, int(status[:3]))
                self.assertEqual(first.get("content-length"), "1000" if length else None)
                self.assertEqual(first.get("transfer-encoding"), None)
                self.assertEqual(client.exchange(get()).body, b"next")

    def test_a_205_has_no_body(self):
        client = self.proxy(answers(reply(b"", status="205 Reset Content"), reply(b"next")))
        first = client.exchange(get())
        self.assertEqual((first.status, first.body, first.get("content-length")), (205, b"", "0"))
        self.assertEqual(client.exchange(get()).body, b"next")

    def test_100_continue_is_the_proxys_own_word_by_default(self):
        def script(peer):
            head = peer.read_head()
            assert head.get("expect") is None, head.raw
            assert peer.read(4) == b"body"
            peer.send(reply(b"done"))
            peer.hang()
        client = self.proxy(script)
        client.send(get("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        self.assertEqual(client.read_head().status, 100)
        self.assertEqual(client.exchange(b"body").body, b"done")

    def test_100_continue_comes_from_the_upstream_where_configured(self):
        def script(peer):
            head = peer.read_head()
            assert head.get("expect") == "100-continue", head.raw
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert peer.read(4) == b"body"
            peer.send(reply(b"done"))
            peer.hang()
        client = self.proxy(script, proxy_100_continue=True)
        client.send(get("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        self.assertEqual(client.read_head().status, 100)
        self.assertEqual(client.exchange(b"body").body, b"done")

    def test_a_refused_expectation_reaches_the_client_before_its_body(self):
        client = self.proxy(lambda peer: (peer.read_head(), peer.send(reply(status="417 Expectation Failed"))),
                            proxy_100_continue=True)
        answer = client.exchange(get("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
        self.assertEqual((answer.status, answer.interim), (417, []))

    def test_early_hints_are_forwarded(self):
        client = self.proxy(answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + reply(b"page")))
        answer = client.exchange(get())
        self.assertEqual([(i.status, i.get("link")) for i in answer.interim], [(103, "</a>")] * 2)
        self.assertEqual(answer.body, b"page")

    def test_an_http10_client_gets_a_closed_connection_unless_it_asks(self):
        client = self.proxy()
        answer = client.exchange(b"GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual((answer.json()["target"], answer.get("connection")), ("/a", "keep-alive"))
        answer = client.exchange(b"GET /b HTTP/1.0\r\nHost: a\r\n\r\n")
        self.assertEqual(answer.json()["target"], "/b")
        self.assertTrue(client.is_closed())

    def test_an_http10_client_is_never_sent_chunks_or_interim_responses(self):
        client = self.proxy(answers(
            b"HTTP/1.1 103 Early Hints\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: 1\r\n\r\n"))
        answer = client.exchange(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual((answer.interim, answer.get("transfer-encoding"), answer.body), ([], None, b"abc"))

    def test_an_http10_upstream_is_understood(self):
        client = self.proxy(answers(b"HTTP/1.0 200 OK\r\n\r\nold", then="close"),
                            answers(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nk",
                                    reply(b"again")))
        self.assertEqual(client.exchange(get()).body, b"old")
        self.assertEqual(client.exchange(get()).body, b"k")
        self.assertEqual(client.exchange(get()).body, b"again")
        self.assertEqual(self.upstream.count, 2)

    def test_absolute_form_names_the_host(self):
        client = self.proxy()
        answer = client.exchange(b"GET http://shop.example/path?q=1 HTTP/1.1\r\nHost: shop.example\r\n\r\n").json()
        self.assertEqual(answer["target"], "/path?q=1")
        self.assertIn(["host", "shop.example"], answer["fields"])

    def test_options_asterisk_is_forwarded_as_such(self):
        client = self.proxy(routes=[envoy.route(prefix="*")])  # "/" does not match it, as in Envoy
        answer = client.exchange(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").json()
        self.assertEqual((answer["method"], answer["target"]), ("OPTIONS", "*"))

    def test_a_client_that_asks_for_the_end_gets_it(self):
        client = self.proxy(echo)
        answer = client.exchange(get("/", "Connection: close"))
        self.assertEqual(answer.get("connection"), "close")
        self.assertTrue(client.is_closed())
        # The upstream connection is not the client's to close.
        self.assertEqual(connect(self, self.port).exchange(get()).json()["connection"], 1)


if __name__ == "__main__":
    unittest.main()
