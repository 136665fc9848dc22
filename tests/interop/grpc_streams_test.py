#!/usr/bin/env python3
"""gRPC streams beside each other, by Go's implementation: those that nobody reads, or that are read slowly, hold up no
call of their connection and cost no more than a window each; many with random ends leave nothing behind
(tests/soak/bidi_test.py is the long form)."""

import json
import subprocess
import threading
import unittest

import envoy_config as envoy
import programs
from bidi import Bidi
from sidecar import sanitized
from ways import Ways

WINDOW = 1 << 20  # of a stream, as long as nothing else is configured
MARGIN = 4 << 20
MEGABYTES = 100
SLOW_CALL = 50  # milliseconds


class Slow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = programs.go_grpc_server(cls)
        cls.program = programs.built_go_module("go-grpc")

    def measure(self, port, streams, proxies, *leave):
        """(what the client measured, the most that each proxy grew)"""
        command = [self.program, "slow", str(port), str(streams), str(MEGABYTES), *leave]
        # Once with little, for what is made on first use.
        subprocess.run([*command[:4], str(4 * streams)], check=True, capture_output=True, timeout=60)
        before = [proxy.rss() for proxy in proxies]
        most, over = [0] * len(proxies), threading.Event()

        def watch():
            while not over.wait(0.02):
                most[:] = [max(m, proxy.rss() - b) for m, proxy, b in zip(most, proxies, before)]

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        finally:
            over.set()
            watcher.join()
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), most

    def test_streams_that_are_not_read_hold_up_no_call_of_their_connection(self):
        for streams in (1, 12):
            ways = Ways(self, {"go": (self.server.port, envoy.EXPLICIT_H2)}, between=envoy.SAME)
            proxies = [ways.outer, ways.inner]
            for way, used in (("one", proxies[:1]), ("two", proxies)):
                with self.subTest(way=way, streams=streams):
                    found, most = self.measure(getattr(ways, way)["go"], streams, used)
                    print(f"{streams} streams by {way}: {found}, grown by {[m >> 10 for m in most]} KiB", flush=True)
                    if sanitized():
                        continue
                    self.assertLess(found["stalled p99"], SLOW_CALL, found)
                    self.assertLess(found["slow p99"], SLOW_CALL, found)
                    for grown in most:
                        self.assertLess(grown, streams * WINDOW + MARGIN, found)
            ways.settle()
            ways.end()

    def test_so_many_that_their_connection_to_the_server_stands_still_stop_no_call(self):
        ways = Ways(self, {"go": (self.server.port, envoy.EXPLICIT_H2)}, between=envoy.SAME)
        for way in ("one", "two"):
            with self.subTest(way=way):
                found, _ = self.measure(getattr(ways, way)["go"], 40, [], "leave")
                print(f"40 streams by {way}: {found}", flush=True)
                if not sanitized():
                    self.assertLess(found["stalled p99"], SLOW_CALL, found)
        ways.settle()
        ways.end()


class Many(unittest.TestCase):
    def test_streams_with_random_ends(self):
        bidi = Bidi(self)
        for way in bidi.proxies:
            with self.subTest(way):
                bidi.run(way, 200, 3, messages=10)
        bidi.ways.end()


if __name__ == "__main__":
    unittest.main()
