#!/usr/bin/env python3
"""go-control-plane says what is routed where: what it says is in force when it is acknowledged, a bad part is
refused by name, and no request is lost meanwhile."""

import http.client
import json
import os
import random
import time
import unittest

import programs
import sidecar
from control_plane import ControlPlane, bootstrap
from origins import Load, Origin, get

CHANGES = int(os.environ.get("CHANGES", "200"))
SEED = int(os.environ.get("SEED", "1"))


class Wanted:
    """A random state of the control plane, and its next."""

    def __init__(self, origins):
        self.origins = origins
        self.random = random.Random(SEED)
        self.version = 0
        self.clusters = {"c0": 0}  # name -> index of its origin
        self.is_eds = {"c0": True}
        self.route = "c0"
        self.route_name = "r0"
        self.second = None  # port of a listener that comes and goes

    def change(self):
        self.version += 1
        kind = self.random.choice(["endpoints", "cluster", "route", "route", "type", "rename", "listener", "drop"])
        if kind == "endpoints":
            name = self.random.choice(sorted(self.clusters))
            self.clusters[name] = self.random.randrange(len(self.origins))
        elif kind in ("cluster", "route"):
            name = f"c{self.random.randrange(6)}"
            self.clusters.setdefault(name, self.random.randrange(len(self.origins)))
            self.is_eds.setdefault(name, self.random.random() < 0.7)
            if kind == "route":
                self.route = name
        elif kind == "type":
            name = self.random.choice(sorted(self.clusters))
            self.is_eds[name] = not self.is_eds[name]
        elif kind == "rename":
            self.route_name = f"r{self.version}"
        elif kind == "listener":
            self.second = None if self.second else sidecar.free_port()
        elif kind == "drop":
            for name in set(self.clusters) - {self.route}:
                del self.clusters[name], self.is_eds[name]
        return kind

    def say(self, plane, port, bad=False):
        clusters = {name: ("eds:" if self.is_eds[name] else "") + str(self.origins[index].port)
                    for name, index in self.clusters.items()}
        listeners = {"in": {"port": port, "routes": self.route_name}}
        if self.second:
            listeners["second"] = {"port": self.second, "routes": self.route_name}
        if bad:
            listeners["bad"] = {"port": sidecar.free_port(), "routes": self.route_name, "bad": True}
        plane.say(str(self.version), clusters, {self.route_name: self.route}, listeners)

    def answer(self):
        return self.origins[self.clusters[self.route]].name


EXTENSIONS = "type.googleapis.com/envoy.extensions.filters.http."


def http_filter(name, message, **fields):
    return {"name": name, "typed_config": {"@type": EXTENSIONS + message} | fields}


def bucket(tokens):
    return {"stat_prefix": "limit", "filter_enabled": {"default_value": {"numerator": 100}},
            "filter_enforced": {"default_value": {"numerator": 100}},
            "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "3600s"}}


def header(name, value):
    return {"response_mutations": [{"append": {"header": {"key": name, "value": value},
                                               "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]}


def call(port, path="/", body=None):
    """(status, headers)"""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=sidecar.DEADLINE)
    try:
        client.request("POST" if body else "GET", path, body=body)
        answer = client.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        client.close()


class FiltersTest(unittest.TestCase):
    """What HTTP filters are told by a control plane, for all requests and by route."""

    FILTERS = [
        http_filter("health", "health_check.v3.HealthCheck", pass_through_mode=False,
                    headers=[{"name": ":path", "string_match": {"exact": "/healthz"}}]),
        http_filter("mutation", "header_mutation.v3.HeaderMutation", mutations=header("x-said-by", "listener")),
        http_filter("limit", "local_ratelimit.v3.LocalRateLimit", **bucket(3)),
        http_filter("fault", "fault.v3.HTTPFault"),
        http_filter("buffer", "buffer.v3.Buffer", max_request_bytes=65536)]
    PER_ROUTE = {
        "/aborted": {"fault": {"@type": EXTENSIONS + "fault.v3.HTTPFault",
                               "abort": {"http_status": 418, "percentage": {"numerator": 100}}}},
        "/renamed": {"mutation": {"@type": EXTENSIONS + "header_mutation.v3.HeaderMutationPerRoute",
                                  "mutations": header("x-said-by", "route")}},
        "/small": {"buffer": {"@type": EXTENSIONS + "buffer.v3.BufferPerRoute", "buffer": {"max_request_bytes": 10}}},
        "/free": {"limit": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}}}

    def setUp(self):
        self.origin = Origin(self, "origin")
        self.plane = ControlPlane(self)
        self.port, self.version = sidecar.free_port(), 0
        # None of the others shall cost a token.
        self.per_route = {path: filters | ({} if path == "/free" else self.PER_ROUTE["/free"])
                          for path, filters in self.PER_ROUTE.items()}
        self.say(self.FILTERS)
        self.proxy = sidecar.start(self, bootstrap(self.plane.address))

    def say(self, filters, **more_routes):
        self.version += 1
        self.plane.say(str(self.version), {"c": str(self.origin.port)}, {"r": "c"},
                       {"in": {"port": self.port, "routes": "r", "filters": filters}},
                       {"r": self.per_route | more_routes})
        return str(self.version)

    def test_filters_do_what_the_control_plane_says(self):
        self.assertEqual(call(self.port, "/healthz")[0], 200)
        self.assertEqual(call(self.port, "/aborted")[0], 418)
        status, headers = call(self.port, "/renamed")
        self.assertEqual((status, headers["x-said-by"]), (200, "route"))
        self.assertEqual(call(self.port, "/small", b"x" * 11)[0], 413)
        status, headers = call(self.port, "/free")
        self.assertEqual((status, headers["x-said-by"]), (200, "listener"))
        self.assertEqual([call(self.port)[0] for _ in range(5)], [200, 200, 200, 429, 429])

    def test_a_change_of_routes_does_not_fill_the_buckets_of_filters(self):
        self.assertEqual([call(self.port)[0] for _ in range(4)], [200, 200, 200, 429])
        more = {"/new": {"fault": {"@type": EXTENSIONS + "fault.v3.HTTPFault",
                                   "abort": {"http_status": 410, "percentage": {"numerator": 100}}},
                         **self.PER_ROUTE["/free"]}}
        self.say(self.FILTERS, **more)
        sidecar.until("the new route", lambda: call(self.port, "/new")[0] == 410)
        self.assertEqual(call(self.port)[0], 429)
        self.assertEqual(self.proxy.stats()["http.in.rds.r.config_reload"], 2)

    def test_a_filter_that_is_not_known_is_refused_by_name(self):
        self.say([http_filter("lua", "lua.v3.Lua", inline_code="x"), *self.FILTERS])
        sidecar.until("a NACK", self.plane.nacks)
        self.assertRegex(self.plane.nacks()[0], r"^nack Listener lds/in: .*lua\.v3\.Lua")
        self.assertEqual(call(self.port, "/aborted")[0], 418)

    def test_a_setting_of_a_route_that_is_wrong_is_refused_at_its_place(self):
        self.say(self.FILTERS, **{"/bad": {"buffer": {"@type": EXTENSIONS + "buffer.v3.BufferPerRoute"}}})
        sidecar.until("a NACK", self.plane.nacks)
        self.assertRegex(self.plane.nacks()[0], r"^nack RouteConfiguration rds/r: .*typed_per_filter_config")
        self.assertGreaterEqual(self.proxy.stats()["http.in.rds.r.update_rejected"], 1)
        self.assertEqual(call(self.port, "/aborted")[0], 418)


class XdsTest(unittest.TestCase):
    def setUp(self):
        self.origins = [Origin(self, f"origin-{i}") for i in range(4)]
        self.plane = ControlPlane(self)
        self.port = sidecar.free_port()
        self.wanted = Wanted(self.origins)
        self.wanted.say(self.plane, self.port)
        self.proxy = sidecar.start(self, bootstrap(self.plane.address))

    def expect(self, port, kind):
        answer = self.wanted.answer()
        sidecar.until(lambda: f"change {self.wanted.version} ({kind}): {answer}, got {get(port)}\n"
                              f"{self.plane.lines[-8:]}", lambda: get(port) == (200, answer))

    def test_random_changes_lose_no_request(self):
        self.expect(self.port, "start")
        load = Load(self.port)
        try:
            for _ in range(CHANGES):
                kind = self.wanted.change()
                self.wanted.say(self.plane, self.port)
                self.expect(self.port, kind)
                if self.wanted.second:
                    sidecar.until(f"change {self.wanted.version}: the second listener",
                                  lambda: self.second_answers(self.wanted.answer()))
        finally:
            load.stop()
        self.assertEqual(load.failures, [])
        self.assertGreater(load.count, CHANGES)
        print(f"{load.count} requests over {CHANGES} changes", flush=True)
        self.assertEqual(self.plane.nacks(), [])
        self.assertEqual(self.proxy.stats()["listener_manager.lds.update_rejected"], 0)

    def second_answers(self, answer):
        try:
            return get(self.wanted.second) == (200, answer)
        except OSError:
            return False

    def test_a_bad_listener_is_refused_by_name_and_the_good_ones_apply(self):
        self.expect(self.port, "start")
        self.wanted.change()
        self.wanted.second = sidecar.free_port()
        self.wanted.say(self.plane, self.port, bad=True)
        sidecar.until("a NACK", self.plane.nacks)
        self.assertRegex(self.plane.nacks()[0], r"^nack Listener lds/bad: .*http_filters")
        sidecar.until("the good listener", lambda: self.second_answers(self.wanted.answer()))
        dump = self.proxy.json("/config_dump?resource=dynamic_listeners")
        self.assertIn("error_state", {key for entry in dump["configs"] for key in entry})

    def test_the_last_state_serves_while_the_control_plane_is_away(self):
        self.expect(self.port, "start")
        load = Load(self.port)
        address = self.plane.address
        self.plane.stop()
        self.proxy.wait_stat("control_plane.connected_state", 0)
        self.assertEqual(get(self.port), (200, self.wanted.answer()))
        # It comes back and knows something else.
        self.plane = ControlPlane(self, "tcp", address)
        self.wanted.clusters["c0"] = 3
        self.wanted.version += 1
        self.wanted.say(self.plane, self.port)
        self.expect(self.port, "come back")
        load.stop()
        self.assertEqual(load.failures, [])

    def test_memory_does_not_grow_under_steady_changes(self):
        if sidecar.sanitized():
            self.skipTest("a sanitizer keeps what is freed")
        # What is superseded is freed every 10 s, and changes must not put that off.
        sizes, versions, begin = [], [], time.monotonic()
        ports = [sidecar.free_port() for _ in range(3)]
        for end in (12, 24):
            while time.monotonic() < begin + end:
                self.wanted.version += 1
                version = self.wanted.version
                self.plane.say(str(version), {"c": str(self.origins[0].port), f"c{version}": str(self.origins[1].port)},
                               {"r": ("c", f"c{version}")[version % 2], f"r{version}": "c"},
                               {"in": {"port": self.port, "routes": "r"},
                                f"in{version % 3}": {"port": ports[version % 3], "routes": f"r{version}"}})
                self.plane.wait(f"ack RouteConfiguration {version}")
            sizes.append(self.proxy.rss())
            versions.append(self.wanted.version)
        growth = (sizes[1] - sizes[0]) / (versions[1] - versions[0])
        print(f"{versions[1]} changes, {sizes[1]} bytes resident, {growth:.0f} bytes more with each change", flush=True)
        self.assertLess(growth, 2000)

    def test_the_control_plane_may_come_later(self):
        self.plane.stop()
        proxy = sidecar.Sidecar(bootstrap(self.plane.address, fetch_timeout="0s"))
        self.addCleanup(proxy.stop)
        proxy.wait_log("no stream to the control plane", count=3)
        self.assertEqual(proxy.get("/ready")[0], 503)
        plane = ControlPlane(self, "tcp", self.plane.address)
        port = sidecar.free_port()
        self.wanted.say(plane, port)
        proxy.wait_ready()
        self.expect(port, "later")

    def test_what_the_control_plane_says_makes_a_refused_file_no_better(self):
        self.expect(self.port, "start")
        self.proxy.write(bootstrap(self.plane.address) | {"no_such_field": 1})
        self.proxy.wait_stat("server.config_reload_failure", 1)
        self.wanted.version += 1
        self.wanted.second = sidecar.free_port()
        self.wanted.say(self.plane, self.port)
        sidecar.until("the second listener", lambda: self.second_answers(self.wanted.answer()))
        self.assertIn("no_such_field", json.dumps(self.proxy.json("/config_dump")))
        self.proxy.write(bootstrap(self.plane.address))
        self.proxy.wait_stat("server.config_reload_success", 1)
        self.assertNotIn("no_such_field", json.dumps(self.proxy.json("/config_dump")))

    def test_each_node_gets_what_it_is_meant_to_have(self):
        plane = ControlPlane(self, nodes=("one", "two"))
        ports = {"one": sidecar.free_port(), "two": sidecar.free_port()}
        for origin, (node, port) in enumerate(ports.items()):
            plane.say("1", {"c": str(self.origins[origin].port)}, {"r": "c"}, {"in": {"port": port, "routes": "r"}},
                      node=node)
            sidecar.start(self, bootstrap(plane.address, node=node))
        self.assertEqual([get(port) for port in ports.values()], [(200, "origin-0"), (200, "origin-1")])

    def test_the_control_plane_may_listen_on_a_unix_socket(self):
        path = os.path.join(programs.folder(self), "xds.sock")
        plane = ControlPlane(self, "unix", path)
        port = sidecar.free_port()
        self.wanted.say(plane, port)
        sidecar.start(self, bootstrap(path))
        self.expect(port, "unix")


if __name__ == "__main__":
    unittest.main()
