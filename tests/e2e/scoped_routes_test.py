#!/usr/bin/env python3
"""Scopes by SRDS: headers choose the route table; what changes is in force for connections that stay."""

import http.client
import unittest

import sidecar
from ads_service import ADS, ROUTES, SCOPES, AdsService, bootstrap, host, routes, scope

SCOPED = {"scoped_routes": {
    "name": "scopes", "rds_config_source": ADS,
    "scope_key_builder": {"fragments": [{"header_value_extractor": {
        "name": "x-scope", "element_separator": ";", "element": {"key": "tenant", "separator": "="}}}]},
    "scoped_rds": {"scoped_rds_config_source": ADS}}}
ON_DEMAND = {"name": "od", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand"}}


class ScopedRoutesTest(unittest.TestCase):
    def setUp(self):
        self.service = AdsService(self)
        self.port = sidecar.free_port()
        for name in ("red", "blue"):
            self.service.say(SCOPES, name, "1", scope(name, name, "table-" + name))
            self.service.say(ROUTES, "table-" + name, "1", self.table("table-" + name, name))
        self.proxy = sidecar.start(self, bootstrap(self.service.path, self.port, SCOPED, [ON_DEMAND]))
        self.client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
        self.addCleanup(self.client.close)

    @staticmethod
    def table(name, body):
        return routes(name, host("all", ["*"], body))

    def get(self, tenant):
        """On the one connection."""
        self.client.request("GET", "/", headers={"x-scope": f"a=b;tenant={tenant}"} if tenant else {})
        answer = self.client.getresponse()
        return answer.status, answer.read().decode()

    def until(self, tenant, answer):
        sidecar.until(lambda: f"{tenant}: {answer}, got {self.get(tenant)}", lambda: self.get(tenant) == answer)

    def test_each_scope_has_its_table(self):
        self.assertEqual(self.get("red"), (200, "red"))
        self.assertEqual(self.get("blue"), (200, "blue"))
        self.assertEqual(self.get("green")[0], 404)
        self.assertEqual(self.get("")[0], 404)
        stats = self.proxy.stats()
        self.assertEqual(stats["http.in.scoped_rds.scopes.all_scopes"], 2)
        self.assertEqual(stats["http.in.scoped_rds.scopes.active_scopes"], 2)
        self.assertEqual(stats["http.in.scoped_rds.scopes.update_success"], 1)
        self.assertEqual(stats["http.in.rds.table-red.update_success"], 1)
        dump = self.proxy.json("/config_dump?resource=dynamic_scoped_route_configs")
        self.assertEqual(sorted(entry["name"] for entry in dump["configs"]), ["blue", "red"])
        self.assertEqual(dump["configs"][0]["scoped_route_configs"][0]["route_configuration_name"],
                         "table-" + dump["configs"][0]["name"])

    def test_scopes_and_tables_change_under_a_connection(self):
        self.assertEqual(self.get("red"), (200, "red"))
        self.service.say(ROUTES, "table-red", "2", self.table("table-red", "crimson"))
        self.until("red", (200, "crimson"))
        # A scope that takes another table keeps the old one until that is there.
        self.service.say(SCOPES, "red", "2", scope("red", "red", "table-new"))
        self.service.wait("ask RouteConfiguration table-blue table-new table-red")
        self.assertEqual(self.get("red"), (200, "crimson"))
        self.service.say(ROUTES, "table-new", "1", self.table("table-new", "new"))
        self.until("red", (200, "new"))
        self.service.take_back(SCOPES, "blue")
        sidecar.until("blue is gone", lambda: self.get("blue")[0] == 404)
        self.assertEqual(self.get("red"), (200, "new"))

    def test_a_second_scope_of_a_key_is_refused_by_name(self):
        self.service.say(SCOPES, "second", "1", scope("second", "red", "table-blue"))
        self.service.wait("nack ScopedRouteConfiguration srds/second: key: is already that of the scope \"red\"")
        self.assertEqual(self.get("red"), (200, "red"))
        self.assertGreaterEqual(self.proxy.stats()["http.in.scoped_rds.scopes.update_rejected"], 1)

    def test_the_table_of_a_scope_on_demand_comes_with_the_first_request(self):
        self.service.say(SCOPES, "lazy", "1", scope("lazy", "lazy", "table-lazy", on_demand=True))
        self.proxy.wait_stat("http.in.scoped_rds.scopes.on_demand_scopes", 1)
        self.assertEqual([line for line in self.service.lines if "table-lazy" in line], [])
        self.service.say(ROUTES, "table-lazy", "1", self.table("table-lazy", "lazy"))
        self.assertEqual(self.get("lazy"), (200, "lazy"), "it waited")
        self.assertEqual(self.get("red"), (200, "red"))

    def explain(self, tenant):
        """From the scope on."""
        lines = sidecar.explain(self.proxy, "-H", f"x-scope: a=b;tenant={tenant}", "GET http://any/")
        return lines[next(i for i, line in enumerate(lines) if line.startswith("scope key: ")):]

    def test_explain_tells_the_scope_that_the_request_takes(self):
        lines = self.explain("red")
        self.assertEqual(lines[:4], ['scope key: "red" of x-scope', "scope: red", lines[2], "routes: table-red"])
        self.assertRegex(lines[2], "^  in force: version 1")
        self.assertIn("action: answers 200 itself: red", lines)
        self.assertEqual(self.explain("green"), ['scope key: "green" of x-scope',
                                                 "scope: none has this key; the answer is 404"])
        lines = sidecar.explain(self.proxy, "-H", "x-scope: a=b", "GET http://any/")
        self.assertIn('scope key: x-scope has no element "tenant"', lines)
        self.service.say(SCOPES, "lazy", "1", scope("lazy", "lazy", "table-lazy", on_demand=True))
        self.proxy.wait_stat("http.in.scoped_rds.scopes.on_demand_scopes", 1)
        self.assertEqual(self.explain("lazy")[3:], [
            'routes: "table-lazy" have not come; the answer is 404',
            'filter od: before that, the control plane is asked for the routes "table-lazy" (RDS); the request waits '
            'for 5s at most'])
        self.service.say(ROUTES, "table-lazy", "1", self.table("table-lazy", "lazy"))
        self.assertEqual(self.get("lazy"), (200, "lazy"))
        self.assertIn("action: answers 200 itself: lazy", self.explain("lazy"))


if __name__ == "__main__":
    unittest.main()
