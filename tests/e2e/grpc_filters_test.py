#!/usr/bin/env python3
"""The filters of gRPC in a real sidecar, before Debian's grpcio as the server: native clients through all of them,
browsers (grpc-web, binary and text, as its specification says), clients of HTTP/1.1, and what is counted."""

import base64
import os
import random
import re
import struct
import unittest
from urllib.parse import unquote

import envoy_config as envoy
import programs
import sidecar
from clients import PRIOR, curl, run
from filters_test import ROUTER, http_filter
from peers import connect, get

WEB = http_filter("web", "grpc_web.v3.GrpcWeb")
BRIDGE = http_filter("bridge", "grpc_http1_bridge.v3.Config", upgrade_protobuf_to_grpc=True)
STATS = http_filter("stats", "grpc_stats.v3.FilterConfig", stats_for_all_methods=True, enable_upstream_stats=True)
BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text"


def frame(content, flags=0):
    return struct.pack(">BI", flags, len(content)) + content


def frames(body):
    """[(flags, content)]"""
    out = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        out.append((flags, body[5:5 + size]))
        body = body[5 + size:]
    return out


def in_pieces(text):
    """Chunks of any size, as a slow client's writes."""
    out = b""
    while text:
        part = text[:random.randint(1, 1 + len(text) // 3)]
        out += b"%x\r\n%b\r\n" % (len(part), part)
        text = text[len(part):]
    return out + b"0\r\n\r\n"


def decoded(text):
    """Base64 whose parts may be padded each for itself."""
    return b"".join(base64.b64decode(text[at:at + 4], validate=True) for at in range(0, len(text), 4))


class Browser:
    """A client of grpc-web on a connection of HTTP/1.1."""

    def __init__(self, test, port, content_type):
        self.peer, self.type = connect(test, port), content_type

    def call(self, method, *messages):
        """([message], status, text)"""
        body = [frame(message) for message in messages]
        if self.type == TEXT:
            body = [base64.b64encode(part) for part in body]
        reply = self.peer.exchange(
            get(f"/echo.Echo/{method}", f"Content-Type: {self.type}", f"Accept: {self.type}", "X-Grpc-Web: 1",
                "Transfer-Encoding: chunked", method="POST") + in_pieces(b"".join(body)))
        expected = "application/grpc-web-text+proto" if self.type == TEXT else BINARY
        assert reply.get("content-type") == expected, reply.get("content-type")
        found = frames(decoded(reply.body) if self.type == TEXT else reply.body)
        trailers = {}
        if found and found[-1][0] == 0x80:
            trailers = dict(line.split(":", 1) for line in found.pop()[1].decode().split("\r\n") if line)
        status = trailers.get("grpc-status", reply.get("grpc-status"))
        return ([content for _, content in found], int(status),
                unquote(trailers.get("grpc-message", reply.get("grpc-message")) or ""))


class GrpcFilters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = programs.grpc_server(cls)

    def proxy(self, *filters, **hcm):
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, codec_type="AUTO", http_filters=[*filters, ROUTER], **hcm)],
            [envoy.http_cluster(self.server.port, envoy.EXPLICIT_H2)]))

    def grpc_stat(self, name):
        return self.sidecar.stats()[f"cluster.app.grpc.echo.Echo.{name}"]

    def test_native_clients_pass_all_filters(self):
        self.proxy(WEB, BRIDGE, STATS)
        client = os.path.join(programs.INTEROP, "grpc_client.py")
        self.assertEqual(run(programs.find_grpc_python(), client, str(self.port), seconds=120).count(b" ok\n"), 8)
        for name, value in (("Unary.0", 215), ("Unary.success", 215), ("Unary.total", 215),
                            ("Unary.request_message_count", 215), ("Unary.response_message_count", 215),
                            ("Bidi.request_message_count", 577), ("Bidi.response_message_count", 577),
                            ("ClientStream.request_message_count", 100), ("Fail.failure", 3), ("Fail.14", 1)):
            self.sidecar.wait_stat(f"cluster.app.grpc.echo.Echo.{name}", value)
        stats = self.sidecar.stats()
        self.assertEqual(stats["cluster.app.grpc.12"], 1)  # /echo.Echo/None
        self.assertNotIn("cluster.app.grpc.echo.Echo.None.12", stats)
        text = self.sidecar.get("/stats/prometheus")[1]
        self.assertIn('envoy_cluster_grpc_0{envoy_grpc_bridge_service="echo.Echo",envoy_grpc_bridge_method="Unary",'
                      'envoy_cluster_name="app"} 215\n', text)
        self.assertIn('envoy_cluster_grpc_12{envoy_cluster_name="app"} 1\n', text)
        self.assertIn('envoy_cluster_grpc_upstream_rq_time_count{envoy_grpc_bridge_service="echo.Echo",'
                      'envoy_grpc_bridge_method="Unary",envoy_cluster_name="app"} 215\n', text)
        self.assertEqual(text.count("# TYPE envoy_cluster_grpc_total "), 1)

    def test_browsers(self):
        self.proxy(WEB, STATS)
        large = os.urandom(1 << 20)
        for content_type in (BINARY, TEXT):
            with self.subTest(content_type):
                browser = Browser(self, self.port, content_type)
                self.assertEqual(browser.call("Unary", b"hello"), ([b"hello"], 0, ""))
                self.assertEqual(browser.call("Unary", b""), ([b""], 0, ""))
                self.assertEqual(browser.call("Unary", large), ([large], 0, ""))
                self.assertEqual(browser.call("ServerStream", b"100,1000"),
                                 ([bytes([i]) * 1000 for i in range(100)], 0, ""))
                self.assertEqual(browser.call("ClientStream", *[b"x" * i for i in range(50)]), ([b"50,1225"], 0, ""))
                self.assertEqual(browser.call("Bidi", b"a", b"bc", b""), ([b"a", b"bc", b""], 0, ""))
                self.assertEqual(browser.call("Fail", b"5"), ([], 5, "as asked: 50% \u00e9"))
                self.assertEqual(browser.call("None", b"")[:2], ([], 12))
        self.assertEqual(self.grpc_stat("Unary.0"), 6)

    def test_a_browser_without_a_server(self):
        self.proxy(WEB, routes=[{"match": {"prefix": "/"}, "direct_response": {
            "status": 503, "body": {"inline_string": "busy: 50%"}}}])
        for content_type in (BINARY, TEXT):
            self.assertEqual(Browser(self, self.port, content_type).call("Unary", b"x"), ([], 14, "busy: 50%"))

    def test_clients_of_http1(self):
        self.proxy(BRIDGE, STATS)
        client = connect(self, self.port)

        def call(method, body, content_type="application/grpc"):
            return client.exchange(get(f"/echo.Echo/{method}", f"Content-Type: {content_type}", method="POST", body=body))
        reply = call("Unary", frame(b"hello"))
        self.assertEqual((reply.status, reply.get("grpc-status"), reply.body), (200, "0", frame(b"hello")))
        self.assertEqual(reply.get("content-length"), "10")
        reply = call("Fail", frame(b"14"))
        self.assertEqual((reply.status, reply.get("grpc-status"), unquote(reply.get("grpc-message"))),
                         (503, "14", "as asked: 50% \u00e9"))
        for message in (b"", b"hello", os.urandom(500_000)):
            reply = call("Unary", message, "application/x-protobuf")
            self.assertEqual((reply.status, reply.get("grpc-status"), reply.body == message), (200, "0", True))
            self.assertEqual(reply.get("content-type"), "application/x-protobuf")
        reply = call("Fail", b"5", "application/x-protobuf")
        self.assertEqual((reply.status, reply.get("grpc-status"), reply.body), (503, "5", b""))
        self.assertEqual(self.grpc_stat("Unary.0"), 4)

    def test_replies_of_the_proxy_have_no_length_over_http2(self):
        self.proxy(STATS, routes=[envoy.route(prefix="/only")])
        version, status, head, body = curl(f"http://127.0.0.1:{self.port}/a.B/C", PRIOR, "-X", "POST", "-H",
                                           "content-type: application/grpc")
        self.assertEqual((version, status, body), ("2", 200, b""))
        fields = dict(re.findall(r"^([\w-]+): (.*?)\r?$", head, re.M))
        self.assertEqual((fields["content-type"], fields["grpc-status"]), ("application/grpc", "12"))
        self.assertNotIn("content-length", fields)


if __name__ == "__main__":
    unittest.main()
