#!/usr/bin/env python3
"""Clusters, endpoints, listeners and routes from files that are followed: what they say is in force without a reload,
what is wrong in them is told with its line, and no request is lost."""

import json
import os
import threading
import unittest

import envoy_config as envoy
import programs
import sidecar
from peers import Upstream, answers, connect, get, reply

TYPES = {"cds": "envoy.config.cluster.v3.Cluster", "eds": "envoy.config.endpoint.v3.ClusterLoadAssignment",
         "lds": "envoy.config.listener.v3.Listener", "rds": "envoy.config.route.v3.RouteConfiguration",
         "srds": "envoy.config.route.v3.ScopedRouteConfiguration"}


def app(test, body):
    return Upstream(test, answers(*[reply(body)] * 10000))


class FileResources(unittest.TestCase):
    def setUp(self):
        self.folder = programs.folder(self)
        self.apps = [app(self, f"app-{i}".encode()) for i in range(2)]
        self.port = sidecar.free_port()
        self.write("eds", self.assignment(0))
        self.write("cds", {"name": "app", "type": "EDS", "connect_timeout": "1s",
                           "eds_cluster_config": {"eds_config": self.source("eds")}})
        self.write("rds", {"name": "all", "virtual_hosts": [
            {"name": "any", "domains": ["*"], "routes": [envoy.route()]}]})
        self.write("lds", self.listener())

    def path(self, kind):
        return os.path.join(self.folder, f"{kind}.yaml")

    def source(self, kind):
        return {"path_config_source": {"path": self.path(kind)}, "resource_api_version": "V3"}

    def write(self, kind, *resources, text=None):
        packed = [{"@type": "type.googleapis.com/" + TYPES[kind]} | resource for resource in resources]
        with open(self.path(kind) + ".next", "w") as out:
            out.write(text or json.dumps({"resources": packed}, indent=1))
        os.rename(self.path(kind) + ".next", self.path(kind))

    def assignment(self, number):
        return {"cluster_name": "app", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": sidecar.address(self.apps[number].port)}}]}]}

    def listener(self, port=None, name="in"):
        made = envoy.http(name, port or self.port, log=False)
        manager = made["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["route_config"]
        manager["rds"] = {"route_config_name": "all", "config_source": self.source("rds")}
        return made

    def start(self, *flags, **dynamic):
        config = envoy.bootstrap([], [])
        config["dynamic_resources"] = {"cds_config": self.source("cds"), "lds_config": self.source("lds")} | dynamic
        self.proxy = sidecar.start(self, config, flags=flags)

    def ask(self, port=None):
        return connect(self, port or self.port).exchange(get())

    def test_what_the_files_say_is_served_and_their_changes_lose_no_request(self):
        self.start()
        self.assertEqual(self.ask().body, b"app-0")
        failures, stopped = [], threading.Event()

        def load():
            while not stopped.is_set():
                answer = self.ask()
                if answer.status != 200:
                    failures.append(answer.status)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for number in (1, 0, 1):
                self.write("eds", self.assignment(number))
                sidecar.until("the other endpoint", lambda n=number: self.ask().body == b"app-%d" % n)
            other = sidecar.free_port()
            self.write("lds", self.listener(), self.listener(other, "second"))
            self.proxy.wait_stat("listener_manager.total_listeners_active", 2)
            self.assertEqual(self.ask(other).body, b"app-1")
            self.write("lds", self.listener())
            self.proxy.wait_stat("listener_manager.total_listeners_active", 1)
        finally:
            stopped.set()
            thread.join()
        self.assertEqual(failures, [])

    def test_scopes_come_from_a_file_and_go_with_it(self):
        def table(name, text):
            answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}
            return {"name": name, "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [answer]}]}

        def scope(name):
            return {"name": name, "route_configuration_name": name, "key": {"fragments": [{"string_key": name}]}}

        listener = self.listener()
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        manager["scoped_routes"] = {
            "name": "scopes", "rds_config_source": self.source("rds"),
            "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]},
            "scoped_rds": {"scoped_rds_config_source": self.source("srds")}}
        self.write("rds", table("red", "red"), table("blue", "blue"))
        self.write("srds", scope("red"))
        self.write("lds", listener)
        self.start()

        def ask(name):
            answer = connect(self, self.port).exchange(get("/", f"x-scope: {name}"))
            return answer.status, answer.body

        self.assertEqual(ask("red"), (200, b"red"))
        self.assertEqual(ask("blue")[0], 404)
        self.write("srds", scope("red"), scope("blue"))
        sidecar.until("blue", lambda: ask("blue") == (200, b"blue"))
        self.write("srds", text="resources: [ { \"@type\": type.googleapis.com/" + TYPES["srds"] + ", name: red } ]")
        self.proxy.wait_log(self.path("srds"))
        self.assertEqual(ask("red"), (200, b"red"))
        self.write("srds", scope("blue"))
        sidecar.until("red is gone", lambda: ask("red")[0] == 404)
        self.assertEqual(ask("blue"), (200, b"blue"))
        # Without a user the file is not read any more.
        self.write("rds", {"name": "all", "virtual_hosts": [
            {"name": "any", "domains": ["*"], "routes": [envoy.route()]}]})
        self.write("lds", self.listener())
        sidecar.until("the app", lambda: ask("blue") == (200, b"app-0"))

    def test_what_is_wrong_is_told_with_its_line_and_what_was_there_stays(self):
        self.start()
        self.write("cds", text="resources:\n- \"@type\": type.googleapis.com/" + TYPES["cds"] +
                   "\n  name: app\n  type: SOMETIMES\n- \"@type\": type.googleapis.com/" + TYPES["cds"] +
                   "\n  name: more\n  connect_timeout: 7\n")
        self.proxy.wait_stat("cluster_manager.cds.update_rejected", 1)
        self.proxy.wait_log(self.path("cds") + ":4:9: resources[0].type")
        self.proxy.wait_log(self.path("cds") + ":7:20: resources[1].connect_timeout")
        self.assertEqual(self.ask().body, b"app-0")
        self.write("eds", text="resources: [")
        self.proxy.wait_log(self.path("eds") + ":1:")
        self.assertEqual(self.ask().body, b"app-0")
        self.write("eds", self.assignment(1))
        sidecar.until("the other endpoint", lambda: self.ask().body == b"app-1")

    def test_a_misspelt_field_is_refused_and_one_that_pillion_lacks_is_counted(self):
        self.start()
        known = {"name": "app", "type": "EDS", "track_cluster_stats": {"request_response_sizes": True},
                 "eds_cluster_config": {"eds_config": self.source("eds")}}
        self.write("cds", known)
        self.proxy.wait_stat("server.dynamic_unknown_fields", 1)
        self.proxy.wait_stat("cluster_manager.cds.update_rejected", 0)
        self.write("cds", {**known, "conect_timeout": "1s"})
        self.proxy.wait_stat("cluster_manager.cds.update_rejected", 1)
        self.proxy.wait_log('conect_timeout: unknown field (did you mean \\"connect_timeout\\"?)')
        # Endpoints and routes, each by a parser of its own.
        self.write("eds", text="resources:\n- \"@type\": type.googleapis.com/" + TYPES["eds"] +
                   "\n  cluster_name: app\n  endpoints: []\n  polici: {}\n")
        self.proxy.wait_log(self.path("eds") + ":5:3: resources[0].polici: unknown field")
        guarded = {**envoy.route(), "typed_per_filter_confg": {}}
        self.write("rds", {"name": "all", "virtual_hosts": [
            {"name": "any", "domains": ["*"], "routes": [guarded]}]})
        self.proxy.wait_log("typed_per_filter_confg: unknown field")
        self.assertEqual(self.ask().body, b"app-0")

    def test_a_program_that_is_ahead_may_write_fields_that_nobody_knows_by_a_flag(self):
        self.start("--allow-unknown-static-fields")
        self.write("rds", {"name": "all", "virtual_hosts": [
            {"name": "any", "domains": ["*"], "routes": [envoy.route()]}], "from_the_future": 1})
        self.proxy.wait_stat("server.dynamic_unknown_fields", 1)
        self.assertEqual(self.ask().body, b"app-0")

    def test_the_process_waits_for_a_file_that_comes_later(self):
        os.rename(self.path("lds"), self.path("lds") + ".later")
        config = envoy.bootstrap([], [])
        config["dynamic_resources"] = {"cds_config": self.source("cds"), "lds_config": self.source("lds")}
        proxy = sidecar.Sidecar(config)
        self.addCleanup(proxy.stop)
        proxy.wait_log("cannot read resources")
        self.assertEqual(proxy.get("/ready")[0], 503)
        os.rename(self.path("lds") + ".later", self.path("lds"))
        proxy.wait_ready()
        self.assertEqual(self.ask().body, b"app-0")

    def test_a_reload_may_be_the_first_to_name_a_file(self):
        proxy = sidecar.start(self, envoy.bootstrap([], []))
        cluster = {"name": "app", "type": "EDS", "connect_timeout": "1s",
                   "eds_cluster_config": {"eds_config": self.source("eds")}}
        proxy.write(envoy.bootstrap([envoy.http("in", self.port, log=False)], [cluster]))
        proxy.wait_stat("listener_manager.total_listeners_active", 1)
        sidecar.until("the endpoint", lambda: self.ask().body == b"app-0")


if __name__ == "__main__":
    unittest.main()
