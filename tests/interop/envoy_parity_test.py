#!/usr/bin/env python3
"""The same configuration and the same requests, to Envoy and to Pillion: the same answers, logs and counters.

What differs on purpose stands in envoy_differences.py, with the reason; everything else must be equal.
PARITY_SHOW=1 prints all differences.
"""

import http.client
import json
import os
import re
import socket
import unittest

import envoy_differences as known
import envoy_parity as parity
import programs
import sidecar
from peers import LINGER_RESET, Upstream, connect, get, reply

ORIGIN_FIELDS = ("Content-Type: text/plain", "X-Origin: o", "Server: origin")
STATUSES = {"busy": "503 Service Unavailable", "broken": "500 Internal Server Error", "conflict": "409 Conflict",
            "many": "429 Too Many Requests"}
EXTRA = {"unavailable": ["grpc-status: 14"], "limited": ["x-envoy-ratelimited: true"]}
VARYING = ("date", "x-envoy-upstream-service-time")


def normal(name, value):
    """Values that differ from run to run, replaced by what is fixed of them."""
    value = re.sub(r"\b(127\.0\.0\.1|a):\d{4,5}\b", r"\1:PORT", value)
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
        value = "UUID"
    if name == "x-envoy-expected-rq-timeout-ms" and 8000 < int(value) <= 10000:
        value = "10000"  # less what a first try took
    return "T" if name in VARYING else value


def fields(message):
    return sorted((name.lower(), normal(name.lower(), value)) for name, value in message.fields)


class Side:
    """Envoy or Pillion, with an origin of its own that keeps the requests it saw."""

    def __init__(self, test):
        self.test = test
        self.upstream = Upstream(test, self.serve)
        self.requests = []
        self.ports = {name: sidecar.free_port() for name in ("plain", "mapped", "paths")}
        closed = sidecar.free_port()
        self.config = parity.bootstrap(self.ports, self.upstream.port, closed)
        self.admin = sidecar.free_port()

    def serve(self, peer):
        while (request := peer.read_request()) is not None:
            self.requests.append(request)
            what = request.first.split(" ")[1].split("?")[0].rpartition("/")[2]
            if what.endswith("-once"):
                what = what[:-5] if len(self.requests) == 1 else ""
            if what in STATUSES:
                peer.send(reply(b"no", status=STATUSES[what]))
            elif what in EXTRA:
                peer.send(reply(b"", *EXTRA[what]))
            elif what == "after":
                peer.send(reply(b"", "Retry-After: 1", status="503 Service Unavailable"))
            elif what == "hang":
                peer.hang()
            elif what == "close":
                return
            elif what == "reset":
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                return
            elif what == "noise":
                peer.send(b"noise\r\n\r\n").hang()
            elif what == "twice":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab").hang()
            elif what == "chunks":
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n")
            elif what == "until-close":
                peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
                return
            elif what == "many":
                peer.send(reply(b"many", *[f"X-{n}: 1" for n in range(120)]))
            else:
                answer = reply(b"origin", *ORIGIN_FIELDS)
                peer.send(answer[:-6] if request.first.startswith("HEAD ") else answer)

    def run(self, listener, data):
        """What a request led to: the answer, what the origin saw, and the line of the log."""
        self.requests.clear()
        before = len(self.log())
        client = connect(self.test, self.ports[listener])
        method = data.split(b" ")[0].decode()
        found, digits = {}, 1
        try:
            answer = client.exchange(data, method=method)
            digits = len(answer.get("x-envoy-upstream-service-time") or "0")
            found = {"answer": [answer.status, *fields(answer), ["body", normal("", answer.body.decode("latin-1"))],
                                ["trailers", answer.trailers], ["interim", [each.status for each in answer.interim]]]}
        except (OSError, EOFError) as failure:
            found = {"answer": [type(failure).__name__]}
        client.close()
        for number, request in enumerate(self.requests):
            found[f"request {number}"] = [request.first, *fields(request), ["body", request.body.decode("latin-1")],
                                          ["trailers", request.trailers]]
        sidecar.until("a line in the log", lambda: len(self.log()) > before)
        line = self.log()[before]
        line["wire sent"] -= digits - 1
        found |= {f"log: {key}": normal("", value) if isinstance(value, str) else value for key, value in line.items()}
        return found

    def log(self):
        path = os.path.join(self.dir, "access.log")
        if not os.path.exists(path):
            return []
        with open(path, errors="replace") as lines:
            return [json.loads(line) for line in lines.read().split("\n")[:-1]]

    def counters(self):
        """Those that were touched, by name."""
        client = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        client.request("GET", "/stats?usedonly&type=Counters")
        text = client.getresponse().read().decode()
        client.close()
        rows = (line.partition(": ") for line in re.sub(r"127\.0\.0\.1_\d+", "ADDRESS", text).splitlines())
        counters = {}
        for name, _, value in rows:
            if value.isdigit():
                counters[name] = counters.get(name, 0) + int(value)
        return counters


class EnvoySide(Side):
    def __init__(self, test):
        super().__init__(test)
        config = {"admin": {"address": sidecar.address(self.admin)}} | self.config
        self.dir = programs.envoy(test, config, self.admin).dir


class PillionSide(Side):
    def __init__(self, test):
        super().__init__(test)
        proxy = sidecar.start(test, self.config, flags=["--concurrency", "1"])
        self.dir, self.admin = proxy.dir, proxy.admin_port


class Parity(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.envoy, cls.pillion = EnvoySide(cls), PillionSide(cls)
        cls.results = {name: [side.run(listener, data) for side in (cls.envoy, cls.pillion)]
                       for name, listener, data in parity.REQUESTS}

    def compare(self, what, ours, theirs, expected):
        """`expected`: patterns of what differs; returns those that were needed."""
        needed = set()
        for aspect in sorted(ours.keys() | theirs.keys()):
            if ours.get(aspect) == theirs.get(aspect):
                continue
            name = f"{what} | {aspect}" if what else aspect
            if name in known.RANDOM:
                continue
            if os.environ.get("PARITY_SHOW"):
                print(f"{name}\n   envoy   {theirs.get(aspect)}\n   pillion {ours.get(aspect)}")
            reasons = {pattern for pattern, _ in expected if re.fullmatch(pattern, name)}
            with self.subTest(name):
                self.assertTrue(reasons, f"Envoy: {theirs.get(aspect)}\nPillion: {ours.get(aspect)}")
            needed |= reasons
        return needed

    def test_each_request_has_the_same_fate(self):
        needed = set()
        for name, (theirs, ours) in self.results.items():
            needed |= self.compare(name, ours, theirs, known.REQUESTS)
        self.assertEqual({pattern for pattern, _ in known.REQUESTS} - needed, set())

    def test_counters_have_the_same_names_and_values(self):
        theirs, ours = ({name: value for name, value in side.counters().items() if not re.match(known.UNCOUNTED, name)}
                        for side in (self.envoy, self.pillion))
        self.assertGreater(len(ours.keys() & theirs.keys()), 50)
        self.compare("", ours, theirs, known.STATS)


if __name__ == "__main__":
    unittest.main()
