#!/usr/bin/env python3
"""Peers that make much work of few bytes: each is capped and counted, and others do not notice."""

import threading
import time
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, connect, echo, get, reply

PATIENCE = 2  # seconds that a request of somebody else may take meanwhile (the machine is shared)


class Amplifiers(unittest.TestCase):
    def proxy(self, *scripts, **hcm):
        self.upstream = Upstream(self, *(scripts or [echo]))
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, **hcm)], [envoy.cluster(ports=[self.upstream.port])]),
            flags=["--concurrency", "1"])
        self.bystander = connect(self, self.port)
        self.before = self.sidecar.stats()
        return connect(self, self.port)

    def assert_others_are_served(self):
        began = time.monotonic()
        self.assertEqual(self.bystander.exchange(get("/bystander")).status, 200)
        self.assertLess(time.monotonic() - began, PATIENCE * (10 if sidecar.sanitized() else 1))

    def counted(self, name):
        return self.sidecar.stats()[name] - self.before[name]

    def changed(self):
        return {k: v - self.before[k] for k, v in self.sidecar.stats().items() if v != self.before[k]}

    def in_background(self, send):
        def run():
            try:
                send()
            except OSError:
                pass  # the proxy has had enough
        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        return thread

    def test_one_byte_chunks_are_joined(self):
        client = self.proxy()
        count = 200_000
        sender = self.in_background(lambda: client.send(
            get("/", "Transfer-Encoding: chunked", method="POST") + b"1\r\nx\r\n" * count + b"0\r\n\r\n"))
        self.assert_others_are_served()
        answer = client.read_response().json()
        sender.join()
        self.assertEqual(answer["length"], count)
        # What goes upstream is not a frame per byte.
        self.assertLess(self.counted("cluster.app.upstream_cx_tx_bytes_total"), 2 * count)

    def test_chunk_extensions_are_bounded(self):
        client = self.proxy()
        self.in_background(lambda: client.send(
            get("/", "Transfer-Encoding: chunked", method="POST"),
            (b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 1000, b"0\r\n\r\n"))
        self.assertEqual(client.read_response().status, 400)
        self.assert_others_are_served()
        self.assertTrue([k for k in self.changed() if "chunk" in k], self.changed())

    def test_interim_responses_are_bounded(self):
        def endless(peer):
            peer.read_request()
            while True:
                peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        client = self.proxy(endless, echo)
        answer = client.exchange(get())
        self.assertEqual(answer.status, 502)
        self.assertLessEqual(len(answer.interim), 16)
        self.assertTrue([k for k in self.changed() if "interim" in k], self.changed())
        self.assert_others_are_served()

    def test_trailers_are_bounded_both_ways(self):
        def flood(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
            while True:
                peer.send(b"X: " + b"y" * 1000 + b"\r\n")
        client = self.proxy(flood, echo)
        try:
            self.assertFalse(client.exchange(get()).complete)
        except (ConnectionResetError, EOFError):
            pass
        client = connect(self, self.port)
        self.in_background(lambda: client.send(
            get("/", "Transfer-Encoding: chunked", method="POST"), b"0\r\n", (b"X: " + b"y" * 1000 + b"\r\n") * 1000))
        self.assertIn(client.read_response().status, (400, 431))
        self.assert_others_are_served()
        self.assertGreaterEqual(len([k for k in self.changed() if "malformed" in k or "too_large" in k or "trailer" in k
                                     or "rejected" in k]), 2, self.changed())

    def test_empty_lines_before_a_request_are_bounded(self):
        client = self.proxy()
        self.assertEqual(client.exchange(b"\r\n\r\n" + get()).status, 200)
        self.in_background(lambda: client.send(b"\r\n" * 100_000))
        self.assertEqual(client.read_response().status, 400)
        self.assertTrue(client.is_closed())

    def test_10000_pipelined_requests_in_one_packet_do_not_starve_others(self):
        count = 10_000
        client = self.proxy(routes=[{"match": {"prefix": "/many"}, "direct_response": {"status": 200}}, envoy.route()])
        sender = self.in_background(lambda: client.send(get("/many") * count))
        self.assert_others_are_served()
        for _ in range(count):
            self.assertEqual(client.read_response().status, 200)
        sender.join()
        self.assertEqual(self.counted("http.in.downstream_rq_2xx"), count + 1)

    def test_10000_pipelined_requests_to_an_upstream_cost_bounded_memory(self):
        count = 10_000

        def quick(peer):
            while peer.read_request() is not None:
                peer.send(reply(b"ok"))
        client = self.proxy(quick)
        rss = self.sidecar.rss()
        sender = self.in_background(lambda: client.send(get("/x", "X-Fill: " + "y" * 500) * count))
        self.assert_others_are_served()
        for _ in range(count):
            self.assertEqual(client.read_response().body, b"ok")
        sender.join()
        if not sidecar.sanitized():
            self.assertLess(self.sidecar.rss() - rss, 8 << 20)

    def test_slow_heads_and_slow_bodies_end_by_their_timeouts(self):
        self.proxy(request_headers_timeout="1s", stream_idle_timeout="1s", request_timeout="2s")
        heads = [connect(self, self.port) for _ in range(50)]
        bodies = [connect(self, self.port) for _ in range(50)]
        for client in heads:
            client.send(b"GET / HTTP/1.1\r\nX: ")
        for client in bodies:
            client.send(get("/", "Content-Length: 1000000", method="POST"))
        stop = threading.Event()

        def drip():
            while not stop.wait(0.1):
                for client in heads + bodies:
                    try:
                        client.socket.send(b"x")
                    except OSError:
                        pass
        self.in_background(drip)
        try:
            for client in heads + bodies:
                self.assertEqual(client.read_response().status, 408)
            self.assert_others_are_served()
        finally:
            stop.set()
        self.assertEqual(self.counted("http.in.downstream_rq_header_timeout"), 50)
        self.assertEqual(self.counted("http.in.downstream_rq_timeout"), 50)


if __name__ == "__main__":
    unittest.main()
