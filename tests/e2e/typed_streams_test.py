#!/usr/bin/env python3
"""Each type of resources from a stream of its own (api_config_source), state of the world and delta, without any
aggregated stream: what it says is served, follows its changes, and is asked for again when the server comes back."""

import http.client
import unittest

import sidecar
from ads_service import HOSTS, ROUTES, SCOPES, AdsService, api_config_source, bootstrap, host, routes, scope
from protobuf_wire import field

TYPE = "type.googleapis.com/"
FAULT = TYPE + "envoy.extensions.filters.http.fault.v3.HTTPFault"
EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"
RUNTIME = "envoy.service.runtime.v3.Runtime"
CLUSTER = "envoy.config.cluster.v3.Cluster"
LISTENER = "envoy.config.listener.v3.Listener"
ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"


def fault(status):
    """By ECDS: aborts every request."""
    abort = field(2, field(2, status) + field(3, field(1, 100)))
    return field(1, "f") + field(2, field(1, FAULT) + field(2, abort))


def source(api_type, timeout="15s"):
    return {"api_config_source": api_config_source(api_type=api_type), "resource_api_version": "V3",
            "initial_fetch_timeout": timeout}


class TypedStreams(unittest.TestCase):
    API = "GRPC"
    PREFIX = "Stream"

    def begin(self, route_source, filters=(), **more):
        self.service = AdsService(self)
        self.port = sidecar.free_port()
        config = bootstrap(self.service.path, self.port, route_source, filters) | more
        config.setdefault("dynamic_resources", {}).pop("ads_config", None)
        self.proxy = sidecar.Sidecar(config)
        self.addCleanup(self.proxy.stop)

    def get(self, name="any", **headers):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
        try:
            client.request("GET", "/", headers={"host": name} | headers)
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        except OSError as failure:
            return 0, str(failure)
        finally:
            client.close()

    def until(self, expected, name="any", **headers):
        sidecar.until(lambda: f"{expected}, got {self.get(name, **headers)}",
                      lambda: self.get(name, **headers) == expected)

    def by_rds(self, name="r"):
        return {"rds": {"route_config_name": name, "config_source": source(self.API)}}

    def heard(self, ending):
        self.assertIn(f"stream {self.PREFIX}{ending}", self.service.lines)

    def test_routes_and_the_server_comes_back(self):
        self.begin(self.by_rds())
        self.service.say(ROUTES, "r", "1", routes("r", host("all", ["*"], "one")))
        self.proxy.wait_ready()
        self.assertEqual(self.get(), (200, "one"))
        self.heard("Routes")
        self.service.say(ROUTES, "r", "2", routes("r", host("all", ["*"], "two")))
        self.until((200, "two"))
        self.service.stop()
        self.assertEqual(self.get(), (200, "two"), "the last state serves")
        self.service.start()
        self.service.say(ROUTES, "r", "3", routes("r", host("all", ["*"], "three")))
        self.until((200, "three"))

    def test_scopes_and_the_tables_of_scopes(self):
        self.begin({"scoped_routes": {
            "name": "s", "rds_config_source": source(self.API),
            "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]},
            "scoped_rds": {"scoped_rds_config_source": source(self.API)}}})
        self.service.say(ROUTES, "r", "1", routes("r", host("all", ["*"], "red")))
        self.service.say(SCOPES, "red", "1", scope("red", "k", "r"))
        self.proxy.wait_ready()
        self.until((200, "red"), **{"x-scope": "k"})
        self.assertEqual(self.get()[0], 404)
        self.heard("ScopedRoutes")
        self.heard("Routes")

    def test_filters(self):
        self.begin(self.by_rds(), [{"name": "f", "config_discovery": {
            "config_source": source(self.API), "type_urls": [FAULT]}}])
        self.service.say(ROUTES, "r", "1", routes("r", host("all", ["*"], "one")))
        self.service.say(EXTENSION, "f", "1", fault(418))
        self.proxy.wait_ready()
        self.assertEqual(self.get()[0], 418)
        self.service.say(EXTENSION, "f", "2", fault(419))
        sidecar.until("the other status", lambda: self.get()[0] == 419)
        self.heard("ExtensionConfigs")

    def test_layers_of_the_runtime(self):
        layer = {"name": "pushed", "rtds_layer": {"name": "rt", "rtds_config": source(self.API)}}
        self.begin(self.by_rds(), layered_runtime={"layers": [layer]})
        self.service.say(ROUTES, "r", "1", routes("r", host("all", ["*"], "one")))
        # A Struct with one text.
        self.service.say(RUNTIME, "rt", "1", field(1, "rt") + field(2, field(1, field(1, "k") + field(2, field(3, "v")))))
        self.proxy.wait_ready()
        self.assertEqual(self.proxy.json("/runtime")["entries"]["k"]["final_value"], "v")
        self.heard("Runtime")

    def test_clusters_listeners_and_endpoints(self):
        config_source = field(2, field(1, 2 if self.API == "GRPC" else 3) + field(8, 2)
                              + field(4, field(1, field(1, "xds")))) + field(6, 2)
        eds = field(1, "e") + field(2, 3) + field(3, field(1, config_source))
        port = sidecar.free_port()
        address = field(1, field(2, "127.0.0.1") + field(3, port))
        tcp = field(1, TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy") + field(
            2, field(1, "t") + field(2, "e"))
        self.begin(self.by_rds(), dynamic_resources={
            "cds_config": source(self.API), "lds_config": source(self.API)})
        self.service.say(ROUTES, "r", "1", routes("r", host("all", ["*"], "one")))
        self.service.say(CLUSTER, "e", "1", eds)
        endpoint = field(1, field(1, field(1, field(2, "127.0.0.1") + field(3, self.port))))
        self.service.say(ENDPOINTS, "e", "1", field(1, "e") + field(2, field(2, endpoint)))
        self.service.say(LISTENER, "tcp", "1", field(1, "tcp") + field(2, address) + field(
            3, field(3, field(1, "tcp") + field(4, tcp))))
        self.proxy.wait_ready()
        self.assertEqual(self.get(), (200, "one"))
        self.port = port  # by TCP to the listener of HTTP
        self.until((200, "one"))
        for ending in ("Clusters", "Listeners", "Endpoints", "Routes"):
            self.heard(ending)


class TypedDeltaStreams(TypedStreams):
    API = "DELTA_GRPC"
    PREFIX = "Delta"

    def test_virtual_hosts(self):
        """VHDS is a delta alone."""
        vhds = field(9, field(1, field(2, field(1, 3) + field(8, 2) + field(4, field(1, field(1, "xds")))) + field(6, 2)))
        self.begin(self.by_rds())
        self.service.say(ROUTES, "r", "1", field(1, "r") + vhds)
        self.service.say(HOSTS, "r/a.example", "1", host("a", ["a.example"], "a"))
        self.proxy.wait_ready()
        self.until((200, "a"), "a.example")
        self.service.say(HOSTS, "r/b.example", "1", host("b", ["b.example"], "b"))
        self.until((200, "b"), "b.example")
        self.service.take_back(HOSTS, "r/a.example")
        sidecar.until("the host is gone", lambda: self.get("a.example")[0] == 404)
        self.heard("VirtualHosts")


if __name__ == "__main__":
    unittest.main()
