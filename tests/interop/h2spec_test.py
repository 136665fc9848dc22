#!/usr/bin/env python3
"""h2spec's conformance tests of HTTP/2, every case of them: against the sidecar as a server (generic, http2 and hpack,
those of --strict too) and as a client (the cases of h2specd)."""

import re
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import USERS, Authority
from clients import run
from ways import ALPN, RUNNING, none_is_left

SERVER_CASES = 146
CLIENT_CASES = 57
# With fewer streams to fill the limit of a connection.
STREAMS = {"http2_protocol_options": {"max_concurrent_streams": 100}}
# Cases of h2spec 2.2.1, made for RFC 7540, that RFC 9113 contradicts.
WRONG = {
    # PRIORITY that depends on itself: RFC 9113, 5.3.2, deprecates the dependencies, and 6.3 knows no such error.
    # We announce SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218, 2.1), behind which the signals are not looked at.
    "http2/5.3.1/2",
    # Frames behind a server's END_STREAM: RFC 9113, 5.1, allows a connection error, where 7540 wanted one.  We say
    # RST_STREAM (6.1), for there are real servers that do so, and streams of others on their connections.
    "client/5.1/8", "client/5.1/9",
}


class H2spec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program = programs.built_go_module("go-h2spec")
        cls.authority = Authority(cls)
        cls.files = cls.authority.issue(USERS)

    def check(self, count, *arguments):
        """Runs cases, of which there must be `count`; each that does not pass is a failure of its own."""
        out = run(self.program, *arguments, seconds=120).decode()
        cases = re.findall(r"^(pass|skip|fail) (\S+) (.*)$", out, re.M)
        self.assertEqual(len(cases), count, out)
        for verdict, case, what in cases:
            with self.subTest(case):
                self.assertEqual(verdict == "pass", case not in WRONG, f"{verdict}: {what}")

    def tls(self):
        tls = envoy.tls_server(self.files, require=False)
        tls["typed_config"]["common_tls_context"]["alpn_protocols"] = ALPN
        return tls

    def test_the_server(self):
        upstreams = {"h1": ("http1", envoy.EXPLICIT_H1), "h2": ("h2c", envoy.EXPLICIT_H2)}
        ports = {(name, secure): sidecar.free_port() for name in upstreams for secure in ((), ("tls",))}
        # In clear text by prior knowledge: with AUTO a wrong preface is a request of HTTP/1.1, and answered by 400.
        proxy = sidecar.start(self, envoy.bootstrap([
            envoy.http(f"in_{port}", port, [envoy.route(name)], tls=self.tls() if secure else None,
                       codec_type="AUTO" if secure else "HTTP2", log=False, **STREAMS)
            for (name, secure), port in ports.items()], [
            envoy.http_cluster(programs.echo_server(self, kind).port, options, name)
            for name, (kind, options) in upstreams.items()]))
        for (name, secure), port in ports.items():
            with self.subTest(upstream=name, secure=secure):
                self.check(SERVER_CASES, "server", f"127.0.0.1:{port}", "/", *secure)
        none_is_left(proxy, RUNNING)

    def test_the_client(self):
        trust = envoy.tls_client((None, None, self.authority.bundle), ["spiffe://mesh.local/"])
        for options, tls, files in ((envoy.EXPLICIT_H2, None, ("", "")), (envoy.AUTO, trust, self.files[:2])):
            with self.subTest(secure=bool(tls)):
                port, ports = sidecar.free_port(), [sidecar.free_port() for _ in range(CLIENT_CASES)]
                routes = [{"match": {"path": f"/{n}"}, "route": {"cluster": f"case {n}"}} for n in range(len(ports))]
                proxy = sidecar.start(self, envoy.bootstrap([envoy.http("in", port, routes)], [
                    envoy.http_cluster(case, options, f"case {n}", tls) for n, case in enumerate(ports)]))
                self.check(CLIENT_CASES, "client", f"http://127.0.0.1:{port}", *files, *map(str, ports))
                none_is_left(proxy, RUNNING)


if __name__ == "__main__":
    unittest.main()
