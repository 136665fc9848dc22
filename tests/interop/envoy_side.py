"""Envoy and Pillion side by side under one configuration: what a request leads to at each."""

import http.client
import json
import os
import re

import programs
import sidecar
from peers import Upstream, connect

VARYING = ("date", "x-envoy-upstream-service-time")


def normal(name, value):
    """Values that differ from run to run, replaced by what is fixed of them."""
    value = re.sub(r"\b(127\.0\.0\.1|a):\d{4,5}\b", r"\1:PORT", value)
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
        value = "UUID"
    if name == "x-envoy-expected-rq-timeout-ms":
        value = str(-(-int(value) // 2000) * 2000)  # less what the tries before took
    return "T" if name in VARYING else value


def fields(message):
    return sorted((name.lower(), normal(name.lower(), value)) for name, value in message.fields)


class Side:
    """Envoy or Pillion, with an origin of its own that keeps the requests it saw.

    `listeners`: their names; `bootstrap(ports by name, port of the origin, a port that refuses)` is the configuration;
    serve(peer, request, number of the request since the client's began) answers, and returns False to end the
    connection.
    """

    def __init__(self, test, listeners, bootstrap, serve):
        self.test = test
        self.requests = []
        self.upstream = Upstream(test, lambda peer: self.serve(peer, serve))
        self.ports = {name: sidecar.free_port() for name in listeners}
        self.config = bootstrap(self.ports, self.upstream.port, sidecar.free_port())
        self.admin = sidecar.free_port()

    def serve(self, peer, answer):
        while (request := peer.read_request()) is not None:
            self.requests.append(request)
            if answer(peer, request, len(self.requests)) is False:
                return

    def run(self, listener, data):
        """What a request led to: the answer, what the origin saw, and the line of the log."""
        self.requests.clear()
        before = len(self.log())
        client = connect(self.test, self.ports[listener])
        method = data.split(b" ")[0].decode()
        found = {}
        try:
            answer = client.exchange(data, method=method)
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
        # What took ten milliseconds has a digit more; an answer that is cut short is not there to be looked at.
        line["wire sent"] -= len(line.pop("service time") or "0") - 1
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
    def __init__(self, test, *what):
        super().__init__(test, *what)
        config = {"admin": {"address": sidecar.address(self.admin)}} | self.config
        # Its admin listener answers before the others do.
        self.dir = programs.envoy(test, config, next(iter(self.ports.values()))).dir


class PillionSide(Side):
    def __init__(self, test, *what):
        super().__init__(test, *what)
        proxy = sidecar.start(test, self.config, flags=["--concurrency", "1"])
        self.dir, self.admin = proxy.dir, proxy.admin_port
        connect(test, next(iter(self.ports.values()))).close()  # Envoy counts the connection that asked whether it is up


def differences(what, ours, theirs, random=()):
    """The aspects in which two results differ: (name, Pillion's, Envoy's)."""
    for aspect in sorted(ours.keys() | theirs.keys()):
        name = f"{what} | {aspect}" if what else aspect
        if ours.get(aspect) == theirs.get(aspect) or name in random:
            continue
        if os.environ.get("PARITY_SHOW"):
            print(f"{name}\n   envoy   {theirs.get(aspect)}\n   pillion {ours.get(aspect)}")
        yield name, ours.get(aspect), theirs.get(aspect)


def compare(test, found, expected):
    """`expected`: (pattern, reason) of what differs; returns the patterns that were needed."""
    needed = set()
    for name, ours, theirs in found:
        reasons = {pattern for pattern, _ in expected if re.fullmatch(pattern, name)}
        with test.subTest(name):
            test.assertTrue(reasons, f"Envoy: {theirs}\nPillion: {ours}")
        needed |= reasons
    return needed
