#!/usr/bin/env python3
"""One forbidden request in more than 200 spellings, over HTTP/1.1 and HTTP/2: none reaches the app as what is forbidden,
and legitimate neighbours arrive unharmed.

The app is lenient: it unescapes, merges slashes, drops parameters, ignores the case of names (spellings.readings).  What
is forbidden is forbidden by a route in front of the one to the app.
"""

import json
import re
import subprocess
import tempfile
import unittest

import envoy_config as envoy
import http2_peers
import sidecar
import spellings
from h2_attacks import END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST, SETTINGS, frame, literal
from peers import Peer, Upstream, connect, reply

SAFE = {
    "normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "REJECT_REQUEST",
    "strip_trailing_host_dot": True, "codec_type": "AUTO",
    "common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"},
}
SHORT = """
inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: off, app: 127.0.0.1:{app}, protocol: http1{more} }}
telemetry: {{ access_log: {{ path: access.log, format: json }} }}
admin: {{ listen: 127.0.0.1:1 }}
"""
# Of RFC 7517, A.1: whoever needs a token has none.
KEY = {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
       "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}
FORBIDDEN = {"direct_response": {"status": 403}}


def header(name, value):
    return {"match": {"prefix": "", "headers": [{"name": name, "string_match": {"exact": value}}]}} | FORBIDDEN


RULES = [
    {"match": {"path_separated_prefix": "/admin"}} | FORBIDDEN,
    header("x-role", "admin"), header(":method", "DELETE"),
]
HOST = {"name": "admin", "domains": ["admin.shop", "[::1]"], "routes": [{"match": {"prefix": ""}} | FORBIDDEN]}


class Backend(Upstream):
    """An app that records what it was asked."""

    def __init__(self, test):
        self.seen = []
        super().__init__(test, self.serve)

    def serve(self, peer):
        while (request := peer.read_request()) is not None:
            self.seen.append(request)
            peer.send(reply())

    def take(self):
        seen, self.seen = self.seen, []
        return seen


def ask_http1(test, port, text):
    """The statuses of all answers, until the proxy ends the connection or was asked to."""
    client = connect(test, port)
    statuses = []
    try:
        client.send(text)
        for _ in range(text.count(b"\r\n\r\n")):
            statuses.append(client.read_response().status)
    except (EOFError, ConnectionError):
        pass
    client.close()
    return statuses


def ask_http2(test, port, fields, block=None):
    """The status of the answer; none if the stream or the connection was refused."""
    client = connect(test, port)
    block = block or b"".join(literal(name, value) for name, value in fields)
    decoder = http2_peers.hpack().Decoder()
    try:
        client.send(PREFACE, frame(SETTINGS), frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
        while True:
            top = client.read(9)
            if len(top) < 9 or top[3] in (RST, GOAWAY):
                return []
            payload = client.read(int.from_bytes(top[:3], "big"))
            if top[3] == HEADERS:
                return [int(dict(decoder.decode(payload))[":status"])]
    except ConnectionError:
        return []
    finally:
        client.close()


def request1(target=b"/", fields=b"Host: app", method=b"GET"):
    return method + b" " + target + b" HTTP/1.1\r\n" + fields + b"\r\nConnection: close\r\n\r\n"


def request2(target=b"/", method=b"GET", authority=b"app", scheme=b"http", more=()):
    return [(":method", method), (":scheme", scheme), (":path", target), (":authority", authority), *more]


class OneSpelling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.app = Backend(cls)
        cls.proxies = {}
        for name, more in (("refuse", {}), ("decode", {"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}),
                           ("redirect", {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"})):
            port = sidecar.free_port()
            listener = envoy.http(
                "in", port, **(SAFE | more),
                route_config={"name": "r", "ignore_path_parameters_in_path_matching": True,
                              "ignore_port_in_host_matching": True,
                              "virtual_hosts": [HOST, {"name": "all", "domains": ["*"], "routes": [*RULES, envoy.route()]}]})
            cls.proxies[name] = port, sidecar.start(
                cls, envoy.bootstrap([listener], [envoy.cluster(ports=[cls.app.port])]))
        for name, more in (("short", ""), ("short, decode", ", escaped_slashes: decode")):
            port = sidecar.free_port()
            cls.proxies[name] = port, sidecar.start(cls, cls.expanded(port, more))

    @classmethod
    def expanded(cls, port, more):
        """What a short file stands for, with HOST and RULES in front of its virtual hosts and routes."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as short:
            short.write(SHORT.format(port=port, app=cls.app.port, more=more))
            short.flush()
            lines = subprocess.run([sidecar.PILLION, "expand", short.name], capture_output=True, text=True, timeout=30,
                                   check=True).stdout.splitlines()
        for key, items in (("virtual_hosts:", [HOST]), ("routes:", RULES)):
            at = next(i for i, line in enumerate(lines) if line.strip() == key) + 1
            indent = " " * (len(lines[at]) - len(lines[at].lstrip()))
            lines[at:at] = [f"{indent}- {json.dumps(item)}" for item in items]
        return "\n".join(lines).replace("port_value: 1\n", "port_value: ADMIN_PORT\n") + "\n"

    # ---- what is forbidden ----

    def each(self, rows, check):
        """check(port, row) for all proxies and rows; each row is asked for by at least one request."""
        for name, (port, proxy) in self.proxies.items():
            before = self.connections(proxy)
            for row in rows:
                with self.subTest(proxy=name, row=row):
                    self.app.take()
                    check(port, row)
            self.assertGreaterEqual(self.connections(proxy) - before, len(rows))

    @staticmethod
    def connections(proxy):
        return sum(n for name, n in proxy.stats().items() if re.fullmatch(r"http\.in(bound)?\.downstream_cx_total", name))

    def assert_not_admin(self, statuses):
        for request in self.app.take():
            target = request.first.split(" ")[1]
            self.assertFalse(spellings.is_admin(target.encode("latin-1")), f"the app was asked for {target}")
        self.assertNotIn(200, statuses)

    def test_no_spelling_of_a_forbidden_path_passes_over_http1(self):
        self.assertGreaterEqual(len(spellings.PATHS), 200)
        def check(port, target):
            self.assertTrue(spellings.is_admin(target), "nobody takes this for what is forbidden")
            self.assert_not_admin(ask_http1(self, port, request1(target)))

        self.each(spellings.PATHS, check)

    def test_no_spelling_of_a_forbidden_path_passes_over_http2(self):
        def check(port, target):
            self.assert_not_admin(ask_http2(self, port, request2(target)))

        self.each(spellings.PATHS, check)

    def test_no_spelling_of_the_request_line_passes(self):
        host = b"\r\nHost: app\r\n"
        rows = [
            b"GET http://app/admin HTTP/1.1" + host, b"GET HTTP://APP/admin HTTP/1.1" + host,
            b"GET https://app/admin HTTP/1.1" + host, b"GET http://app//admin HTTP/1.1" + host,
            b"GET http://app/./%61dmin HTTP/1.1" + host, b"GET http://other/admin HTTP/1.1" + host,
            b"GET http://app:80/admin HTTP/1.1" + host, b"GET http://u@app/admin HTTP/1.1" + host,
            b"GET http://app\\admin HTTP/1.1" + host, b"GET http:\\\\app\\admin HTTP/1.1" + host,
            b"GET http:/app/admin HTTP/1.1" + host, b"GET http:///admin HTTP/1.1" + host,
            b"GET http://app;/admin HTTP/1.1" + host, b"GET http://app#/admin HTTP/1.1" + host,
            b"GET ftp://app/admin HTTP/1.1" + host, b"GET file:///admin HTTP/1.1" + host,
            b"GET admin HTTP/1.1" + host, b"GET ./admin HTTP/1.1" + host, b"GET %2fadmin HTTP/1.1" + host,
            b"GET \\admin HTTP/1.1" + host, b"GET ;/admin HTTP/1.1" + host, b"GET ?/admin HTTP/1.1" + host,
            b"GET */admin HTTP/1.1" + host, b"OPTIONS */../admin HTTP/1.1" + host, b"OPTIONS http://app/admin HTTP/1.1" + host,
            b"GET  /admin HTTP/1.1" + host, b"GET\t/admin HTTP/1.1" + host, b"GET /admin  HTTP/1.1" + host,
            b"GET /admin\tHTTP/1.1" + host, b"GET / /admin HTTP/1.1" + host, b"GET /admin / HTTP/1.1" + host,
            b" GET /admin HTTP/1.1" + host, b"\r\nGET /admin HTTP/1.1" + host, b"GET /admin HTTP/1.0" + host,
            b"GET /admin http/1.1" + host, b"GET /admin HTTP/1.2" + host, b"GET /admin HTTP/2.0" + host,
            b"GET /admin\r\n", b"GET /admin" + host, b"GET /ad\x00min HTTP/1.1" + host, b"GET /\x7fadmin HTTP/1.1" + host,
            b"GET /\x01../admin HTTP/1.1" + host, b"GET /admin HTTP/1.1\nHost: app\n\n", b"get /admin HTTP/1.1" + host,
            b"CONNECT /admin HTTP/1.1" + host, b"CONNECT app:80/admin HTTP/1.1" + host, b"HEAD /admin HTTP/1.1" + host,
            b"PROPFIND /%61dmin HTTP/1.1" + host, b"GET / HTTP/1.1" + host + b"Content-Length: 0\r\n\r\nGET //admin HTTP/1.1" + host,
            b"POST / HTTP/1.1" + host + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /;/admin HTTP/1.1" + host,
        ]
        def check(port, row):
            statuses = ask_http1(self, port, row + b"Connection: close\r\n\r\n")
            self.assert_not_admin(statuses[-1:])

        self.each(rows, check)

    def test_no_spelling_of_pseudo_fields_passes(self):
        def with_path(*paths):
            return [(":method", b"GET"), (":scheme", b"http"), *((":path", path) for path in paths), (":authority", b"app")]

        rows = [
            request2(b"/admin", scheme=b"HTTPS"), request2(b"/admin", scheme=b"ftp"), request2(b"/admin", method=b"get"),
            request2(b"http://app/admin"), request2(b"admin"), request2(b""), request2(b"*/admin"), request2(b" /admin"),
            request2(b"/admin "), request2(b"/ad\x00min"), request2(b"/\r\nx: /admin"), request2(b"/ HTTP/1.1\r\n/admin"),
            request2(b"/admin", method=b"GET / HTTP/1.1\r\nx:"), request2(b"/admin", method=b"CONNECT"),
            request2(b"/admin", method=b"OPTIONS"), request2(b"//admin", authority=b"APP"),
            request2(b"/admin", authority=b"app/.."), request2(b"/admin", authority=b"u@app"),
            with_path(b"/", b"/admin"), with_path(b"/admin", b"/"), [*with_path(), ("x", b"y"), (":path", b"/admin")],
            [*with_path(b"/"), (":Path", b"/admin")], [*with_path(b"/admin"), ("host", b"other")],
            [*with_path(b"/admin"), ("Host", b"app")], [(":path", b"/admin"), (":method", b"GET")],
        ]
        def check(port, row):
            self.assert_not_admin(ask_http2(self, port, row))

        self.each(rows, check)

    def test_no_spelling_gets_round_an_rbac_rule(self):
        rules = [{"url_path": {"path": matcher}} for matcher in ({"exact": "/admin"}, {"prefix": "/admin/"})]
        self.assert_guarded_by({"@type": envoy.TYPE + "filters.http.rbac.v3.RBAC", "rules": {
            "action": "DENY", "policies": {"admin": {"permissions": rules, "principals": [{"any": True}]}}}})

    def test_no_spelling_gets_round_a_rule_for_tokens(self):
        rules = [{"match": match, "requires": {"provider_name": "issuer"}} for match in (
            {"path": "/admin"}, {"prefix": "/admin/"})]
        self.assert_guarded_by({"@type": envoy.TYPE + "filters.http.jwt_authn.v3.JwtAuthentication", "rules": rules, "providers": {
            "issuer": {"issuer": "issuer", "local_jwks": {"inline_string": json.dumps({"keys": [KEY]})}}}})

    def assert_guarded_by(self, guard):
        """A filter in front of the router that refuses /admin and what is below it."""
        port = sidecar.free_port()
        guard = {"name": "guard", "typed_config": guard}
        router = {"name": "envoy.filters.http.router", "typed_config": {"@type": envoy.TYPE + "filters.http.router.v3.Router"}}
        listener = envoy.http("in", port, **SAFE, http_filters=[guard, router], route_config={
            "name": "r", "ignore_path_parameters_in_path_matching": True,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [envoy.route()]}]})
        sidecar.start(self, envoy.bootstrap([listener], [envoy.cluster(ports=[self.app.port])]))
        for target in spellings.PATHS:
            with self.subTest(target=target):
                self.app.take()
                self.assert_not_admin(ask_http1(self, port, request1(target)))
                self.assert_not_admin(ask_http2(self, port, request2(target)))
        for target, seen in spellings.NEIGHBOURS:
            with self.subTest(target=target):
                self.assertEqual(ask_http1(self, port, request1(target.encode())), [200])

    # ---- of which hosts, fields and methods are forbidden ----

    def assert_none_seen(self, judge):
        for request in self.app.take():
            self.assertFalse(judge(request), f"the app saw {request.raw}")

    def test_no_spelling_of_a_forbidden_host_passes(self):
        def is_forbidden(request):
            host = spellings.unquote_to_bytes((request.get("host") or "").lower()).strip()
            name, colon, port = host.rpartition(b":")
            if colon and b"]" not in port:
                host = name
            return host.rstrip(b".").split(b"@")[-1] in (b"admin.shop", b"[::1]", b"[0:0:0:0:0:0:0:1]", b"[0::1]", b"[::0001]")

        names = [
            b"admin.shop", b"ADMIN.SHOP", b"Admin.Shop", b"admin.shop:", b"admin.shop.", b"admin.shop..", b"Admin.SHOP.:",
            b"admin.shop:80", b"admin.shop:443", b"admin.shop:0", b"admin.shop:00080", b"ADMIN.shop.:080", b"[::1]:80",
            b"%61dmin.shop", b"admin%2eshop", b"user@admin.shop", b"u:p@admin.shop", b"admin.shop:80:80", b"admin.shop:x",
            b"[::1]", b"[0:0:0:0:0:0:0:1]", b"[0::1]", b"[::0001]", b"[0:0::0:1]:", b"[::1", b"admin.shop/", b"admin.shop\\",
            b"admin.shop#", b"admin.shop?", b"admin .shop", b"admin.shop\x00", b"//admin.shop",
        ]
        def check(port, name):
            statuses = ask_http1(self, port, request1(fields=b"Host: \t" + name + b" "))
            statuses += ask_http2(self, port, request2(authority=name))
            statuses += ask_http2(self, port, [*request2()[:3], ("host", name)])
            statuses += ask_http1(self, port, request1(b"http://" + name + b"/", b"Host: " + name))
            statuses += ask_http1(self, port, request1(b"http://" + name + b"/", b"Host: app"))
            statuses += ask_http1(self, port, request1(b"http://app/", b"Host: " + name))
            statuses += ask_http1(self, port, request1(fields=b"Host: app\r\nHost: " + name))
            statuses += ask_http1(self, port, request1(fields=b"Host: " + name + b"\r\nHost: app"))
            statuses += ask_http2(self, port, request2(more=[("host", name)]))
            self.assert_none_seen(is_forbidden)
            self.assertNotIn(200, statuses)

        self.each(names, check)

    def test_a_port_is_part_of_a_host_only_where_it_says_something(self):
        port, proxy = self.proxies["refuse"]
        for sent, seen in ((b"Users.Shop:080", "users.shop:80"), (b"users.shop:", "users.shop"), (b"users.shop.:80", "users.shop:80"),
                           (b"users.shop:0", "users.shop:0"), (b"[2001:DB8:0::1]:80", "[2001:db8::1]:80")):
            self.app.take()
            self.assertEqual(ask_http1(self, port, request1(fields=b"Host: " + sent)), [200], sent)
            self.assertEqual(ask_http2(self, port, request2(authority=sent)), [200], sent)
            self.assertEqual([request.get("host") for request in self.app.take()], [seen, seen])

    def test_no_spelling_of_a_forbidden_field_passes(self):
        def is_forbidden(request):
            values = [value for name, value in request.fields if name.lower().replace("_", "-").strip() == "x-role"]
            return any(value.strip() == "admin" for value in values)

        http1 = [
            b"X-Role: admin", b"x-role:admin", b"X-ROLE:   admin  ", b"x-role:\tadmin\t", b"X_Role: admin", b"x_role:admin",
            b"x-role: a\r\nx-role: admin", b"x-role: admin\r\nx-role: a", b"x-role: a\r\nX-Role: admin\r\nx-role: b",
            b"x-role:\r\n admin", b"x-role: a\r\n\tadmin", b"x-role : admin", b"x-role\t: admin", b"x-role: ad\x00min",
            b"x-role: admin\x0b", b"x-role: admin\x00", b" x-role: admin", b"x-role: a\rx-role: admin", b"x-role: a\nx-role: admin",
            b"x: y\n\rx-role: admin", b"x-role\x00: admin", b"x-role;: a\r\nx-role: admin", b"Connection: x-role\r\nx-role: admin",
            b"x-role: admin\r\nX_ROLE: a", b"X-role: a\r\nx_role: admin", b"\x00x-role: admin", b"x\xc2\xadrole: admin",
        ]
        def check(port, field):
            statuses = ask_http1(self, port, request1(fields=b"Host: app\r\n" + field))
            self.assert_none_seen(is_forbidden)
            if b"_" not in field and b"Connection" not in field:
                self.assertNotIn(200, statuses)

        self.each(http1, check)
        http2 = [
            [("x-role", b"admin")], [("X-Role", b"admin")], [("x_role", b"admin")], [("x-role", b" admin")], [("x-role", b"admin\t")],
            [("x-role", b"a"), ("x-role", b"admin")], [("x-role", b"admin"), ("x-role", b"a")], [("x-role ", b"admin")],
            [("x-role:", b"admin")], [("x", b"y\r\nx-role: admin")], [("x\r\nx-role", b"admin")], [("x-role", b"admin\x00")],
            [("connection", b"x-role"), ("x-role", b"admin")], [("x-role", b"a"), ("x_role", b"admin")],
        ]
        def check(port, more):
            ask_http2(self, port, request2(more=more))
            self.assert_none_seen(is_forbidden)

        self.each(http2, check)

    def test_no_spelling_of_a_forbidden_method_passes(self):
        def is_forbidden(request):
            return request.first.split(" ")[0].upper().strip() == "DELETE"

        def check(port, method):
            statuses = ask_http1(self, port, request1(method=method))
            statuses += ask_http2(self, port, request2(method=method))
            self.assert_none_seen(is_forbidden)
            if b"," not in method:
                self.assertNotIn(200, statuses)

        self.each([b"DELETE", b"delete", b"Delete", b"DELETe", b"DELETE\t", b"DEL\x00ETE", b"\tDELETE", b"DELETE,GET"], check)

    def test_what_only_the_mesh_may_say_is_not_believed_of_a_client(self):
        names = ["x-envoy-original-path", "x-envoy-original-host", "x-envoy-original-url", "x-envoy-internal", "x-envoy-retry-on",
                 "x-envoy-upstream-rq-timeout-ms", "x-envoy-expected-rq-timeout-ms", "x-forwarded-client-cert",
                 "X-Forwarded-Client-Cert", "x_forwarded_client_cert", "X_Forwarded-Client_Cert", "x_envoy_original_path"]
        def check(port, name):
            self.assertEqual(ask_http1(self, port, request1(fields=f"Host: app\r\n{name}: /admin".encode())), [200])
            ask_http2(self, port, request2(more=[(name.lower(), b"/admin")]))
            for request in self.app.take():
                found = [field for field, _ in request.fields if field.lower().replace("_", "-") == name.lower().replace("_", "-")]
                self.assertEqual(found, [])

        self.each(names, check)

    # ---- what is not forbidden ----

    def test_legitimate_neighbours_arrive_in_their_canonical_form(self):
        def check(port, row):
            sent, seen = row
            self.assertFalse(spellings.is_admin(seen.encode()))
            self.assertEqual(ask_http1(self, port, request1(sent.encode())), [200])
            self.assertEqual(ask_http2(self, port, request2(sent.encode())), [200])
            self.assertEqual([request.first.split(" ")[1] for request in self.app.take()], [seen, seen])

        self.each(spellings.NEIGHBOURS, check)

    def test_escaped_slashes_elsewhere_are_refused_decoded_or_redirected(self):
        self.app.take()
        for name, status, seen in (("refuse", 400, []), ("short", 400, []), ("redirect", 307, []), ("decode", 200, ["/a/b/c"]),
                                   ("short, decode", 200, ["/a/b/c"])):
            self.assertEqual(ask_http1(self, self.proxies[name][0], request1(b"/a%2fb%5Cc")), [status], name)
            self.assertEqual([request.first.split(" ")[1] for request in self.app.take()], seen, name)

    def test_the_log_says_what_the_app_saw(self):
        for name in ("refuse", "short"):
            port, proxy = self.proxies[name]
            self.app.take()
            for sent in (b"/a/../log//%61", b"/caf%c3%a9;logged", b"/;x/log"):
                self.assertEqual(ask_http1(self, port, request1(sent, b"Host: Users.Shop.:080")), [200])
            seen = [request.first.split(" ")[1] for request in self.app.take()]
            self.assertEqual(seen, ["/log/a", "/caf%C3%A9;logged", "/;x/log"])
            # Each worker has a queue of lines of its own, and those of other tests may come as late as these.
            sidecar.until(f"{name}: the same in the log", lambda: set(seen) <= {
                line["path"] for line in proxy.access_log()})


if __name__ == "__main__":
    unittest.main()
