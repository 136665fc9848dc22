#!/usr/bin/env python3
"""News while a stream asks again: whatever the control plane says before, between and after the questions of a new
stream, no request is lost and nothing that is old is served afterwards."""

import unittest

import sidecar
from control_plane import bootstrap
from origins import Load, Origin, get
from xds_script import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, Good, ScriptedPlane
from xds_torture import TYPES
from xds_torture_test import state

ORDER = (CLUSTERS, ENDPOINTS, LISTENERS, ROUTES)


class News(Good):
    """Says `before` until it has heard `count` requests, and then `after`: to whom has asked by then, too."""

    def __init__(self, count, before, after):
        super().__init__("before", before)
        self.count, self.after = count, after

    def __call__(self, stream):
        stream.open()
        asked = {}  # type -> names
        heard = 0
        while True:
            request = stream.read()
            heard += 1
            is_new = request.type not in asked or (request.names and request.names != asked[request.type])
            if request.names or request.type not in asked:
                asked[request.type] = request.names
            if heard == self.count:
                self.version, self.resources = "after", self.after
                for kind in ORDER:
                    if kind in asked:
                        self.say(stream, kind, asked[kind])
            elif is_new:
                self.say(stream, request.type, request.names)

    def say(self, stream, kind, names):
        known = self.resources[kind]
        found = {name: one for name, one in known.items() if not names or name in names}
        if found or kind in (CLUSTERS, LISTENERS):
            stream.nonces += 1
            stream.say(kind, self.version, f"{self.version}-{stream.nonces}", found)


class NewsTest(unittest.TestCase):
    def setUp(self):
        self.origins = [Origin(self, f"origin-{n}") for n in range(2)]
        self.port = sidecar.free_port()
        # Of the second one cluster, endpoints and routes are others; of the third the endpoints alone.
        self.states = [state(self.origins[0].port, "c", True, self.port),
                       state(self.origins[1].port, "d", True, self.port),
                       state(self.origins[1].port, "c", True, self.port)]

    def play(self, protocol, after):
        plane = ScriptedPlane(self, Good("v1", self.states[0]))
        proxy = sidecar.start(self, bootstrap(plane.address, delta=protocol == "delta"))
        load = Load(self.port, clients=2)
        try:
            sidecar.until("the first", lambda: get(self.port) == (200, "origin-0"))
            for count in range(1, 2 * TYPES + 1):
                plane.switch(News(count, self.states[0], self.states[after]))
                # Each worker hears it at a time of its own: many in a row, so that both have.
                sidecar.until(lambda: f"the news at {count}: {get(self.port)}\n{proxy.log_tail()}",
                              lambda: all(get(self.port) == (200, "origin-1") for _ in range(20)))
                for _ in range(20):
                    self.assertEqual(get(self.port), (200, "origin-1"))
                self.assertEqual([each.error for each in plane.nacks()], [])
                plane.switch(Good(f"back-{count}", self.states[0]))
                sidecar.until("as it was", lambda: get(self.port) == (200, "origin-0"))
        finally:
            load.stop()
            proxy.stop()
            plane.upstream.stop()
        self.assertEqual(load.failures, [])
        self.assertGreater(load.count, 100)
        print(f"{protocol}: {load.count} requests of the load", flush=True)

    def test_news_at_each_question_of_a_new_stream_lose_nothing(self):
        for protocol in ("sotw", "delta"):
            for after in (1, 2):
                with self.subTest(protocol=protocol, after=after):
                    self.play(protocol, after)


if __name__ == "__main__":
    unittest.main()
