#!/usr/bin/env python3
"""Every counter, gauge, histogram and text that Envoy has of what a control plane says, by the same names: both run under
one configuration, which makes use of all types of resources, at the same server."""

import re
import unittest

import programs
import sidecar
from ads_service import HOSTS, ROUTES, SCOPES, AdsService, bootstrap, host, routes, scope
from authority import Authority
from envoy_config import TYPE
from origins import get
from protobuf_wire import field

SOON = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "3s"}
EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"
LISTENER, CLUSTER = "envoy.config.listener.v3.Listener", "envoy.config.cluster.v3.Cluster"
ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"
RUNTIME = "envoy.service.runtime.v3.Runtime"

# What of /stats says how a control plane is heard.
FAMILIES = re.compile(r"""cluster_manager\.cds\. | listener_manager\.lds\. | control_plane\. | runtime\.
    | cluster\.e\.(update_|version|init_fetch|warming|assignment) | http\.\w+\.(rds|scoped_rds)\. | sds\.
    | extension_config_discovery\. | listener\..*extension_config_missing | cluster_manager\.warming
    | listener_manager\.total_listeners_warming""", re.VERBOSE)
# endpoint_stale_after is not served (README); no field that is served is deprecated.
LACKING = {"cluster.e.assignment_stale", "cluster.e.assignment_timeout_received", "cluster.e.assignment_use_cached",
           "runtime.deprecated_feature_seen_since_process_start"}


def discovery(name, kind):
    return {"name": name, "config_discovery": {"config_source": SOON, "type_urls": [TYPE + kind]}}


def packed(kind, message):
    return field(1, TYPE + kind) + field(2, message)


def extension(name, kind, message=b""):
    return field(1, name) + field(2, packed(kind, message))


def address(port):
    return field(1, field(2, "127.0.0.1") + field(3, port))


class XdsStatsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority(cls)
        cls.service = AdsService(cls)
        say = cls.service.say
        say(CLUSTER, "more", "1", field(1, "more") + field(4, field(1, 1)) + field(33, field(1, "more")))
        tcp = packed("filters.network.tcp_proxy.v3.TcpProxy", field(1, "t") + field(2, "more"))
        filters = field(3, field(1, "tcp") + field(4, tcp))
        say(LISTENER, "more", "1", field(1, "more") + field(2, address(sidecar.free_port())) + field(3, filters))
        say(ENDPOINTS, "e", "1", field(1, "e"))
        say(ROUTES, "r", "1", routes("r", vhds=True))
        say(ROUTES, "table", "1", routes("table", host("all", ["*"], "scoped")))
        say(HOSTS, "r/a.example", "1", host("a", ["a.example"], "hello"))
        say(SCOPES, "one", "1", scope("one", "one", "table"))
        say(EXTENSION, "hf", "1", extension("hf", "filters.http.fault.v3.HTTPFault"))
        say(EXTENSION, "nf", "1", extension("nf", "filters.network.rbac.v3.RBAC", field(3, "guard")))
        say(EXTENSION, "lf", "1", extension("lf", "filters.listener.tls_inspector.v3.TlsInspector"))
        with open(cls.authority.bundle, encoding="ascii") as file:
            say(SECRET, "ca", "1", field(1, "ca") + field(4, field(1, field(3, file.read()))))
        say(RUNTIME, "rt", "1", field(1, "rt") + field(2, b""))
        cls.pillion = sidecar.Sidecar(cls.config())
        cls.addClassCleanup(cls.pillion.stop)
        cls.pillion.wait_ready()

    @classmethod
    def config(cls):
        by_rds = {"rds": {"route_config_name": "r", "config_source": SOON}}
        scoped = {"scoped_routes": {
            "name": "scopes", "rds_config_source": SOON,
            "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]},
            "scoped_rds": {"scoped_rds_config_source": SOON}}}
        config = bootstrap(cls.service.path, sidecar.free_port(), by_rds,
                           [discovery("hf", "filters.http.fault.v3.HTTPFault")], "DELTA_GRPC")
        listener = config["static_resources"]["listeners"][0]
        listener["listener_filters"] = [discovery("lf", "filters.listener.tls_inspector.v3.TlsInspector")]
        listener["filter_chains"][0]["filters"].insert(0, discovery("nf", "filters.network.rbac.v3.RBAC"))
        other = bootstrap(cls.service.path, sidecar.free_port(), scoped)["static_resources"]["listeners"][0]
        other["name"] = "scoped"
        other["filter_chains"][0]["filters"][0]["typed_config"]["stat_prefix"] = "scoped"
        config["static_resources"]["listeners"].append(other)
        secret = {"name": "ca", "sds_config": SOON}
        config["static_resources"]["clusters"].append({
            "name": "e", "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": SOON},
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": TYPE + "transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": {"validation_context_sds_secret_config": secret}}}})
        config["dynamic_resources"]["ads_config"]["rate_limit_settings"] = {}
        config["dynamic_resources"] |= {"cds_config": SOON, "lds_config": SOON}
        config["layered_runtime"] = {"layers": [
            {"name": "rt", "rtds_layer": {"name": "rt", "rtds_config": SOON}}, {"name": "hand", "admin_layer": {}}]}
        return config

    @staticmethod
    def names(port):
        """Of /stats, with ports of listeners made one."""
        lines = get(port, "/stats")[1].splitlines()
        names = {re.sub(r"127\.0\.0\.1_\d+", "ADDRESS", line.partition(": ")[0]) for line in lines}
        return {name for name in names if FAMILIES.match(name)}

    def test_all_names_of_envoy_are_there(self):
        port = sidecar.free_port()
        programs.envoy(self, {"admin": {"address": sidecar.address(port)}} | self.config(), port)
        sidecar.until("Envoy has all of it", lambda: "vhds.r.update_success: 1" in get(port, "/stats")[1])
        envoy = self.names(port)
        self.assertGreater(len(envoy), 120, envoy)
        self.assertEqual(envoy - self.names(self.pillion.admin_port), LACKING)

    def test_each_type_is_counted(self):
        lines = get(self.pillion.admin_port, "/stats")[1].splitlines()
        stats = dict(line.split(": ", 1) for line in lines if ": " in line)
        for scope_of in ("cluster_manager.cds", "listener_manager.lds", "cluster.e", "http.in.rds.r",
                         "http.scoped.rds.table", "http.scoped.scoped_rds.scopes", "http.in.rds.vhds.r", "sds.ca", "runtime",
                         "extension_config_discovery.http_filter.hf", "extension_config_discovery.network_filter.nf",
                         "extension_config_discovery.tcp_listener_filter.lf"):
            with self.subTest(scope_of):
                self.assertGreaterEqual(int(stats[scope_of + ".update_success"]), 1)
                self.assertGreaterEqual(int(stats[scope_of + ".update_attempt"]), 2)
                self.assertEqual(stats[scope_of + ".update_rejected"], "0")
                self.assertGreater(int(stats[scope_of + ".update_time"]), 1.7e12)
                self.assertNotEqual(stats[scope_of + ".version"], "0")
                self.assertNotEqual(stats[scope_of + ".version_text"], '""')
                self.assertIn("P50(", stats[scope_of + ".update_duration"])
        for name in ("cluster_manager.cds", "http.in.rds.r", "http.scoped.scoped_rds.scopes", "http.in.rds.vhds.r"):
            self.assertGreaterEqual(int(stats[name + ".config_reload"]), 1, name)
        self.assertEqual(stats["control_plane.pending_requests"], "0")


if __name__ == "__main__":
    unittest.main()
