#!/usr/bin/env python3
"""What the proxy does to header fields, and the two ways out of HTTP: CONNECT and Upgrade."""

import re
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, echo, get, reply


class Fields(unittest.TestCase):
    def proxy(self, *scripts, cluster=None, **hcm):
        self.upstream = Upstream(self, *scripts)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, **hcm)], [envoy.cluster(ports=[self.upstream.port])]))
        return connect(self, self.port)

    def seen(self, client, *fields):
        """The upstream's view of a request with these fields."""
        names = {}
        for name, value in client.exchange(get("/", *fields)).json()["fields"]:
            names.setdefault(name.lower(), []).append(value)
        return names

    def test_hop_by_hop_fields_end_here(self):
        client = self.proxy()
        seen = self.seen(client, "Connection: keep-alive, X-Private", "X-Private: 1", "Keep-Alive: 5", "TE: trailers",
                         "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA==", "X-Public: 1")
        for name in ("x-private", "keep-alive", "proxy-connection"):
            self.assertNotIn(name, seen)
        # The proxy's own: it takes trailers where its client does.
        self.assertEqual((seen["te"], seen["connection"]), (["trailers"], ["te"]))
        self.assertEqual(seen["x-public"], ["1"])

    def test_hop_by_hop_fields_of_a_response_end_here_too(self):
        client = self.proxy(answers(reply(b"a", "Connection: X-Private", "X-Private: 1", "Keep-Alive: timeout=5",
                                          "X-Public: 1")))
        answer = client.exchange(get())
        for name in ("connection", "x-private", "keep-alive"):
            self.assertIsNone(answer.get(name), answer.raw)
        self.assertEqual(answer.get("x-public"), "1")

    def test_framing_and_host_cannot_be_named_by_connection(self):
        client = self.proxy()
        answer = client.exchange(get("/", "Connection: Content-Length, Host, close", method="POST", body=b"four"))
        self.assertEqual(answer.json()["length"], 4)
        self.assertIn(["host", "app"], answer.json()["fields"])

    def test_inside_the_mesh_what_was_said_before_stays(self):
        seen = self.seen(self.proxy(), "X-Forwarded-For: 10.1.1.1", "X-Forwarded-Proto: https", "X-Request-Id: mine")
        self.assertEqual((seen["x-forwarded-for"], seen["x-forwarded-proto"], seen["x-request-id"]),
                         (["10.1.1.1"], ["https"], ["mine"]))

    def test_the_server_field_is_the_proxys_unless_it_passes_through(self):
        for transformation, expected in ((None, "envoy"), ("PASS_THROUGH", "origin")):
            more = {"server_header_transformation": transformation} if transformation else {}
            with self.subTest(transformation=transformation):
                client = self.proxy(answers(reply(b"a", "Server: origin")), **more)
                self.assertIn(client.exchange(get()).get("server"), (expected, "pillion" if not transformation else ""))

    def test_connect_is_refused_and_counted(self):
        client = self.proxy()
        answer = client.exchange(b"CONNECT app:443 HTTP/1.1\r\nHost: app:443\r\n\r\n")
        self.assertIn(answer.status, (403, 404))
        self.assertEqual(self.upstream.count, 0)

    # ---- Upgrade ----

    UPGRADE = get("/chat", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==")

    @staticmethod
    def websocket(peer):
        head = peer.read_head()
        assert head.get("upgrade") == "websocket", head.raw
        assert re.fullmatch("(?i)upgrade", head.get("connection")), head.raw
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        while peer.fill():
            peer.send(peer.take(len(peer.buffer))[::-1])
        peer.send(b"bye")

    def test_a_websocket_is_a_tunnel_in_both_directions(self):
        client = self.proxy(self.websocket, upgrade_configs=[{"upgrade_type": "websocket"}])
        answer = client.exchange(self.UPGRADE)
        self.assertEqual((answer.status, answer.get("upgrade")), (101, "websocket"))
        self.assertRegex(answer.get("connection"), "(?i)^upgrade$")
        self.assertEqual(client.read(5), b"hello")
        for text in (b"abc", b"\x00\xff" * 40000):
            client.send(text)
            got = client.read(len(text))
            self.assertEqual((len(got), sorted(got)), (len(text), sorted(text)))
        client.finish()
        self.assertEqual(client.read_all(), b"bye")
        self.assertEqual(self.sidecar.wait_access_log(1)[0]["status"], 101)

    def test_bytes_sent_too_early_reach_the_upstream_only_after_it_has_switched(self):
        client = self.proxy(self.websocket, upgrade_configs=[{"upgrade_type": "websocket"}])
        answer = client.exchange(self.UPGRADE + b"early")
        self.assertEqual(answer.status, 101)
        self.assertEqual(client.read(10), b"helloylrae")

    def test_an_upgrade_that_the_upstream_declines_stays_http(self):
        client = self.proxy(answers(reply(b"no")), upgrade_configs=[{"upgrade_type": "websocket"}])
        answer = client.exchange(self.UPGRADE)
        self.assertEqual((answer.status, answer.body), (200, b"no"))

    def test_an_upgrade_is_refused_where_it_is_not_configured(self):
        client = self.proxy(echo)
        self.assertEqual(client.exchange(self.UPGRADE).status, 403)
        self.assertEqual(self.upstream.count, 0)


if __name__ == "__main__":
    unittest.main()
