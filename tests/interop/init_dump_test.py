#!/usr/bin/env python3
"""Envoy and Pillion wait for the same things of a control plane that is silent, and /init_dump of both says so in the
same words."""

import http.client
import json
import re
import unittest

import programs
import sidecar
from ads_service import ADS, ROUTES, SCOPES, AdsService, bootstrap, host, routes, scope

FILTER = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
BY_RDS = {"rds": {"route_config_name": "shop", "config_source": ADS}}
BY_SRDS = {"scoped_routes": {
    "name": "scopes", "rds_config_source": ADS, "scoped_rds": {"scoped_rds_config_source": ADS},
    "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]}}}
BY_ECDS = {"name": "f", "config_discovery": {"config_source": ADS, "type_urls": [FILTER]}}
TABLE = (ROUTES, "shop", "1", routes("shop", host("all", ["*"], "hello")))
ROUTES_TARGET = "shared target RdsRouteConfigSubscription RDS init shop"
SCOPES_TARGET = "target ConfigSubscriptionCommonBase init target 'SRDS'"
LAYER = {"layered_runtime": {"layers": [{"name": "pushed", "rtds_layer": {"name": "rt", "rtds_config": ADS}}]}}


def targets(port):
    """What listeners wait for, which is all that Envoy tells; its names have a number behind them."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        client.request("GET", "/init_dump?mask=listener")
        dumps = json.loads(client.getresponse().read()).get("unready_targets_dumps", [])
    except OSError:
        return None  # it does not listen yet
    finally:
        client.close()
    return {re.sub(r" \d+$", "", dump["name"]): dump["target_names"] for dump in dumps}


class InitDumpParity(unittest.TestCase):
    def both(self, expected, route_source, filters=(), api_type="GRPC", said=(), **more):
        service = AdsService(self)
        for each in said:
            service.say(*each)
        made = [bootstrap(service.path, sidecar.free_port(), route_source, filters, api_type) | more for _ in range(2)]
        proxy = sidecar.Sidecar(made[0])
        self.addCleanup(proxy.stop)
        admin = sidecar.free_port()
        programs.envoy(self, {"admin": {"address": sidecar.address(admin)}} | made[1], admin)
        expected = {"init manager Listener-local-init-manager in": [expected]}
        for side, port in (("Envoy", admin), ("Pillion", proxy.admin_port)):
            sidecar.until(lambda s=side, p=port: f"{s}: {expected}, got {targets(p)}",
                          lambda p=port: targets(p) == expected, seconds=10)

    def test_routes(self):
        self.both(ROUTES_TARGET, BY_RDS)

    def test_filters(self):
        self.both("shared target FilterConfigSubscription init f", BY_RDS, [BY_ECDS], said=[TABLE])

    def test_scopes(self):
        self.both(SCOPES_TARGET, BY_SRDS, api_type="DELTA_GRPC")

    def test_tables_of_scopes(self):
        self.both(SCOPES_TARGET, BY_SRDS, said=[(SCOPES, "red", "1", scope("red", "r", "shop"))])

    def test_virtual_hosts(self):
        table = (ROUTES, "shop", "1", routes("shop", vhds=True, patience=60))
        self.both(ROUTES_TARGET, BY_RDS, api_type="DELTA_GRPC", said=[table])

    def test_layers_of_the_runtime_come_first(self):
        self.both(ROUTES_TARGET, BY_RDS, **LAYER)


if __name__ == "__main__":
    unittest.main()
