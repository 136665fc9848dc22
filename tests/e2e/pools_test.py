#!/usr/bin/env python3
"""Upstream connections: reused, never when they are stale, and no request is repeated that may not be.
What is the same over all protocols: matrix_failures_test.py."""

import threading
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, echo, get, reply


class Pools(unittest.TestCase):
    def proxy(self, *scripts, cluster=None, **hcm):
        self.upstream = Upstream(self, *scripts)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, **hcm)], [envoy.cluster(ports=[self.upstream.port], **(cluster or {}))]),
            flags=["--concurrency", "1"])
        return connect(self, self.port)

    def test_a_fresh_connection_that_dies_is_not_tried_again(self):
        client = self.proxy(lambda peer: (peer.read_request(), peer.close()), echo)
        self.assertEqual(client.exchange(get()).status, 503)
        self.assertEqual(self.upstream.count, 1)

    def test_after_part_of_a_response_nothing_is_repeated(self):
        def dies(peer):
            peer.read_request()
            peer.send(reply(b"first"))
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Len")
            peer.close()
        client = self.proxy(dies, echo)
        client.exchange(get("/1"))
        self.assertIn(client.exchange(get("/2")).status, (502, 503))
        self.assertEqual(self.upstream.count, 1)

    def test_connection_close_of_an_upstream_is_obeyed(self):
        client = self.proxy(answers(reply(b"one", "Connection: close")), answers(reply(b"two")))
        self.assertEqual(client.exchange(get()).body, b"one")
        self.assertEqual(client.exchange(get()).body, b"two")
        self.assertEqual(self.upstream.count, 2)

    def test_connections_come_from_the_configured_source(self):
        source = {"upstream_bind_config": {"source_address": {"address": "127.0.0.2", "port_value": 0}}}
        seen = []

        def looks(peer):
            seen.append(peer.socket.getpeername()[0])
            echo(peer)
        self.assertEqual(self.proxy(looks, cluster=source).exchange(get()).status, 200)
        self.assertEqual(seen, ["127.0.0.2"])

    def test_a_source_that_is_nobodys_is_counted_and_named(self):
        source = {"upstream_bind_config": {"source_address": {"address": "192.0.2.1", "port_value": 0}}}
        self.assertEqual(self.proxy(cluster=source).exchange(get()).status, 503)
        stats = self.sidecar.stats()
        self.assertEqual((stats["cluster.app.bind_errors"], stats["cluster.app.upstream_cx_connect_fail"]), (1, 1))
        self.sidecar.wait_log("Cannot assign requested address")

    def test_an_early_response_reaches_a_client_that_still_uploads(self):
        def refuses(peer):
            peer.read_head()
            peer.send(reply(b"too much", "Connection: close", status="413 Payload Too Large"))
            peer.finish()
            peer.hang()
        client = self.proxy(refuses, answers(reply(b"fine")))
        client.send(get("/", f"Content-Length: {50 << 20}", method="POST"))
        stop = threading.Event()

        def upload():
            try:
                while not stop.is_set():
                    client.socket.send(b"x" * 65536)
            except OSError:
                pass
        thread = threading.Thread(target=upload)
        thread.start()
        try:
            answer = client.read_response()
            self.assertEqual((answer.status, answer.body, answer.complete), (413, b"too much", True))
            self.assertEqual(answer.get("connection"), "close")
        finally:
            stop.set()
            client.close()
            thread.join()
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"fine")


if __name__ == "__main__":
    unittest.main()
