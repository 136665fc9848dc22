#!/usr/bin/env python3
"""The same configuration and the same requests, to Envoy and to Pillion: the same answers, logs and counters.

What differs on purpose stands in envoy_differences.py, with the reason; everything else must be equal.
PARITY_SHOW=1 prints all differences.
"""

import re
import socket
import unittest

import envoy_differences as known
import envoy_parity as parity
from envoy_side import EnvoySide, PillionSide, compare, differences
from peers import LINGER_RESET, reply

ORIGIN_FIELDS = ("Content-Type: text/plain", "X-Origin: o", "Server: origin")
STATUSES = {"busy": "503 Service Unavailable", "broken": "500 Internal Server Error", "conflict": "409 Conflict",
            "many": "429 Too Many Requests"}
EXTRA = {"unavailable": ["grpc-status: 14"], "limited": ["x-envoy-ratelimited: true"]}


def serve(peer, request, attempt):
    what = request.first.split(" ")[1].split("?")[0].rpartition("/")[2]
    if what.endswith("-once"):
        what = what[:-5] if attempt == 1 else ""
    if what in STATUSES:
        peer.send(reply(b"no", status=STATUSES[what]))
    elif what in EXTRA:
        peer.send(reply(b"", *EXTRA[what]))
    elif what == "after":
        peer.send(reply(b"", "Retry-After: 1", status="503 Service Unavailable"))
    elif what == "hang":
        peer.hang()
    elif what == "close":
        return False
    elif what == "reset":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        return False
    elif what == "noise":
        peer.send(b"noise\r\n\r\n").hang()
    elif what == "twice":
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab").hang()
    elif what == "chunks":
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n")
    elif what == "until-close":
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
        return False
    elif what == "many":
        peer.send(reply(b"many", *[f"X-{n}: 1" for n in range(120)]))
    else:
        answer = reply(b"origin", *ORIGIN_FIELDS)
        peer.send(answer[:-6] if request.first.startswith("HEAD ") else answer)
    return True


class Parity(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        what = (("plain", "mapped", "paths"), parity.bootstrap, serve)
        cls.envoy, cls.pillion = EnvoySide(cls, *what), PillionSide(cls, *what)
        cls.results = {name: [side.run(listener, data) for side in (cls.envoy, cls.pillion)]
                       for name, listener, data in parity.REQUESTS}

    def test_each_request_has_the_same_fate(self):
        needed = set()
        for name, (theirs, ours) in self.results.items():
            needed |= compare(self, differences(name, ours, theirs, known.RANDOM), known.REQUESTS)
        self.assertEqual({pattern for pattern, _ in known.REQUESTS} - needed, set())

    def test_counters_have_the_same_names_and_values(self):
        theirs, ours = ({name: value for name, value in side.counters().items() if not re.match(known.UNCOUNTED, name)}
                        for side in (self.envoy, self.pillion))
        self.assertGreater(len(ours.keys() & theirs.keys()), 50)
        compare(self, differences("", ours, theirs), known.STATS)


if __name__ == "__main__":
    unittest.main()
