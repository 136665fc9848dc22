#!/usr/bin/env python3
"""The TCP proxy: any bytes, every way a connection can end, and bulk through splice(2)."""

import threading
import time
import unittest

import envoy_config as envoy
import sidecar
from bulk_test import BLOCK, Stall, digest_of, send_body
from peers import Upstream, connect

BULK = 1 << 30


class Tcp(unittest.TestCase):
    def proxy(self, *scripts, clusters=None, **tcp):
        self.upstream = Upstream(self, *scripts)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.tcp("in", self.port, **tcp)], clusters or [envoy.cluster(ports=[self.upstream.port])]))
        return connect(self, self.port)

    def log_line(self):
        return self.sidecar.wait_access_log(1)[0]

    def test_bytes_pass_both_ways_as_they_are(self):
        def mirror(peer):
            while peer.fill():
                peer.send(peer.take(len(peer.buffer)))
        client = self.proxy(mirror)
        for data in (b"\x00", b"GET / HTTP/1.1\r\n", bytes(range(256)) * 1000):
            client.send(data)
            self.assertEqual(client.read(len(data)), data)

    def test_an_upstream_that_speaks_first_is_heard(self):
        client = self.proxy(lambda peer: (peer.send(b"220 ready\r\n"), peer.hang()))
        self.assertEqual(client.read_until(b"\r\n"), b"220 ready\r\n")

    def test_the_client_can_end_its_side_and_still_listen(self):
        def script(peer):
            peer.send(b"got " + peer.read_all())
            self.assertEqual(peer.buffer, b"")
        client = self.proxy(script)
        client.send(b"question").finish()
        self.assertEqual(client.read_all(), b"got question")

    def test_the_upstream_can_end_its_side_and_still_listen(self):
        got = []

        def script(peer):
            peer.send(b"greeting").finish()
            got.append(peer.read_all())
        client = self.proxy(script)
        self.assertEqual(client.read_all(), b"greeting")
        client.send(b"late answer").finish()
        sidecar.until("the upstream has the answer", lambda: got == [b"late answer"])

    def test_a_reset_of_the_client_is_a_reset_upstream(self):
        ends = []

        def script(peer):
            try:
                ends.append(peer.read_all())
            except ConnectionResetError:
                ends.append("reset")
        client = self.proxy(script)
        client.send(b"x")
        self.sidecar.wait_stat("cluster.app.upstream_cx_active", 1)
        client.reset()
        sidecar.until(lambda: f"a reset, got {ends}", lambda: ends == ["reset"])

    def test_a_reset_of_the_upstream_is_a_reset_for_the_client(self):
        client = self.proxy(lambda peer: (peer.read(1), peer.reset()))
        client.send(b"x")
        with self.assertRaises(ConnectionResetError):
            client.read_all()

    def test_a_silent_connection_ends_on_both_sides(self):
        ended = threading.Event()
        client = self.proxy(lambda peer: (peer.hang(), ended.set()), idle_timeout="0.3s")
        self.assertEqual(client.read_all(), b"")
        self.assertTrue(ended.wait(sidecar.DEADLINE))
        self.assertEqual(self.sidecar.stats()["tcp.in.idle_timeout"], 1)

    def test_traffic_one_way_keeps_a_connection(self):
        def drip(peer):
            for _ in range(10):
                peer.send(b".")
                time.sleep(0.1)  # the traffic itself
        client = self.proxy(drip, idle_timeout="0.4s")
        self.assertEqual(client.read_all(), b"." * 10)

    def test_a_refused_connect_ends_the_client_and_is_logged(self):
        client = self.proxy(clusters=[envoy.cluster(ports=[sidecar.free_port()])])
        self.assertTrue(client.is_closed())
        self.assertEqual(self.log_line()["flags"], "UF")
        stats = self.sidecar.stats()
        self.assertEqual(stats["cluster.app.upstream_cx_connect_fail"], 1)

    def test_no_host_ends_the_client_and_is_logged(self):
        client = self.proxy(clusters=[envoy.cluster()])
        self.assertTrue(client.is_closed())
        self.assertEqual(self.log_line()["flags"], "UH")

    def test_a_refused_connect_goes_to_another_host(self):
        upstream = Upstream(self, lambda peer: (peer.send(b"here"), peer.hang()))
        self.proxy(clusters=[envoy.cluster(ports=[sidecar.free_port(), upstream.port])], max_connect_attempts=3)
        for _ in range(4):
            self.assertEqual(connect(self, self.port).read(4), b"here")

    def test_weighted_clusters_get_their_share(self):
        a, b = (Upstream(self, lambda peer, name=name: peer.send(name)) for name in (b"a", b"b"))
        self.proxy(clusters=[envoy.cluster("a", ports=[a.port]), envoy.cluster("b", ports=[b.port])],
                   weighted_clusters={"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]})
        got = [connect(self, self.port).read_all() for _ in range(200)]
        self.assertEqual(set(got), {b"a", b"b"})
        self.assertTrue(110 < got.count(b"a") < 185, got.count(b"a"))

    def test_the_access_log_and_the_counters_tell_the_bytes(self):
        client = self.proxy(lambda peer: (peer.read_all(), peer.send(b"12345678")))
        client.send(b"12345").finish()
        self.assertEqual(client.read_all(), b"12345678")
        line = self.log_line()
        self.assertEqual((int(line["received"]), int(line["sent"]), line["flags"], line["cluster"], line["host"]),
                         (5, 8, "-", "app", f"127.0.0.1:{self.upstream.port}"))
        stats = self.sidecar.stats()
        self.assertEqual((stats["tcp.in.downstream_cx_rx_bytes_total"], stats["tcp.in.downstream_cx_tx_bytes_total"]),
                         (5, 8))
        self.assertEqual((stats["cluster.app.upstream_cx_tx_bytes_total"],
                          stats["cluster.app.upstream_cx_rx_bytes_total"]), (5, 8))

    def test_a_gigabyte_in_bounded_time_and_memory(self):
        def script(peer):
            peer.read(1)
            send_body(peer, BULK)
        client = self.proxy(script)
        before, began = self.sidecar.rss(), time.monotonic()
        client.send(b"x")
        self.assertEqual(client.read_hash(), (BULK, digest_of(BULK)))
        self.assertLess(time.monotonic() - began, 60)
        client.finish()
        self.assertEqual(int(self.log_line()["sent"]), BULK)
        if not sidecar.sanitized():
            self.assertLess(self.sidecar.rss() - before, 16 << 20)

    def test_one_slow_side_stalls_the_other_and_not_memory(self):
        stall, size = Stall(), 256 << 20
        client = self.proxy(lambda peer: stall.send_until_stuck(peer, size))
        before = self.sidecar.rss()
        sidecar.until("the upstream is stuck", stall.stuck.is_set)
        if not sidecar.sanitized():
            self.assertLess(self.sidecar.rss() - before, 16 << 20)
        self.assertEqual(client.read_hash(), (size, digest_of(size)))

    def test_many_at_once_do_not_mix(self):
        def mirror(peer):
            while peer.fill():
                peer.send(peer.take(len(peer.buffer)))
        self.proxy(mirror)
        clients = [connect(self, self.port) for _ in range(50)]
        for n, client in enumerate(clients):
            client.send(bytes([n]) * len(BLOCK))
        for n, client in enumerate(clients):
            self.assertEqual(set(client.read(len(BLOCK))), {n})


if __name__ == "__main__":
    unittest.main()
