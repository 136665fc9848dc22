#!/usr/bin/env python3
"""What only HTTP/1 can say: pipelining, versions, forms of a target, the end of a connection.  What HTTP/2 says too:
matrix_exchanges_test.py."""

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

    def test_pipelined_requests_are_answered_in_order(self):
        client = self.proxy()
        client.send(b"".join(get(f"/{n}", body=b"x" * n, method="PUT") for n in range(10)))
        for n in range(10):
            answer = client.read_response().json()
            self.assertEqual((answer["target"], answer["length"]), (f"/{n}", n))

    def test_a_response_that_ends_with_its_connection_is_chunked_for_the_client(self):
        client = self.proxy(answers(b"HTTP/1.1 200 OK\r\n\r\nuntil close", then="close"), answers(reply(b"next")))
        first = client.exchange(get())
        self.assertEqual((first.body, first.get("transfer-encoding")), (b"until close", "chunked"))
        self.assertEqual(client.exchange(get()).body, b"next")

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

    def test_a_client_that_asks_for_the_end_gets_it(self):
        client = self.proxy(echo)
        answer = client.exchange(get("/", "Connection: close"))
        self.assertEqual(answer.get("connection"), "close")
        self.assertTrue(client.is_closed())
        # The upstream connection is not the client's to close.
        self.assertEqual(connect(self, self.port).exchange(get()).json()["connection"], 1)


if __name__ == "__main__":
    unittest.main()
