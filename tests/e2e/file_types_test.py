#!/usr/bin/env python3
"""Scopes, filters, layers of the runtime and endpoints from files, beside what file_resources_test.py has: in each form
that a file may have, and where its folder is swapped as Kubernetes does with a ConfigMap."""

import http.client
import json
import os
import unittest

import envoy_config as envoy
import programs
import sidecar
from peers import Upstream, answers, reply
from protobuf_wire import field

TYPE = "type.googleapis.com/"
FAULT = TYPE + "envoy.extensions.filters.http.fault.v3.HTTPFault"
ASSIGNMENT = TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
ROUTES = TYPE + "envoy.config.route.v3.RouteConfiguration"


def response(kind, *resources):
    return json.dumps({"resources": [{"@type": TYPE + kind} | resource for resource in resources]})


def says(text):
    return {"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}]}


def fault(status):
    return {"name": "f", "typed_config": {"@type": FAULT, "abort": {
        "http_status": status, "percentage": {"numerator": 100}}}}


class FileTypes(unittest.TestCase):
    def setUp(self):
        self.folder = programs.folder(self)
        self.port = sidecar.free_port()

    def path(self, name):
        return os.path.join(self.folder, name)

    def source(self, name, **more):
        return {"path_config_source": {"path": self.path(name)} | more, "resource_api_version": "V3"}

    def write(self, name, text):
        with open(self.path(name) + ".next", "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        os.rename(self.path(name) + ".next", self.path(name))

    def start(self, clusters=(), layers=(), **manager):
        own = [envoy.route()] if clusters else says("own")["routes"]
        listener = envoy.http("in", self.port, own, log=False)
        mine = listener["filter_chains"][0]["filters"][0]["typed_config"]
        if any(key in manager for key in ("rds", "scoped_routes")):
            del mine["route_config"]
        filters = manager.pop("filters", [])
        mine |= manager
        mine["http_filters"] = [*filters, *mine["http_filters"]]
        config = envoy.bootstrap([listener], list(clusters))
        if layers:
            config["layered_runtime"] = {"layers": list(layers)}
        self.proxy = sidecar.start(self, config)

    def get(self, **headers):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
        client.request("GET", "/", headers=headers)
        answer = client.getresponse()
        found = answer.status, answer.read().decode()
        client.close()
        return found

    def until(self, expected, **headers):
        sidecar.until(lambda: f"{expected}, got {self.get(**headers)}", lambda: self.get(**headers) == expected)

    def test_scopes_and_their_tables(self):
        def scopes(**key_of):
            return response("envoy.config.route.v3.ScopedRouteConfiguration", *(
                {"name": name, "route_configuration_name": "t-" + name, "key": {"fragments": [{"string_key": key}]}}
                for name, key in key_of.items()))
        self.write("scopes", scopes(red="r", blue="b"))
        self.write("tables", response("envoy.config.route.v3.RouteConfiguration",
                                      {"name": "t-red", "virtual_hosts": [says("red")]},
                                      {"name": "t-blue", "virtual_hosts": [says("blue")]}))
        self.start(scoped_routes={
            "name": "s", "rds_config_source": self.source("tables"),
            "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]},
            "scoped_rds": {"scoped_rds_config_source": self.source("scopes")}})
        self.assertEqual(self.get(**{"x-scope": "r"}), (200, "red"))
        self.assertEqual(self.get(**{"x-scope": "b"}), (200, "blue"))
        self.write("scopes", scopes(red="b", blue="r"))
        self.until((200, "blue"), **{"x-scope": "r"})
        self.write("scopes", scopes(red="r"))
        sidecar.until("the scope is gone", lambda: self.get(**{"x-scope": "b"})[0] == 404)

    def test_filters_and_what_is_wrong_with_them(self):
        kind = "envoy.config.core.v3.TypedExtensionConfig"
        self.write("filters", response(kind, fault(418)))
        self.start(filters=[{"name": "f", "config_discovery": {"config_source": self.source("filters"),
                                                               "type_urls": [FAULT]}}])
        self.assertEqual(self.get()[0], 418)
        self.write("filters", response(kind, fault(419)))
        sidecar.until("the other status", lambda: self.get()[0] == 419)
        self.write("filters", response(kind, fault(7)))
        self.proxy.wait_log(self.path("filters") + ":1:")
        self.assertEqual(self.get()[0], 419, "what was there stays")

    def test_layers_of_the_runtime(self):
        kind = "envoy.service.runtime.v3.Runtime"
        self.write("layer", response(kind, {"name": "rt", "layer": {"k": "one"}}))
        self.start(layers=[{"name": "l", "rtds_layer": {"name": "rt", "rtds_config": self.source("layer")}}])

        def value():
            return self.proxy.json("/runtime")["entries"].get("k", {}).get("final_value")
        self.assertEqual(value(), "one")
        self.write("layer", response(kind, {"name": "rt", "layer": {"k": "two"}}))
        sidecar.until("the other value", lambda: value() == "two")

    def test_the_forms_of_a_file(self):
        """Which one it is shows its name's ending; a name without says that it is YAML, of which JSON is a part."""
        body = says("json")
        self.write("t.json", json.dumps({"version_info": "1", "resources": [
            {"@type": ROUTES, "name": "r", "virtual_hosts": [body]}]}))
        self.start(rds={"route_config_name": "r", "config_source": self.source("t.json")})
        self.assertEqual(self.get(), (200, "json"))
        self.proxy.stop()
        direct = field(7, field(1, 200) + field(2, field(3, "encoded")))
        host = field(1, "all") + field(2, "*") + field(3, field(1, field(1, "/")) + direct)
        table = field(1, ROUTES) + field(2, field(1, "r") + field(2, host))
        self.write("t.pb", field(1, "1") + field(2, table) + field(4, ROUTES))
        self.start(rds={"route_config_name": "r", "config_source": self.source("t.pb")})
        self.assertEqual(self.get(), (200, "encoded"))

    def test_a_config_map_is_swapped(self):
        """NAME -> ..data/NAME, and ..data -> a folder of one version."""
        apps = [Upstream(self, answers(*[reply(f"app-{i}".encode())] * 1000)) for i in range(3)]

        def publish(version):
            os.mkdir(self.path(f"..v{version}"))
            self.write(f"..v{version}/eds.yaml", response("envoy.config.endpoint.v3.ClusterLoadAssignment", {
                "cluster_name": "app", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": sidecar.address(apps[version].port)}}]}]}))
            os.symlink(f"..v{version}", self.path("..next"))
            os.rename(self.path("..next"), self.path("..data"))
        publish(0)
        os.symlink("..data/eds.yaml", self.path("eds.yaml"))
        source = self.source("eds.yaml", watched_directory={"path": self.folder})
        self.start(clusters=[{"name": "app", "type": "EDS", "connect_timeout": "1s",
                              "eds_cluster_config": {"eds_config": source}}])
        self.assertEqual(self.get(), (200, "app-0"))
        for version in (1, 2):
            publish(version)
            self.until((200, f"app-{version}"))


if __name__ == "__main__":
    unittest.main()
