#!/usr/bin/env python3
"""HTTP/2 from real clients (curl, nghttp, h2load), by prior knowledge and by ALPN, to an HTTP/1.1 origin."""

import json
import os
import signal
import threading
import time
import unittest

import envoy_config as envoy
import sidecar
from authority import CUSTOMER, USERS, Authority
from clients import PRIOR, curl, h2load, nghttp, run
from peers import Upstream, answers, connect, get, reply



class ClearText(unittest.TestCase):
    def proxy(self, *scripts, **hcm):
        self.upstream = Upstream(self, *scripts)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, **({"codec_type": "AUTO"} | hcm))],
            [envoy.cluster(ports=[self.upstream.port])]), flags=["--concurrency", "1"])
        return f"http://127.0.0.1:{self.port}"

    def test_a_request_arrives_at_the_origin_as_http_1_1(self):
        url = self.proxy()
        version, status, head, body = curl(url + "/a?b=c", PRIOR, "-H", "Cookie: a=1; b=2", "-H", "X-Case: Kept")
        self.assertEqual((version, status), ("2", 200), head)
        answer = json.loads(body)
        fields = dict(answer["fields"])
        self.assertEqual((answer["method"], answer["target"]), ("GET", "/a?b=c"))
        self.assertEqual(fields["host"], f"127.0.0.1:{self.port}")
        self.assertEqual((fields["cookie"], fields["x-case"]), ("a=1; b=2", "Kept"))
        self.assertNotIn("connection", head.lower())
        self.assertEqual(self.sidecar.wait_access_log(1)[0]["protocol"], "HTTP/2")
        stats = self.sidecar.stats()
        self.assertEqual((stats["http.in.downstream_cx_http2_total"], stats["http.in.downstream_rq_http2_total"]), (1, 1))
        self.assertEqual(stats["http.in.downstream_cx_http1_total"], 0)

    def test_the_same_listener_speaks_http_1(self):
        url = self.proxy()
        self.assertEqual(curl(url, "--http1.1")[:2], ("1.1", 200))
        self.assertEqual(curl(url, PRIOR)[:2], ("2", 200))
        client = connect(self, self.port)
        for byte in b"PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n":  # begins as the preface does
            client.send(bytes([byte]))
        self.assertEqual(client.read_response().status, 200)

    def test_a_preface_in_pieces_is_understood(self):
        self.proxy()
        client = connect(self, self.port)
        for piece in (b"P", b"RI * HTTP/2", b".0\r\n\r\nSM\r\n", b"\r\n\0\0\0\4\0\0\0\0", b"\0"):
            client.send(piece)
            time.sleep(0.02)
        self.assertEqual(client.read(9)[3], 4)  # its SETTINGS

    def test_codec_type_http2_takes_nothing_else(self):
        url = self.proxy(codec_type="HTTP2")
        self.assertEqual(curl(url, PRIOR)[:2], ("2", 200))
        client = connect(self, self.port)
        client.send(get())
        self.assertNotIn(b"HTTP/1.1", client.read(1 << 16))

    def test_large_bodies_pass_both_ways(self):
        payload = os.urandom(4 << 20)
        url = self.proxy()
        _, status, _, body = curl(url, PRIOR, "--data-binary", "@-", "-H", "Expect:", data=payload)
        self.assertEqual((status, json.loads(body)["length"]), (200, len(payload)))

        def large(peer):
            while peer.read_request():
                peer.send(reply(payload))
        url = self.proxy(large)
        self.assertEqual(curl(url, PRIOR)[3], payload)

    def test_trailers_pass(self):
        url = self.proxy(answers(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n"))
        self.assertIn("x-end: yes", nghttp("-v", url))

    def test_many_streams_share_a_connection(self):
        url = self.proxy()
        h2load(url, 2000, "-c", "2", "-m", "50")
        self.assertEqual(self.sidecar.stats()["http.in.downstream_cx_http2_total"], 2)
        self.sidecar.wait_stat("http2.streams_active", 0)

    def test_a_failing_upstream_is_told_in_http_2_and_in_grpc(self):
        port = sidecar.free_port()
        sidecar.start(self, envoy.bootstrap([envoy.http("in", port, codec_type="AUTO")],
                                            [envoy.cluster(ports=[sidecar.free_port()])]))
        url = f"http://127.0.0.1:{port}"
        self.assertEqual(curl(url, PRIOR)[1], 503)
        for options in ((PRIOR,), ("--http1.1",)):
            # Without a body: curl 7.88 waits for ever when the response is complete before its upload.
            _, status, head, body = curl(url, *options, "-H", "content-type: application/grpc+proto", "-X", "POST")
            self.assertEqual((status, body), (200, b""))
            fields = dict(line.split(": ", 1) for line in head.replace("\r", "").split("\n") if ": " in line)
            self.assertEqual((fields["content-type"], fields["grpc-status"]), ("application/grpc", "14"))
            self.assertIn("upstream connect error", fields["grpc-message"])

    def test_a_drain_loses_nothing(self):
        begun = threading.Event()
        go = threading.Event()

        def slow(peer):
            while peer.read_request():
                begun.set()
                go.wait(10)
                peer.send(reply(b"late"))
        url = self.proxy(slow)
        result = []
        thread = threading.Thread(target=lambda: result.append(curl(url, PRIOR)))
        thread.start()
        begun.wait(10)
        self.sidecar.post("/drain_listeners?graceful")
        self.sidecar.wait_stat("http2.goaway_sent", 1)
        go.set()
        thread.join()
        self.assertEqual(result[0][1::2], (200, b"late"))

    def test_a_reload_under_load_fails_no_request(self):
        url = self.proxy()
        done = []
        thread = threading.Thread(
            target=lambda: done.append(run("h2load", "-D", "2", "-c", "4", "-m", "10", url).decode()))
        thread.start()
        for n in range(4):
            time.sleep(0.4)
            config = envoy.bootstrap([envoy.http("in", self.port, codec_type="AUTO", server_name=f"v{n}")],
                                     [envoy.cluster(ports=[self.upstream.port])])
            self.sidecar.write(config)
        thread.join()
        self.assertRegex(done[0], r" 0 failed, 0 errored")


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users, cls.customer = cls.ca.issue(USERS), cls.ca.issue(CUSTOMER)

    def test_alpn_chooses_the_protocol_on_the_short_files_mtls_listener(self):
        upstream, port = Upstream(self), sidecar.free_port()
        proxy = sidecar.start(self, f"""
workload:
  name: users
  namespace: shop
  trust_domain: mesh.local
  certificates: {{ files: {{ cert: {self.users[0]}, key: {self.users[1]}, ca: {self.users[2]} }} }}
inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{upstream.port} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
""")
        certificates = ("-k", "--cert", self.customer[0], "--key", self.customer[1])
        for option, version in (("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1")):
            got, status, _, body = curl(f"https://127.0.0.1:{port}/x", *certificates, option)
            self.assertEqual((got, status), (version, 200))
            self.assertIn(CUSTOMER, dict(json.loads(body)["fields"])["x-forwarded-client-cert"])
        stats = proxy.stats()
        self.assertEqual(stats["http.inbound.downstream_cx_http2_total"], 1)
        self.assertEqual(stats["http.inbound.downstream_cx_http1_total"], 2)


if __name__ == "__main__":
    unittest.main()
