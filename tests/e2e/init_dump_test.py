#!/usr/bin/env python3
"""/init_dump of a process whose control plane is silent: each thing that is waited for is named, in Envoy's words for
tools and in plain ones for people, and is not there any more once it has come."""

import unittest

import sidecar
from ads_service import ADS, HOSTS, ROUTES, SCOPES, AdsService, bootstrap, host, routes, scope
from protobuf_wire import field

FILTER = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"
RUNTIME = "envoy.service.runtime.v3.Runtime"
BY_RDS = {"rds": {"route_config_name": "shop", "config_source": ADS}}
BY_SRDS = {"scoped_routes": {
    "name": "scopes", "rds_config_source": ADS, "scoped_rds": {"scoped_rds_config_source": ADS},
    "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]}}}
BY_ECDS = {"name": "f", "config_discovery": {"config_source": ADS, "type_urls": [FILTER]}}
TABLE = routes("shop", host("all", ["*"], "hello"))


class InitDumpTest(unittest.TestCase):
    def begin(self, route_source, filters=(), api_type="GRPC", said=(), **more):
        self.service = AdsService(self)
        for each in said:
            self.service.say(*each)
        config = bootstrap(self.service.path, sidecar.free_port(), route_source, filters, api_type) | more
        self.proxy = sidecar.Sidecar(config)
        self.addCleanup(self.proxy.stop)

    def targets(self, mask=""):
        dumps = self.proxy.json("/init_dump?mask=" + mask).get("unready_targets_dumps", [])
        return {dump["name"]: dump["target_names"] for dump in dumps}

    def until(self, mask, expected):
        def look():
            try:
                return self.targets(mask) == expected
            except OSError:
                return False  # it does not listen yet
        sidecar.until(lambda: f"{expected}, got {self.targets(mask)}", look)

    def text(self):
        return self.proxy.get("/init_dump?format=text")[1]

    def end(self):
        """It has come: nothing is waited for."""
        self.proxy.wait_ready()
        self.assertEqual(self.targets(), {})
        self.assertIn("nothing is waited for", self.text())

    LISTENER = "init manager Listener-local-init-manager in"

    def test_routes(self):
        self.begin(BY_RDS)
        self.until("listener", {self.LISTENER: ["shared target RdsRouteConfigSubscription RDS init shop"]})
        self.assertIn('listener "in" waits for:\n  - the routes "shop" (RDS), which have not come\n', self.text())
        self.service.say(ROUTES, "shop", "1", TABLE)
        self.end()

    def test_a_filter_by_ecds(self):
        self.service_says_routes_and_waits_for_the_filter()
        self.assertIn('listener "in" waits for:\n  - the filter "f" (ECDS), which has not come\n', self.text())
        abort = field(2, field(2, 418) + field(3, field(1, 0)))
        self.service.say(EXTENSION, "f", "1", field(1, "f") + field(2, field(1, FILTER) + field(2, abort)))
        self.end()

    def service_says_routes_and_waits_for_the_filter(self):
        self.begin(BY_RDS, [BY_ECDS])
        self.service.say(ROUTES, "shop", "1", TABLE)
        self.until("listener", {self.LISTENER: ["shared target FilterConfigSubscription init f"]})

    def test_a_filter_by_ecds_that_was_refused_is_told_with_the_reason(self):
        self.service_says_routes_and_waits_for_the_filter()
        bad = field(2, field(2, 7))
        self.service.say(EXTENSION, "f", "1", field(1, "f") + field(2, field(1, FILTER) + field(2, bad)))
        self.service.wait("nack TypedExtensionConfig ecds/f: ")
        # What is refused at the start holds nothing up.
        self.end()
        self.assertIn("ecds/f: ", self.proxy.get("/config_dump?resource=ecds_filters")[1])

    SRDS = "target ConfigSubscriptionCommonBase init target 'SRDS'"
    RED = (SCOPES, "red", "1", scope("red", "r", "shop"))

    def test_scopes(self):
        self.begin(BY_SRDS, api_type="DELTA_GRPC")
        self.until("listener", {self.LISTENER: [self.SRDS]})
        self.assertIn("- the scopes (SRDS), which have not come\n", self.text())
        self.service.say(ROUTES, "shop", "1", TABLE)
        self.service.say(*self.RED)
        self.end()

    def test_tables_of_scopes(self):
        self.begin(BY_SRDS, said=[self.RED])
        self.until("scope", {"init manager SRDS red": ["shared target RdsRouteConfigSubscription RDS init shop"]})
        self.assertEqual(self.targets("listener"), {self.LISTENER: [self.SRDS]})
        self.assertIn('- the scope "red", which waits itself\n', self.text())
        self.assertEqual(self.proxy.json("/config_dump?resource=dynamic_scoped_route_configs"), {}, "not in force")
        self.service.say(ROUTES, "shop", "1", TABLE)
        self.end()

    def test_virtual_hosts(self):
        self.begin(BY_RDS, api_type="DELTA_GRPC")
        self.service.say(ROUTES, "shop", "1", routes("shop", vhds=True, patience=60))
        self.until("route", {"init manager RDS local-init-manager shop": ["target VhdsConfigSubscription shop"]})
        self.assertIn('route "shop" waits for:\n  - its first virtual hosts (VHDS), which have not come\n', self.text())
        self.service.say(HOSTS, "shop/a.example", "1", host("a", ["a.example"], "a"))
        self.end()

    def test_the_runtime(self):
        layer = {"name": "pushed", "rtds_layer": {"name": "rt", "rtds_config": ADS}}
        self.begin(BY_RDS, layered_runtime={"layers": [layer]})
        self.until("runtime", {"init manager RTDS": ["target RTDS rt"]})
        self.assertIn('the runtime waits for:\n  - the layer "rt" (RTDS)\n', self.text())
        self.service.say(RUNTIME, "rt", "1", field(1, "rt") + field(2, b""))
        self.until("runtime", {})
        self.service.say(ROUTES, "shop", "1", TABLE)
        self.end()

    def test_a_mask_that_nothing_has_is_refused(self):
        self.begin(BY_RDS)
        self.service.say(ROUTES, "shop", "1", TABLE)
        self.proxy.wait_ready()
        status, text = self.proxy.get("/init_dump?mask=nosuch")
        self.assertEqual((status, text), (400, "usage: /init_dump?mask=(server|runtime|cluster|route|virtual_host|"
                                               "scope|extension|listener|secret)\n"))


if __name__ == "__main__":
    unittest.main()
