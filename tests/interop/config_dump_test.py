#!/usr/bin/env python3
"""Envoy and Pillion have the same control plane and the same file: their admin interfaces tell the same of it, and
pillion explain tells from either where a request goes."""

import http.client
import json
import re
import subprocess
import unittest
import urllib.parse

import programs
import sidecar
from control_plane import ControlPlane, bootstrap

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
MUTATION = {"name": "mutation", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"}}
LUA = {"name": "lua", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "inline_code": "no lua at all ("}}

# Paths of keys that only one of the two has (patterns, and why).
ONLY_ENVOY = [
    (r"Bootstrap.*\.node\..*", "its build, and its 900 extensions"),
    (r".*\.error_state\.failed_configuration\..*", "fields of messages that Pillion does not have"),
    (r"EndpointsConfigDump.*\.(policy|policy\.overprovisioning_factor|endpoints\.load_balancing_weight)",
     "of assignments, not of the endpoints in force"),
]
ONLY_PILLION = [
    (r".*\.client_status", "Envoy declares it and leaves it out"),
    (r".*\.error_state\.(version_info|failed_configuration.*)", "Envoy leaves the version out"),
    (r"Bootstrap.*", "the file as it was written, not what protobuf has made of it"),
]

QUERIES = [
    "resource=dynamic_listeners", "resource=static_clusters", "resource=nosuch", "resource=bootstrap", "resource=",
    "resource=version_info", "resource=dynamic_endpoint_configs", "resource=dynamic_endpoint_configs&include_eds",
    "resource=static_secrets", "resource=dynamic_warming_clusters", "resource=dynamic_route_configs",
    "resource=static_route_configs", "resource=static_listeners&name_regex=zz", "name_regex=^c$", "name_regex=(",
    "mask=bootstrap.node.id", "mask=dynamic_active_clusters", "mask=nosuch", "mask=bootstrap,nosuch", "mask=",
    "mask=static_clusters.cluster", "mask=dynamicActiveClusters", "mask=bootstrap.nosuch",
    "mask=bootstrap.static_resources.clusters.name",
    "resource=dynamic_active_clusters&mask=cluster.name,version_info",
    "resource=dynamic_active_clusters&mask=cluster.nosuch", "resource=dynamic_active_clusters&mask=cluster",
    "resource=dynamic_active_clusters&mask=cluster.load_assignment.cluster_name",
    "resource=dynamic_active_clusters&mask=cluster.load_assignment.endpoints.priority",
    "resource=dynamic_listeners&mask=active_state.listener.name", "resource=dynamic_listeners&mask=name",
    "resource=dynamic_route_configs&mask=route_config.virtual_hosts.name", "mask=bootstrap&resource=static_clusters"]


def static_listener(port):
    manager = {"@type": HCM, "stat_prefix": "local", "http_filters": [ROUTER], "route_config": {
        "name": "local", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "local"}}]}]}}
    return {"name": "local", "address": sidecar.address(port),
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}


def get(port, path):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()
    finally:
        client.close()


def keys(value, path=""):
    """Every path of keys in it; entries of lists are alike, messages of a dump are told apart."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "@type":
                yield f"{path}.{key}"
                yield from keys(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, path)


def keys_of_dump(dump):
    found = set()
    for config in dump.get("configs", []):
        found |= set(keys(config, config["@type"].rsplit(".", 1)[-1]))
    return found


class ConfigDumpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ControlPlane(cls)
        cls.sides = {}  # -> port of the admin interface
        cls.local = sidecar.free_port()  # Pillion's
        cls.hosts = [sidecar.free_port(), sidecar.free_port()]
        cls.say("1")
        for name in ("envoy", "pillion"):
            config = bootstrap(cls.plane.address)
            config["static_resources"]["clusters"].append({
                "name": "local", "connect_timeout": "1s", "type": "STATIC", "load_assignment": {
                    "cluster_name": "local", "endpoints": [{"lb_endpoints": [
                        {"endpoint": {"address": sidecar.address(cls.hosts[0])}}]}]}})
            config["static_resources"]["listeners"] = [
                static_listener(cls.local if name == "pillion" else 0)]
            config["static_resources"]["secrets"] = [
                {"name": "generic", "generic_secret": {"secret": {"inline_string": "very-secret"}}}]
            if name == "pillion":
                cls.proxy = sidecar.start(cls, config)
                cls.sides[name] = cls.proxy.admin_port
            else:
                admin = sidecar.free_port()
                cls.sides[name] = admin
                programs.envoy(cls, {"admin": {"address": sidecar.address(admin)}} | config, admin)
                sidecar.until("Envoy is ready", lambda: get(admin, "/ready")[0] == 200)
        # A listener that waits for routes that nobody has, and one that both must refuse.
        cls.say("2", waiting=True)
        for admin in cls.sides.values():
            sidecar.until("the second version", lambda: cls.has_second(admin))

    @classmethod
    def say(cls, version, waiting=False):
        # The two have the same listeners, each on a port of its own.
        listeners = {"in": {"port": 0, "routes": "r", "filters": [MUTATION]}}
        if waiting:
            listeners["waits"] = {"port": 0, "routes": "none"}
            listeners["bad"] = {"port": 0, "routes": "r", "filters": [LUA]}
        first, second = cls.hosts
        cls.plane.say(version, {"c": str(first), "e": f"eds:{first},{second}"}, {"r": "e"}, listeners)

    @staticmethod
    def has_second(admin):
        dump = get(admin, "/config_dump?resource=dynamic_listeners")[1]
        return "warming_state" in dump and "error_state" in dump

    def dump(self, side, query):
        status, text = get(self.sides[side], "/config_dump?" + query)
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def test_both_dumps_have_the_same_messages_and_keys(self):
        dumps = {side: self.dump(side, "include_eds") for side in self.sides}
        messages = {side: [config["@type"] for config in dump["configs"]] for side, dump in dumps.items()}
        self.assertEqual(messages["pillion"], messages["envoy"])
        found = {side: keys_of_dump(dump) for side, dump in dumps.items()}
        for known, more, less in ((ONLY_ENVOY, "envoy", "pillion"), (ONLY_PILLION, "pillion", "envoy")):
            for path in sorted(found[more] - found[less]):
                with self.subTest(f"only {more}: {path}"):
                    self.assertTrue(any(re.fullmatch(pattern, path) for pattern, _ in known), path)

    @staticmethod
    def named(entries):
        """Envoy tells of a refused listener in an entry without a name, too."""
        return [entry for entry in entries if not entry["@type"].endswith(".DynamicListener") or "name" in entry]

    def test_versions_and_states_are_the_same(self):
        # That of a resource which a new version has left as it was is the old one in Envoy, and the new one here.
        def told(side):
            out = {}
            for config in self.dump(side, "")["configs"]:
                message = config["@type"].rsplit(".", 1)[-1]
                out[message, "version"] = "version_info" in config
                for name, entries in config.items():
                    for entry in entries if isinstance(entries, list) else []:
                        if name == "dynamic_listeners" and "name" not in entry:
                            continue
                        body = entry.get("active_state") or entry.get("warming_state") or entry
                        inner = next((v for k, v in body.items() if isinstance(v, dict) and "@type" in v), {})
                        key = (name, entry.get("name") or inner.get("name"))
                        out[key] = ("version_info" in entry, {state: "version_info" in entry[state] for state in entry
                                                              if "_state" in state and state != "error_state"},
                                    "error_state" in entry)
            return out
        self.maxDiff = None
        self.assertEqual(told("pillion"), told("envoy"))

    def test_queries_are_answered_alike(self):
        for query in QUERIES:
            answers = {}
            for side, port in self.sides.items():
                status, text = get(port, "/config_dump?" + urllib.parse.quote(query, safe="=&,.^$*"))
                entries = json.loads(text).get("configs", []) if status == 200 else []
                answers[side] = status, [entry["@type"] for entry in self.named(entries)]
            with self.subTest(query):
                self.assertEqual(answers["pillion"], answers["envoy"])

    def test_masked_entries_are_the_same(self):
        for query in ("resource=dynamic_active_clusters&mask=cluster.name,cluster.connect_timeout",
                      "resource=dynamic_active_clusters&mask=cluster.load_assignment.cluster_name",
                      "resource=dynamic_listeners&mask=name,active_state.listener,warming_state.version_info",
                      "mask=bootstrap.node.id", "resource=static_secrets"):
            with self.subTest(query):
                by_text = [sorted(self.named(self.dump(side, query)["configs"]), key=json.dumps)
                           for side in self.sides]
                self.assertEqual(by_text[1], by_text[0])

    def test_secrets_are_in_no_page(self):
        for page in ("/config_dump?include_eds", "/csds", "/config_dump?resource=static_secrets"):
            self.assertNotIn("very-secret", self.proxy.get(page)[1])

    def test_the_refused_listener_is_shown_with_the_reason(self):
        entries = self.dump("pillion", "resource=dynamic_listeners")["configs"]
        bad = next(entry for entry in entries if entry["name"] == "bad")
        self.assertEqual(bad["client_status"], "NACKED")
        self.assertIn("lua", bad["error_state"]["details"])
        self.assertEqual(bad["error_state"]["version_info"], "2")
        self.assertEqual(bad["error_state"]["failed_configuration"]["name"], "bad")

    def test_init_dump_tells_what_is_waited_for(self):
        for side, port in self.sides.items():
            dumps = json.loads(get(port, "/init_dump?mask=listener")[1])["unready_targets_dumps"]
            self.assertEqual(len(dumps), 1, side)
            self.assertIn("Listener-local-init-manager waits", dumps[0]["name"])
            self.assertIn("RDS init none", dumps[0]["target_names"][0])
        text = self.proxy.get("/init_dump?format=text")[1]
        self.assertIn('listener "waits" waits for:\n  - the routes "none" (RDS), which have not come', text)

    def test_the_client_status_tells_of_everything_that_was_asked_for(self):
        config = self.proxy.json("/csds")["config"][0]
        self.assertEqual(config["node"]["id"], "test")
        found = {(one["type_url"].rsplit(".", 1)[-1], one["name"]): one["client_status"]
                 for one in config["generic_xds_configs"]}
        self.assertEqual(found, {
            ("Listener", "in"): "ACKED", ("Listener", "waits"): "ACKED", ("Listener", "bad"): "NACKED",
            ("RouteConfiguration", "r"): "ACKED", ("RouteConfiguration", "none"): "REQUESTED",
            ("Cluster", "c"): "ACKED", ("Cluster", "e"): "ACKED", ("ClusterLoadAssignment", "e"): "ACKED"})

    def test_versions_are_text_readouts_as_in_envoy(self):
        names = ["cluster_manager.cds.version_text", "listener_manager.lds.version_text", "control_plane.identifier",
                 "http.in.rds.r.version_text"]
        for side, port in self.sides.items():
            lines = get(port, "/stats?type=TextReadouts")[1].splitlines()
            for name in names:
                self.assertTrue(any(line.startswith(name + ': "') for line in lines), f"{side}: {name} in {lines}")

    def explain(self, side, *words, status=0):
        run = subprocess.run([sidecar.PILLION, "explain", "--admin", f"http://127.0.0.1:{self.sides[side]}", *words],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout if status == 0 else run.stderr

    def test_explain_tells_from_either_where_a_request_goes(self):
        for side in self.sides:
            with self.subTest(side):
                text = self.explain(side, "--listener", "in", "GET", "http://any/path")
                self.assertIn("routes: r\n", text)
                self.assertIn("cluster: e\n", text)
                self.assertIn("in force: version 2" if side == "pillion" else "in force: version", text)
                for port in self.hosts:
                    self.assertIn(f"host: 127.0.0.1:{port}, healthy; 0 requests now", text)
                self.assertIn("breakers: none is open\n", text)
                self.assertIn('not in force: listener "waits", which waits\n', text)
                self.assertIn('not in force: listener "bad", which was refused: ', text)
                text = self.explain(side, "--listener", "local", "GET http://any/path")
                self.assertIn("cluster: local\n", text)
                self.assertIn("in force: the file's", text)

    def test_explain_says_what_is_wrong_with_the_question(self):
        self.assertIn('there is no listener "nosuch"',
                      self.explain("pillion", "--listener", "nosuch", "GET http://x/", status=1))
        silent = sidecar.free_port()
        run = subprocess.run([sidecar.PILLION, "explain", "--admin", f"127.0.0.1:{silent}", "GET http://x/"],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual((run.returncode, run.stderr),
                         (1, f"pillion explain: no answer from the admin interface at 127.0.0.1:{silent}: "
                             "Connection refused\n"))
        run = subprocess.run([sidecar.PILLION, "explain", "--admin", f"127.0.0.1:{self.local}", "GET http://x/"],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertIn("is it that of Pillion, or of Envoy?", run.stderr)


class ForbiddenPagesTest(unittest.TestCase):
    def test_explain_says_that_a_page_is_forbidden(self):
        config = {"admin": {"address": sidecar.address("ADMIN_PORT"), "allow_paths": [{"exact": "/ready"}]},
                  "static_resources": {"listeners": [static_listener(0)],
                                       "clusters": [{"name": "local", "type": "STATIC"}]}}
        proxy = sidecar.start(self, json.dumps(config).replace('"ADMIN_PORT"', "ADMIN_PORT"))
        run = subprocess.run([sidecar.PILLION, "explain", "--admin", f"127.0.0.1:{proxy.admin_port}", "GET http://x/"],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertIn("/server_info: its admin.allow_paths forbids it", run.stderr)


if __name__ == "__main__":
    unittest.main()
