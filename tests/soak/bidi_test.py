#!/usr/bin/env python3
"""1,000 concurrent bidirectional gRPC streams with random pauses, cancels and early ends on either side, through one
sidecar and through two with mutual TLS between them: nothing hangs, is lost, or stays behind.

BIDI_SECONDS (60) is how long each runs, BIDI_STREAMS (1000) how many there are at a time."""

import os
import unittest

from bidi import Bidi
from sidecar import sanitized

SECONDS, STREAMS = (int(os.environ.get("BIDI_" + name, default)) for name, default in (
    ("SECONDS", 60), ("STREAMS", 1000)))


class ManyStreams(unittest.TestCase):
    def check(self, way):
        bidi = Bidi(self)
        found, before = bidi.run(way, STREAMS, SECONDS, messages=40)
        if not sanitized():
            bidi.memory_is_back(way, before)
        print(f"{way}: {found['Whole']} streams whole, {found['Cancelled']} cancelled, {found['Ended']} ended by the "
              f"server, {found['Messages']} messages; {[b >> 10 for b in before]} KiB before, "
              f"{[proxy.rss() >> 10 for proxy in bidi.proxies[way]]} KiB after", flush=True)
        bidi.ways.end()

    def test_through_one_sidecar(self):
        self.check("one")

    def test_through_two_sidecars(self):
        self.check("two")


if __name__ == "__main__":
    unittest.main()
