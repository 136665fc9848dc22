#!/usr/bin/env python3
"""What a resource may say beside its contents, by both protocols over a real stream: how long it is good for, fields that
nobody here knows or that have no effect, and names of a kind that is not served."""

import http.client
import json
import time
import unittest

import sidecar
from ads_service import ADS, ROUTES, SCOPES, AdsService, bootstrap, host, routes, scope
from protobuf_wire import field

SCOPED = {"scoped_routes": {
    "name": "scopes", "rds_config_source": ADS, "scoped_rds": {"scoped_rds_config_source": ADS},
    "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]}}}
TTL = 0.5
# RouteConfiguration.validate_clusters is served; ignored are 4000, which nobody has, and the reply's mutations of Envoy.
UNKNOWN = field(4000, "new")


class ResourceRules(unittest.TestCase):
    API = "GRPC"

    def begin(self, *flags):
        self.service = AdsService(self)
        self.port = sidecar.free_port()
        self.say_scope("red", "1")
        self.service.say(ROUTES, "t", "1", routes("t", host("all", ["*"], "hello")))
        self.proxy = sidecar.start(self, bootstrap(self.service.path, self.port, SCOPED, api_type=self.API),
                                   flags=flags)

    def say_scope(self, name, version, more=b"", **how):
        self.service.say(SCOPES, name, version, scope(name, name, "t") + more, **how)

    def get(self, name):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
        client.request("GET", "/", headers={"x-scope": name})
        answer = client.getresponse()
        answer.read()
        client.close()
        return answer.status

    def until(self, name, status):
        sidecar.until(lambda: f"{name}: {status}, got {self.get(name)}", lambda: self.get(name) == status)

    def test_what_is_said_for_a_time_goes_when_it_is_over(self):
        self.begin()
        self.say_scope("short", "1", ttl=TTL)
        self.until("short", 200)
        self.until("short", 404)
        self.assertEqual(self.get("red"), 200, "which is good for ever")
        # Said again it is there again.
        self.say_scope("short", "2", ttl=TTL)
        self.until("short", 200)

    def test_heartbeats_keep_it(self):
        self.begin()
        self.say_scope("kept", "1", ttl=TTL)
        self.until("kept", 200)
        begun = time.monotonic()
        while time.monotonic() - begun < 4 * TTL:
            acks = len(self.service.heard("ack ScopedRouteConfiguration"))
            self.service.heartbeat(SCOPES, "kept")
            self.service.wait("ack ScopedRouteConfiguration", acks + 1)
            self.assertEqual(self.get("kept"), 200)
            time.sleep(TTL / 5)
        self.until("kept", 404)
        self.assertEqual(self.service.heard("nack"), [])

    def test_a_time_without_end_ends_the_one_before(self):
        self.begin()
        self.say_scope("first", "1", ttl=TTL)
        self.until("first", 200)
        self.say_scope("first", "2")
        self.service.wait("ack ScopedRouteConfiguration")
        self.say_scope("mark", "1", ttl=4 * TTL)
        self.until("mark", 200)
        self.until("mark", 404)  # so long
        self.assertEqual(self.get("first"), 200)

    def unsupported(self):
        return {each["field"]: each for each in self.proxy.json("/config_dump?unsupported")["unsupported"]}

    def test_fields_that_nobody_knows_are_counted_and_told_once(self):
        self.begin()
        self.assertEqual(self.unsupported(), {})
        for version in ("2", "3", "4"):
            self.say_scope("odd", version, UNKNOWN + field(4001, version))
            self.proxy.wait_stat("server.dynamic_unknown_fields", lambda count, v=version: count >= 2 * (int(v) - 1))
        self.until("odd", 200)
        found = self.unsupported()
        self.assertEqual(len(found), 2, found)
        for each in found.values():
            self.assertGreaterEqual(each["count"], 3)
            self.assertIn("srds/odd", each["example"])
        for name in found:
            self.assertEqual(self.proxy.log_text().count(name), 1, self.proxy.log_text())

    def test_they_are_refused_where_the_command_line_says_so(self):
        self.begin("--reject-unknown-dynamic-fields")
        self.say_scope("odd", "2", UNKNOWN)
        self.service.wait("nack ScopedRouteConfiguration srds/odd: unknown field 4000")
        self.assertEqual(self.get("odd"), 404)
        self.assertEqual(self.get("red"), 200)
        error = self.proxy.json("/config_dump?resource=dynamic_scoped_route_configs")
        self.assertIn("unknown field 4000", json.dumps(error))

    def test_a_key_that_is_not_known_is_refused_for_it_might_widen_the_match(self):
        self.begin()
        fragment = field(3, field(1, field(1, "k") + field(9, "x")))
        self.service.say(SCOPES, "wide", "2", field(1, "wide") + field(2, "t") + fragment)
        self.service.wait("nack ScopedRouteConfiguration srds/wide: key")
        self.assertEqual(self.get("k"), 404)

    def test_names_by_xdstp_are_refused_by_name(self):
        self.begin()
        self.service.say(SCOPES, "far", "2", scope("far", "far", "xdstp://a/envoy.config.route.v3.RouteConfiguration/t"))
        self.service.wait("nack ScopedRouteConfiguration srds/far: ")
        self.assertIn("xdstp", self.service.heard("nack ScopedRouteConfiguration")[0])
        self.assertEqual(self.get("red"), 200)


class ResourceRulesByDelta(ResourceRules):
    API = "DELTA_GRPC"


if __name__ == "__main__":
    unittest.main()
