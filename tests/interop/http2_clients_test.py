#!/usr/bin/env python3
"""HTTP/2 as others implement it: nghttp, h2load, Node and Go as clients, nghttpd, Node and Go as servers; each through
one sidecar, which translates where the server speaks HTTP/1.1, and through two with mutual TLS between them.
(More of curl: tests/e2e/http2_both_test.py; gRPC: tests/e2e/grpc_test.py, grpc_interop_test.py.)"""

import hashlib
import json
import os
import re
import tempfile
import unittest

import envoy_config as envoy
import programs
from authority import USERS, Authority
from clients import PRIOR, curl, h2load, nghttp, run, run_cases
from clients_test import CASES, origin
from peers import Upstream
from ways import Ways

NODE_CASES = ["concurrent streams", "large", "back-pressure", "trailers", "interim answers", "expect", "resets",
              "a small window", "a download that is cancelled", "an upload that is cancelled",
              "an answer that is cut off", "ping", "the end"]
UPLOAD = os.urandom(1_000_000)


class Http2(unittest.TestCase):
    """Clients and load, to Node behind each protocol."""

    @classmethod
    def setUpClass(cls):
        certificate, key, bundle = Authority(cls).issue(USERS)
        trust = envoy.tls_client((None, None, bundle), ["spiffe://mesh.local/"])
        cls.ways = Ways(cls, {
            "http1": (programs.echo_server(cls, "http1").port, envoy.EXPLICIT_H1),
            "h2c": (programs.echo_server(cls, "h2c").port, envoy.EXPLICIT_H2),
            "alpn": (programs.echo_server(cls, "tls", certificate, key).port, envoy.AUTO, trust)})
        cls.urls = [*((way, f"http://127.0.0.1:{port}") for way, port in cls.ways.all()),
                    *((f"{way} by TLS", f"https://127.0.0.1:{port}") for way, port in cls.ways.tls.items())]
        cls.upload, cls.small = (os.path.join(programs.folder(cls), "upload") for _ in range(2))
        for path, content in ((cls.upload, UPLOAD), (cls.small, UPLOAD[:30_000])):
            with open(path, "wb") as out:
                out.write(content)

    def each(self, check, **settle):
        for way, url in self.urls:
            with self.subTest(way):
                check(url)
        self.ways.settle(**settle)

    @classmethod
    def tearDownClass(cls):
        cls.ways.end()

    def test_nghttp(self):
        def check(url):
            # Its own table: id, three times, status, size, path.
            table = nghttp("-ns", "-m", "50", "--no-push", url + "/?size=10000")
            self.assertEqual(len(re.findall(r" 200 +9?[K\d]+ /\?size=10000$", table, re.M)), 50, table)
            # Without its length, or HTTP/1.1 could not carry the trailers.
            seen = json.loads(nghttp("-d", self.upload, "--no-content-length", "--trailer", "x-end: 7", url + "/up"))
            self.assertEqual((seen["method"], seen["length"], seen["digest"], seen["trailers"]),
                             ("POST", len(UPLOAD), hashlib.sha256(UPLOAD).hexdigest(), {"x-end": "7"}))
            table = nghttp("-ns", "-m", "10", "-d", self.upload, url + "/up")
            self.assertEqual(len(re.findall(r" 200 +\d+ /up$", table, re.M)), 10, table)
            self.assertIn("x-sum: 10", nghttp("-nv", url + "/?trailer&size=10"))
        self.each(check)

    def test_node(self):
        # An answer that is cut off is an error of HTTP/1.1's framing; a reset before it is a 503, as the client checks.
        self.each(lambda url: run_cases(NODE_CASES, *programs.node("http2_client.js"), url),
                  but=r"^cluster\.http1\.upstream_cx_protocol_error$|_rq_5xx$")

    def test_load(self):
        def check(url):
            h2load(url + "/", 2000, "-c", "8", "-m", "32")
            h2load(url + "/?size=20000", 500, "-c", "4", "-m", "16", "-d", self.small, "-w", "14", "-W", "16")
            h2load(url + "/?size=100", 1000, "-c", "2", "-m", "100", "-d", self.small)
            h2load(url + "/", 500, "-c", "8", "--h1")
        self.each(check)

    def test_curl(self):
        def check(url):
            # curl 7.88 fails when a second request takes a connection of prior knowledge, before nghttpd too.
            for option, count in (((PRIOR, "--parallel-immediate"), 50), (("--http2",), 100)):
                for upload in ((), ("-H", "Expect:", "--data-binary", "@" + self.small)):
                    out = run("curl", "-sSk", "--noproxy", "*", "-m", "30", "-Z", "--parallel-max", "50", *option,
                              *upload, f"{url}/?n=[1-{count}]").decode()
                    lengths = re.findall(r'"length":(\d+)', out)
                    self.assertEqual(lengths, ["30000" if upload else "0"] * count, out[-2000:])
        self.each(check)


class Servers(unittest.TestCase):
    """nghttpd and Go's net/http behind sidecars; Node's are above."""

    @classmethod
    def setUpClass(cls):
        certificate, key, bundle = Authority(cls).issue(USERS)
        trust = envoy.tls_client((None, None, bundle), ["spiffe://mesh.local/"])
        files = {"index.html": b"x" * 1000, "large": UPLOAD}
        cls.go = programs.go_server(cls)
        cls.ways = Ways(cls, {
            "nghttpd": (programs.nghttpd(cls, files, "--no-tls").port, envoy.EXPLICIT_H2),
            "nghttpd-tls": (programs.nghttpd(cls, files, key, certificate).port, envoy.AUTO, trust),
            "go": (cls.go.port, envoy.EXPLICIT_H2), "go-http1": (cls.go.port, envoy.EXPLICIT_H1)})

    def test_load(self):
        for way, port in self.ways.all():
            with self.subTest(way):
                url = f"http://127.0.0.1:{port}/"
                h2load(url, 2000, "-c", "8", "-m", "32")
                h2load(url, 500, "-c", "8", "--h1")
        self.ways.settle()

    @classmethod
    def tearDownClass(cls):
        cls.ways.end()

    def test_whole_files(self):
        for way, port in self.ways.all():
            if not way.startswith("nghttpd"):
                continue
            for option in ("--http1.1", PRIOR):
                with self.subTest(way, option=option):
                    self.assertEqual(curl(f"http://127.0.0.1:{port}/large", option)[1::2], (200, UPLOAD))
        self.ways.settle()


class SmallServer(unittest.TestCase):
    """A server with windows of 1,000 bytes, three streams and no table."""

    def test_uploads_and_many_streams(self):
        ways = Ways(self, {"small": (programs.echo_server(self, "small").port, envoy.EXPLICIT_H2)})
        with tempfile.NamedTemporaryFile() as upload:
            upload.write(UPLOAD[:300_000])
            upload.flush()
            for way, port in ways.all():
                with self.subTest(way):
                    url = f"http://127.0.0.1:{port}/?size=100"
                    h2load(url, 500, "-c", "2", "-m", "50")
                    # Each worker learns how many streams the server takes: what it refuses is asked again, but for
                    # bodies that are not kept any more by then.
                    h2load(url, 200, "-c", "16", "-m", "4")
                    h2load(url, 20, "-c", "1", "-m", "10", "-d", upload.name)
        ways.settle()
        ways.end()


class GoClient(unittest.TestCase):
    """Go's net/http as a client of HTTP/2, with the cases of HTTP/1.1 and the same origin."""

    def test_its_cases(self):
        ways = Ways(self, {"origin": (Upstream(self, origin).port, envoy.EXPLICIT_H1)})
        for way, port in ways.all():
            with self.subTest(way):
                run_cases(CASES, programs.built_go("client"), f"http://127.0.0.1:{port}", "http2")
        ways.settle()
        ways.end()


if __name__ == "__main__":
    unittest.main()
