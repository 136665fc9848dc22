#!/usr/bin/env python3
"""pillion explain --admin tells what a running proxy knows.  The proxy is scripted here, so that it is in states which a
real one is seldom in; tests/interop/config_dump_test.py has real ones."""

import http.server
import json
import os
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

import sidecar

TYPE = "type.googleapis.com/"
ROUTER = {"name": "envoy.filters.http.router",
          "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"}}
NAME = "outbound|80||users"


def manager(**more):
    return {"@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "in", "http_filters": [ROUTER], **more}


def listener(name, hcm, **chain):
    return {"@type": TYPE + "envoy.config.listener.v3.Listener", "name": name, "address": sidecar.address(15006),
            "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}], **chain}]}


def tls(**common):
    return {"name": "tls", "typed_config": {
        "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common}}


def lists():
    """What /config_dump?resource= says."""
    routes = {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
        {"match": {"prefix": "/gone"}, "route": {"cluster": "gone"}},
        {"match": {"prefix": "/"}, "route": {"cluster": NAME}}]}]}
    rds = manager(rds={"route_config_name": "r", "config_source": {"ads": {}}})
    key = {"certificate_chain": {"filename": "/not/here.crt"}, "private_key": {"inline_string": "[redacted]"}}
    return {
        "static_listeners": [],
        "dynamic_listeners": [
            {"name": "in", "active_state": {"version_info": "7", "last_updated": "2026-11-01T00:00:00.000Z",
                                            "listener": listener("in", rds)},
             "warming_state": {"version_info": "8", "listener": listener("in", rds)},
             "error_state": {"details": "in: bad\nmore", "version_info": "9"}},
            {"name": "secure", "active_state": {"version_info": "7", "listener": listener(
                "secure", rds, transport_socket=tls(tls_certificates=[key]))}},
            {"name": "waits", "warming_state": {"version_info": "8", "listener": listener("waits", rds)}},
            {"name": "odd", "active_state": {"version_info": "7", "listener": listener("odd", {"@type": TYPE + "x.Y"})}}],
        "dynamic_route_configs": [{"version_info": "5", "route_config": routes}],
        "ecds_filters": [],
        "static_clusters": [],
        "dynamic_active_clusters": [{"version_info": "4", "cluster": {
            "name": NAME, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": {"ads": {}}}}}],
        "dynamic_warming_clusters": []}


def host(port, **health):
    return {"address": sidecar.address(port), "weight": 1, "health_status": health,
            "stats": [{"name": "rq_active", "value": "3"}, {"name": "rq_success", "value": "40"}, {"name": "rq_error"}]}


def pages():
    return {
        "/server_info": {"version": "pillion/test", "state": "INITIALIZING", "node": {"id": "n", "cluster": "c"}},
        "/init_dump": {"unready_targets_dumps": [{"name": "init manager Server", "target_names": ["target LDS"]}]},
        "/certs": {"certificates": [{"cert_chain": [
            {"path": "old.crt", "expiration_time": "2020-01-01T00:00:00Z"},
            {"path": "new.crt", "expiration_time": "2200-01-01T00:00:00Z"}]}]},
        "/clusters": {"cluster_statuses": [
            {"name": NAME + "2", "host_statuses": [host(1)]},
            {"name": NAME, "observability_name": NAME, "host_statuses": [
                host(81, eds_health_status="HEALTHY"), host(82, failed_outlier_check=True),
                host(83, failed_active_health_check=True, eds_health_status="DRAINING")]}]},
        "/stats": f"cluster.{NAME}.circuit_breakers.default.rq_open: 1\n"
                  f"cluster.{NAME}.circuit_breakers.default.cx_open: 0\n"
                  f"cluster.{NAME}.circuit_breakers.high.rq_pending_open: 1\n"}


class Admin(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, test, answers, dump):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                query = urllib.parse.parse_qs(url.query)
                if url.path == "/config_dump":
                    found = dump.get(query["resource"][0])
                    answer = None if found is None else {"configs": found} if found else {}
                else:
                    answer = answers.get(url.path)
                body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(404 if answer is None else 200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for begin in range(0, len(body), 100):
                    piece = body[begin:begin + 100]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


def run(url, *words):
    return subprocess.run([sidecar.PILLION, "explain", "--admin", url, *words], capture_output=True, text=True,
                          timeout=60)


class ExplainAdminTest(unittest.TestCase):
    def explain(self, *words, answers=None, dump=None):
        result = run(Admin(self, answers or pages(), dump or lists()).url, *words)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        return result.stdout.splitlines()

    def test_everything_that_would_matter_is_told(self):
        self.maxDiff = None
        lines = self.explain("--listener", "in", "GET http://users/x")
        self.assertEqual(lines[:6], [
            "proxy: pillion/test, INITIALIZING, node n",
            "  waits: init manager Server: target LDS",
            "listener: in, at 127.0.0.1:15006",
            "  in force: version 7, since 2026-11-01T00:00:00.000Z",
            "  waiting to take its place: version 8",
            "  the last update was refused, version 9: in: bad"])
        for line in ["routes: r", "  in force: version 5", f"cluster: {NAME}", "  in force: version 4",
                     "host: 127.0.0.1:81, healthy; 3 requests now, 40 done, 0 failed",
                     "host: 127.0.0.1:82, ejected as an outlier; 3 requests now, 40 done, 0 failed",
                     "host: 127.0.0.1:83, failed its health check, told to be DRAINING; 3 requests now, 40 done, 0 failed",
                     "breakers: OPEN: default.rq_open, high.rq_pending_open; requests beyond are refused",
                     "certificate: old.crt has EXPIRED at 2020-01-01T00:00:00Z",
                     'not in force: listener "waits", which waits']:
            self.assertIn(line, lines)
        self.assertNotIn("host: 127.0.0.1:1,", "\n".join(lines))
        self.assertRegex(lines[-1], r"^not understood here, so left out: .*odd.*x\.Y")

    def test_what_has_no_version_is_the_files_only_if_it_is_static(self):
        dump = lists()
        named = {"last_updated": "2026-11-01T00:00:00.000Z"}
        dump["static_listeners"] = [named | {"listener": listener("of-file", manager(route_config={"virtual_hosts": []}))}]
        dump["dynamic_listeners"] = [{"name": "in", "active_state": named | {"listener": listener("in", manager(
            route_config={"virtual_hosts": []}))}}]
        for name, what in [("of-file", "the file's"),
                           ("in", "without a version (a file of resources, or the last-good cache)")]:
            lines = self.explain("--listener", name, "GET http://users/x", dump=dump)
            self.assertIn(f"  in force: {what}, since 2026-11-01T00:00:00.000Z", lines)

    def test_redacted_keys_do_not_matter(self):
        lines = self.explain("--listener", "secure", "GET https://users/x")
        self.assertIn("downstream: TLS ends here", lines)
        self.assertIn(f"cluster: {NAME}", lines)

    def test_a_cluster_that_waits_is_told_to_wait(self):
        dump = lists()
        dump["dynamic_warming_clusters"] = [dump["dynamic_active_clusters"].pop()]
        lines = self.explain("--listener", "in", "GET http://users/x", dump=dump)
        self.assertIn("  it waits for its endpoints, and is not in force", lines)

    def test_a_cluster_that_is_missing_is_told_to_be(self):
        dump = lists()
        dump["dynamic_active_clusters"] = []
        lines = self.explain("--listener", "in", "GET http://users/gone", dump=dump)
        self.assertIn('cluster: there is none called "gone"', lines)

    def test_routes_that_have_not_come_are_told_to_lack(self):
        dump = lists()
        dump["dynamic_route_configs"] = []
        lines = self.explain("--listener", "in", "GET http://users/x", dump=dump)
        self.assertIn('routes: "r" have not come; the answer is 404', lines)

    def test_scopes_are_read_as_envoy_tells_them_all_of_a_manager_in_one_entry(self):
        dump = lists()
        by_srds = manager(scoped_routes={
            "name": "s", "rds_config_source": {"ads": {}}, "scoped_rds": {"scoped_rds_config_source": {"ads": {}}},
            "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]}})
        dump["dynamic_listeners"] = [{"name": "in", "active_state": {"listener": listener("in", by_srds)}}]
        dump["dynamic_scoped_route_configs"] = [{"name": "s", "version_info": "6", "scoped_route_configs": [
            {"@type": TYPE + "envoy.config.route.v3.ScopedRouteConfiguration", "name": name,
             "route_configuration_name": table, "key": {"fragments": [{"string_key": name}]}}
            for name, table in (("red", "r"), ("blue", "none"))]}]
        ask = "--listener", "in", "GET http://users/x", "-H"
        lines = self.explain(*ask, "x-scope: red", dump=dump)
        at = lines.index('scope key: "red" of x-scope')
        self.assertEqual(lines[at + 1:at + 5], ["scope: red", "  in force: version 6", "routes: r",
                                                "  in force: version 5"])
        self.assertIn(f"cluster: {NAME}", lines)
        self.assertIn('routes: "none" have not come; the answer is 404', self.explain(*ask, "x-scope: blue", dump=dump))
        self.assertIn("scope: none has this key; the answer is 404", self.explain(*ask, "x-scope: green", dump=dump))

    def test_an_older_proxy_without_a_list_is_explained(self):
        dump = lists()
        del dump["ecds_filters"]
        self.assertIn("routes: r", self.explain("--listener", "in", "GET http://users/x", dump=dump))

    def test_what_is_no_admin_interface_is_told_to_be_none(self):
        result = run(Admin(self, {"/server_info": {"a": 1}}, {}).url, "GET http://x/")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is no admin interface of Pillion or Envoy", result.stderr)
        result = run(Admin(self, {"/server_info": "<html>"}, {}).url, "GET http://x/")
        self.assertIn("is no JSON: is it an admin interface?", result.stderr)
        result = run("ftp://x", "GET http://x/")
        self.assertIn("--admin: expected the address of an admin interface", result.stderr)


class BadAnswersTest(unittest.TestCase):
    def answer(self, data):
        """What explain says of a server that answers so, on a Unix socket."""
        folder = tempfile.TemporaryDirectory(prefix="pillion-test-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "admin.sock")
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(path)
        server.listen(1)

        def serve():
            client, _ = server.accept()
            with client:
                client.recv(65536)
                try:
                    client.sendall(data)
                except OSError:
                    pass  # it has had enough
        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)
        result = run("unix:" + path, "GET http://x/")
        self.assertEqual(result.returncode, 1)
        return result.stderr

    def test_broken_answers_are_told_in_a_sentence(self):
        for data, said in [
                (b"", "it closed the connection without an answer"),
                (b"SSH-2.0-x\r\n\r\n", "what answers does not speak HTTP/1.1"),
                (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}", "in the midst of its answer"),
                (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "its answer is no HTTP/1.1"),
                (b"x" * 200000, "what answers does not speak HTTP/1.1"),
                (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\"a\"", "is no admin interface of Pillion or Envoy"),
                (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "answers 500 to /server_info")]:
            with self.subTest(said):
                self.assertIn(said, self.answer(data))


if __name__ == "__main__":
    unittest.main()
