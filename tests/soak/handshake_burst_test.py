#!/usr/bin/env python3
"""A thousand TLS handshakes at once beside a connection that goes on: its requests may take three times as long as in
quiet, at the 99th percentile, and no longer.

Times say something on a machine that does nothing else; what holds on any (turns and steps) is in
tests/unit/tls/handshake_queue_test.cc."""

import os
import ssl
import subprocess
import time
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import Peer, Upstream, connect, get

BURST = 1000
SAMPLES = 2000
ALLOWED = 3


def percentile(times, part):
    return sorted(times)[int(len(times) * part)]


class HandshakeBurst(unittest.TestCase):
    def setUp(self):
        if sidecar.sanitized():
            self.skipTest("instrumented code has other costs")
        self.ca = Authority(type(self))
        self.customer = self.ca.issue(CUSTOMER)
        self.port = sidecar.free_port()
        self.proxy = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, tls=envoy.tls_server(self.ca.issue(USERS, "--dns", "users.shop")), log=False)],
            [envoy.cluster(ports=[Upstream(self).port])]), flags=["--concurrency", "1"], nofile=8192)
        context = self.ca.context(self.customer)
        self.flow = Peer(context.wrap_socket(connect(self, self.port).socket))

    def exchange(self):
        start = time.perf_counter()
        self.assertEqual(self.flow.exchange(get()).status, 200)
        return time.perf_counter() - start

    def handshakes(self):
        """Its own client has what is left of the processor: the proxy is measured, not the machine."""
        return subprocess.Popen(
            [programs.built_go("tlspeer"), "burst", f"127.0.0.1:{self.port}", "1.3", *self.customer, str(BURST)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"GOMAXPROCS": "1"},
            preexec_fn=lambda: os.nice(19))

    def test_an_open_connection_goes_on(self):
        for _ in range(500):
            self.exchange()
        quiet = [self.exchange() for _ in range(SAMPLES)]
        during, bursts = [], 0
        while len(during) < SAMPLES and bursts < 20:
            burst = self.handshakes()
            self.addCleanup(burst.kill)
            before = self.proxy.stats()[f"listener.127.0.0.1_{self.port}.ssl.handshake"]
            bursts += 1
            self.assertEqual(burst.stdout.readline(), "ready\n")
            burst.stdin.write("go\n")
            burst.stdin.close()
            while burst.poll() is None:
                during.append(self.exchange())
            self.assertEqual(burst.stdout.read().strip(), str(BURST))
            burst.stdout.close()
            after = self.proxy.stats()[f"listener.127.0.0.1_{self.port}.ssl.handshake"]
            self.assertEqual(after - before, BURST)
        self.assertGreaterEqual(len(during), SAMPLES)
        calm, busy = percentile(quiet, 0.99), percentile(during, 0.99)
        print(f"p99 {calm * 1e3:.2f} ms in quiet, {busy * 1e3:.2f} ms during {bursts} bursts of {BURST}")
        self.assertLessEqual(busy, ALLOWED * calm)


if __name__ == "__main__":
    unittest.main()
