#!/usr/bin/env python3
"""ext_authz against real services: one on grpcio, one that speaks HTTP; good, slow, dead and hostile ones."""

import os
import re
import subprocess
import tempfile
import time
import unittest

import envoy_config as envoy
import programs
import sidecar
from peers import Upstream, connect, get, reply

FILTERS = envoy.TYPE + "filters.http."
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": FILTERS + "router.v3.Router"}}
GRPC = {"grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "1s"}, "transport_api_version": "V3"}


def http_service(**fields):
    return {"http_service": {"server_uri": {"uri": "http://authz/", "cluster": "authz", "timeout": "1s"}} | fields}


class ExtAuthz(unittest.TestCase):
    def proxy(self, authz_port, config, protocol=None, routes=None):
        self.requests = []

        def serve(peer):
            while (request := peer.read_request()) is not None:
                self.requests.append(request)
                peer.send(reply())
        origin = Upstream(self, serve)
        self.port = sidecar.free_port()
        cluster = envoy.cluster("authz", [authz_port])
        if protocol:
            cluster["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": envoy.TYPE + "upstreams.http.v3.HttpProtocolOptions"} | protocol}
        ext_authz = {"name": "authz", "typed_config": {"@type": FILTERS + "ext_authz.v3.ExtAuthz"} | config}
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, routes, http_filters=[ext_authz, ROUTER])],
            [envoy.cluster(ports=[origin.port]), cluster]))
        return connect(self, self.port)

    def log(self, count=1):
        line = self.sidecar.wait_access_log(count)[count - 1]
        return line["status"], line["flags"], line["details"]

    def counters(self):
        return {name.rpartition(".")[2]: value for name, value in self.sidecar.stats().items()
                if name.startswith("http.in.ext_authz.") and value}

    # ---- gRPC ----

    def grpc(self, config=None, routes=None):
        folder = tempfile.mkdtemp(prefix="pillion-authz-")
        self.addCleanup(subprocess.run, ["rm", "-r", folder], check=False)
        self.asked = os.path.join(folder, "check")
        port = sidecar.free_port()
        self.server = programs.Program(self, [programs.find_grpc_python(), os.path.join(
            programs.INTEROP, "authz_server.py"), str(port), self.asked], port=port)
        return self.proxy(port, GRPC | (config or {}), envoy.EXPLICIT_H2, routes)

    def question(self):
        """The last CheckRequest as protoc prints it."""
        with open(self.asked, "rb") as file:
            done = subprocess.run(["protoc", "--decode=authz.CheckRequest", "authz.proto"], input=file.read(), check=True,
                                  cwd=os.path.dirname(os.path.abspath(sidecar.__file__)), capture_output=True)
        return re.sub(r"\s+", " ", done.stdout.decode())

    def test_a_grpc_service_lets_pass_and_changes_the_request(self):
        client = self.grpc()
        answer = client.exchange(get("/ok?a=b", "X-Secret: s", "X-User: forged", "X-Two: 1", "X-Two: 2",
                                     "X-Envoy-Auth-Partial-Body: false", "X-Envoy-Auth-Failure-Mode-Allowed: true"))
        self.assertEqual((answer.status, answer.get("x-checked")), (200, "yes"))
        request = self.requests[0]
        self.assertEqual(request.first, "GET /ok?a=b&q=1 HTTP/1.1")
        self.assertEqual((request.all("x-user"), request.all("x-secret")), (["ann"], []))
        self.assertEqual([name for name, _ in request.fields if name.startswith("x-envoy-auth")], [])
        question = self.question()
        self.assertNotIn("x-envoy-auth", question)
        for part in ('method: "GET"', 'path: "/ok?a=b"', 'host: "app"', 'scheme: "http"', 'protocol: "HTTP/1.1"',
                     'key: ":path" value: "/ok?a=b"', 'key: "x-two" value: "1,2"', 'address: "127.0.0.1"',
                     f"port_value: {self.port}"):
            self.assertIn(part, question)
        self.assertEqual(self.counters(), {"ok": 1})

    def test_a_grpc_service_refuses_with_a_reply_of_its_own(self):
        client = self.grpc()
        answer = client.exchange(get("/deny"))
        self.assertEqual((answer.status, answer.body, answer.get("x-why")), (429, b"too much", "limit"))
        self.assertEqual(self.log(), (429, "UAEX", "ext_authz_denied"))
        self.assertEqual(client.exchange(get("/plain-deny")).status, 403)
        self.assertEqual(client.exchange(get("/unknown")).status, 403)
        self.assertEqual(self.requests, [])
        self.assertEqual(self.counters(), {"denied": 3})

    def test_a_service_that_fails_is_slow_or_lies_lets_nobody_pass(self):
        client = self.grpc({"status_on_error": {"code": "ServiceUnavailable"}})
        for number, (path, status, details) in enumerate((
                ("/error", 503, "ext_authz_error"), ("/garbage", 503, "ext_authz_error"),
                ("/inject", 500, "ext_authz_invalid"), ("/slow", 503, "ext_authz_error")), 1):
            begin = time.monotonic()
            with self.subTest(path):
                self.assertEqual(client.exchange(get(path)).status, status)
                self.assertLess(time.monotonic() - begin, 2)
                self.assertEqual(self.log(number)[2], details)
        self.assertEqual(self.requests, [])
        self.server.stop()
        self.assertEqual(client.exchange(get("/ok")).status, 503)
        self.assertEqual(self.requests, [])

    def test_failure_mode_allow_lets_pass_and_says_so(self):
        client = self.grpc({"failure_mode_allow": True, "failure_mode_allow_header_add": True})
        self.assertEqual(client.exchange(get("/error", "X-Envoy-Auth-Failure-Mode-Allowed: no")).status, 200)
        self.assertEqual(self.requests[0].all("x-envoy-auth-failure-mode-allowed"), ["true"])
        self.assertEqual(self.counters(), {"error": 1, "failure_mode_allowed": 1})

    def test_no_service_decides_how_long_a_request_is(self):
        client = self.grpc()
        self.assertEqual(client.exchange(get("/framing", method="POST", body=b"four")).status, 200)
        self.assertEqual((self.requests[0].all("content-length"), self.requests[0].all("transfer-encoding")), (["4"], []))
        self.assertEqual(client.exchange(get("/ok")).status, 200)

    def test_bodies_are_sent_whole_or_in_part(self):
        client = self.grpc({"with_request_body": {"max_request_bytes": 10, "allow_partial_message": True}})
        self.assertEqual(client.exchange(get("/ok", method="POST", body=b"0123456789abc")).status, 200)
        self.assertEqual(self.requests[0].body, b"0123456789abc")
        question = self.question()
        self.assertIn('body: "0123456789"', question)
        self.assertIn('key: "x-envoy-auth-partial-body" value: "true"', question)
        self.assertEqual(client.exchange(get("/ok", method="POST", body=b"short")).status, 200)
        self.assertIn('key: "x-envoy-auth-partial-body" value: "false"', self.question())

    def test_a_body_that_is_too_long_is_refused_where_a_part_will_not_do(self):
        client = self.grpc({"with_request_body": {"max_request_bytes": 10}})
        self.assertEqual(client.exchange(get("/ok", method="POST", body=b"0123456789")).status, 200)
        self.assertEqual(client.exchange(get("/ok", method="POST", body=b"0123456789a")).status, 413)

    def test_routes_disable_it_and_add_extensions(self):
        per_route = {"@type": FILTERS + "ext_authz.v3.ExtAuthzPerRoute"}
        client = self.grpc(routes=[
            envoy.route(prefix="/open") | {"typed_per_filter_config": {"authz": per_route | {"disabled": True}}},
            envoy.route() | {"typed_per_filter_config": {"authz": per_route | {
                "check_settings": {"context_extensions": {"shop": "yes"}}}}}])
        self.assertEqual(client.exchange(get("/open")).status, 200)
        self.assertFalse(os.path.exists(self.asked))
        self.assertEqual(client.exchange(get("/ok")).status, 200)
        self.assertIn('context_extensions { key: "shop" value: "yes" }', self.question())

    def test_a_client_that_goes_away_ends_the_call(self):
        client = self.grpc()
        client.send(get("/slow"))
        sidecar.until("the question", lambda: os.path.exists(self.asked))
        client.close()
        sidecar.until("the end of the call",
                      lambda: self.sidecar.stats()["cluster.authz.upstream_rq_active"] == 0, 2)
        self.assertEqual(self.requests, [])

    # ---- HTTP ----

    def http(self, answers, **config):
        self.asked = []

        def serve(peer):
            while (request := peer.read_request()) is not None:
                self.asked.append(request)
                answer = answers[min(len(self.asked), len(answers)) - 1]
                if answer is None:
                    return peer.hang()
                peer.send(answer)
        self.service = Upstream(self, serve)
        return self.proxy(self.service.port, config)

    def test_an_http_service_is_asked_with_the_request_itself(self):
        names = {"patterns": [{"prefix": "x-"}]}
        client = self.http(
            [reply(b"", "X-User: ann", "X-Hidden: 1", "X-Hidden: 2", "X-Envoy-Auth-Headers-To-Remove: x-secret, x-more")],
            **http_service(path_prefix="/check", authorization_request={
                "allowed_headers": names, "headers_to_add": [{"key": "x-from", "value": "pillion"}]},
                authorization_response={"allowed_upstream_headers": {"patterns": [{"exact": "x-user"}]},
                                        "allowed_client_headers_on_success": {"patterns": [{"exact": "x-hidden"}]}}))
        answer = client.exchange(get("/a?b", "Authorization: Basic x", "X-Secret: s", "Accept: y", "Cookie: z", method="POST",
                                     body=b"body"))
        self.assertEqual((answer.status, answer.all("x-hidden")), (200, ["1", "2"]))
        asked = self.asked[0]
        self.assertEqual(asked.first, "POST /check/a?b HTTP/1.1")
        self.assertEqual(asked.get("host"), "app")
        self.assertEqual((asked.get("authorization"), asked.get("x-secret"), asked.get("x-from")), ("Basic x", "s", "pillion"))
        self.assertEqual((asked.get("accept"), asked.get("cookie"), asked.get("content-length")), (None, None, "0"))
        request = self.requests[0]
        self.assertEqual((request.get("x-user"), request.get("x-secret"), request.get("x-hidden")), ("ann", None, None))
        self.assertEqual(request.body, b"body")

    def test_an_http_service_refuses_with_its_response(self):
        client = self.http([reply(b"log in", "WWW-Authenticate: Basic", "X-A: 1", "Content-Type: text/x",
                                  "Set-Cookie: a=1", "Set-Cookie: b=2", status="401 Unauthorized")], **http_service())
        answer = client.exchange(get("/"))
        self.assertEqual((answer.status, answer.body, answer.get("www-authenticate"), answer.get("x-a"),
                          answer.get("content-type")), (401, b"log in", "Basic", "1", "text/x"))
        self.assertEqual(len(answer.all("content-length")), 1)
        self.assertEqual(answer.all("set-cookie"), ["a=1", "b=2"])
        self.assertEqual(self.log(), (401, "UAEX", "ext_authz_denied"))

    def test_an_http_service_that_fails_lets_nobody_pass(self):
        client = self.http([reply(status="500 Internal Server Error"), None], **http_service())
        self.assertEqual(client.exchange(get("/")).status, 403)
        begin = time.monotonic()
        self.assertEqual(client.exchange(get("/")).status, 403)
        self.assertLess(time.monotonic() - begin, 2)
        self.service.stop()
        self.assertEqual(client.exchange(get("/")).status, 403)
        self.assertEqual(self.requests, [])


if __name__ == "__main__":
    unittest.main()
