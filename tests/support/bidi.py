"""Many concurrent gRPC streams with random pauses and ends, by go-grpc's `bidi`, through sidecars that must forget them.

    Bidi(test).run("one", streams, seconds, messages)
"""

import json

import envoy_config as envoy
import programs
import sidecar
from clients import run
from ways import RUNNING, Ways, matching, none_is_left

# Above the default breakers, which allow 1,024.
ROOM = {"circuit_breakers": {"thresholds": [{"max_requests": 4096, "max_pending_requests": 4096}]}}
RECOVERY = 40  # seconds until the memory of a burst is back: a worker trims ten seconds after it
REMAINS = 10 << 20


class Bidi:
    """One server behind one and two sidecars.  Ends with `test`."""

    def __init__(self, test):
        self.test = test
        self.server = programs.go_grpc_server(test)
        self.ways = Ways(test, {"go": (self.server.port, envoy.EXPLICIT_H2)}, between=envoy.SAME, cluster=ROOM)
        self.proxies = {"one": [self.ways.outer], "two": [self.ways.outer, self.ways.inner]}

    def client(self, way, streams, seconds, messages):
        """What go-grpc counted: streams by how they ended, messages, failures."""
        port = getattr(self.ways, way)["go"]
        # Streams that began at the end of the time take some more; those that hang are given up by its watchdogs.
        out = run(programs.built_go_module("go-grpc"), "bidi", str(port), str(streams), str(seconds),
                  str(messages), seconds=seconds + 90)
        return json.loads(out)

    def run(self, way, streams, seconds, messages):
        """Streams of at most so many messages: every one must end as it was meant to, with all its messages in order,
        and leave nothing behind."""
        # Once through everything, so that what is made on first use is there.
        self.client(way, 50, 1, 5)
        self.at_rest(way)
        before = [proxy.rss() for proxy in self.proxies[way]]
        found = self.client(way, streams, seconds, messages)
        self.test.assertEqual((found["Failed"], found["Failures"]), (0, None))
        for kind in ("Whole", "Cancelled", "Ended"):
            self.test.assertGreater(found[kind], streams / 20, found)
        self.at_rest(way)
        # The server has heard of every cancel.
        sidecar.until("no handler runs", lambda: self.soaking() == 0)
        return found, before

    def at_rest(self, way):
        for proxy in self.proxies[way]:
            none_is_left(proxy, RUNNING)
        self.ways.settle(but=r"^cluster\..*upstream_rq_5xx$")

    def soaking(self):
        """Handlers of streams that run in the server."""
        return int(run(programs.built_go_module("go-grpc"), "soaking", str(self.server.port)))

    def memory_is_back(self, way, before):
        for proxy, was in zip(self.proxies[way], before):
            sidecar.until(lambda: f"{proxy.rss() >> 10} KiB, before {was >> 10} KiB; {matching(proxy, RUNNING)}",
                          lambda: proxy.rss() - was <= REMAINS, RECOVERY)
