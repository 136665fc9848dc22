#!/usr/bin/env python3
"""What clients, upstreams, logs and counters see when upstreams fail: the same from Envoy and from Pillion.

What differs on purpose stands in envoy_failures.py with the reason.  PARITY_SHOW=1 prints all differences.
"""

import re
import unittest

import envoy_differences as known
import envoy_failures as failures
from envoy_side import EnvoySide, PillionSide, compare, differences


class Failures(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        what = (("plain",), failures.bootstrap, failures.serve)
        cls.envoy, cls.pillion = EnvoySide(cls, *what), PillionSide(cls, *what)
        cls.results = {name: [side.run(listener, data) for side in (cls.envoy, cls.pillion)]
                       for name, listener, data in failures.REQUESTS}

    def test_each_failure_is_met_the_same_way(self):
        needed = set()
        for name, (theirs, ours) in self.results.items():
            needed |= compare(self, differences(name, ours, theirs), failures.DIFFERENCES)
        self.assertEqual({pattern for pattern, _ in failures.DIFFERENCES} - needed, set())

    def test_counters_have_the_same_names_and_values(self):
        theirs, ours = ({name: value for name, value in side.counters().items() if not re.match(known.UNCOUNTED, name)}
                        for side in (self.envoy, self.pillion))
        needed = compare(self, differences("", ours, theirs), failures.STATS)
        self.assertEqual({pattern for pattern, _ in failures.STATS} - needed, set())


if __name__ == "__main__":
    unittest.main()
