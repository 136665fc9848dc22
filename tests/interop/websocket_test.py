#!/usr/bin/env python3
"""WebSockets as others implement them, through one sidecar and through two whose hop is HTTP/1 or HTTP/2: PyPI's
`websockets` as client and as server of HTTP/1, `h2` with `wsproto` as both of HTTP/2 (RFC 8441), Envoy at either end of
the hop.  Each must see the same as without a proxy: messages (100,000 with tests/run --full), pings, fragments, codes
and reasons of the closes, aborts."""

import json
import os
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import CUSTOMER, USERS, Authority
from clients import run
from ways import Ways

MESSAGES = 100_000 if programs.FULL else 3_000
MANAGER = {"http2_protocol_options": {"allow_connect": True}, "upgrade_configs": [{"upgrade_type": "websocket"}]}
H2_TLS = {"auto_config": {"http2_protocol_options": {"allow_connect": True}}}
SHORT = """
workload: {{ name: {name}, namespace: shop, trust_domain: mesh.local,
            certificates: {{ files: {{ cert: {cert}, key: {key}, ca: {ca} }} }} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
"""


def client(script, *arguments):
    """What a client saw, as a dict."""
    return json.loads(run(programs.find_websockets_python(), os.path.join(programs.INTEROP, script), *arguments,
                          seconds=1200 if programs.FULL else 60))


def by_http1(port, *but):
    return client("websocket_client.py", str(port), str(MESSAGES), *but)


def by_http2(port):
    return client("websocket_h2.py", "client", str(port), str(MESSAGES))


class WebSockets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.h1, cls.h2 = programs.websocket_server(cls), programs.websocket_h2_server(cls)

    def ways(self, between):
        return Ways(self, {"h1": (self.h1.port, envoy.EXPLICIT_H1), "h2": (self.h2.port, envoy.H2_UPGRADES)},
                    between=between, manager=MANAGER)

    def check_by_http1(self, ports):
        direct = by_http1(self.h1.port)
        self.assertEqual(direct["echoes"][0], MESSAGES)
        self.assertIn("permessage-deflate", direct["handshake"]["extensions"])
        for way, port in ports:
            with self.subTest(way):
                self.assertEqual(by_http1(port), direct)

    def check_by_http2(self, ports):
        direct = by_http2(self.h2.port)
        for way, port in ports:
            with self.subTest(way):
                self.assertEqual(by_http2(port), direct)

    def finish(self, ways):
        for proxy in (ways.outer, ways.inner):
            stats = proxy.stats()
            self.assertEqual(stats["http.h1_%d.downstream_cx_upgrades_active" % ways.one["h1"]], 0)
        # What is aborted fails.
        ways.settle(but=r"_5xx$|protocol_error$|messaging_error$")
        ways.end()

    def test_through_one_sidecar(self):
        ways = self.ways(H2_TLS)
        self.check_by_http1([("to http1", ways.one["h1"])])
        self.check_by_http2([("to http1", ways.one["h1"]), ("to http2", ways.one["h2"])])
        self.finish(ways)

    def test_through_two_sidecars(self):
        for name, between in (("http1", envoy.EXPLICIT_H1), ("http2", H2_TLS)):
            ways = self.ways(between)
            with self.subTest(hop=name):
                self.check_by_http1([("to http1", ways.two["h1"])])
                self.check_by_http2([("to http1", ways.two["h1"]), ("to http2", ways.two["h2"])])
                upgraded = ways.inner.stats()
                hop = "downstream_rq_http2_total" if name == "http2" else "downstream_rq_http1_total"
                other = "downstream_rq_http1_total" if name == "http2" else "downstream_rq_http2_total"
                self.assertGreater(sum(n for key, n in upgraded.items() if key.endswith(hop)), 0)
                self.assertEqual(sum(n for key, n in upgraded.items() if key.endswith(other)), 0)
            self.finish(ways)

    def test_with_envoy_at_the_other_end_of_the_hop(self):
        # Envoy does not pass the end of one direction on to a server of HTTP/1, as which a client's abort may come.
        direct = by_http1(self.h1.port, "aborts")
        for names in (("pillion", "envoy"), ("envoy", "pillion")):
            outer, inner = sidecar.free_port(), sidecar.free_port()
            self.start(names[1], inner, envoy.http_cluster(self.h1.port, envoy.EXPLICIT_H1, "app"))
            self.start(names[0], outer, envoy.http_cluster(inner, envoy.H2_UPGRADES, "app"))
            with self.subTest(" to ".join(names)):
                self.assertEqual(by_http1(outer, "aborts"), direct)

    def start(self, name, port, cluster):
        # Envoy waits a second for a client of HTTP/1 to close first, and that client for Envoy.
        manager = envoy.http("in", port, codec_type="AUTO", log=False, delayed_close_timeout="0s", **MANAGER)
        config = envoy.bootstrap([manager], [cluster])
        programs.envoy(self, config, port) if name == "envoy" else sidecar.start(self, config)

    def test_a_strict_client_of_http1_accepts_the_agreement_of_a_server_of_http2(self):
        ways = self.ways(H2_TLS)
        for port in (ways.one["h2"], ways.two["h2"]):
            seen = json.loads(run(programs.find_websockets_python(), "-c", STRICT, str(port), seconds=60))
            self.assertEqual(seen, ["chat", "text", 5, 4000, "done"])
        self.finish(ways)


# The server of HTTP/2 knows the echo alone.
STRICT = """
import asyncio, json, sys
from websockets.asyncio.client import connect
async def main():
    async with connect(f"ws://127.0.0.1:{sys.argv[1]}/echo", subprotocols=["superchat", "chat"], proxy=None) as ws:
        await ws.send("text")
        text = await ws.recv()
        await ws.send(bytes(5))
        size = len(await ws.recv())
        await (await ws.ping())
        await ws.close(4000, "done")
        print(json.dumps([ws.subprotocol, text, size, ws.close_code, ws.close_reason]))
asyncio.run(main())
"""


class Mesh(unittest.TestCase):
    """Two sidecars of short YAML, in which nothing speaks of WebSockets."""

    def test_websockets_simply_work(self):
        server = programs.websocket_server(self)
        authority = Authority(type(self))
        users, customer = authority.issue(USERS), authority.issue(CUSTOMER)
        port, outbound = sidecar.free_port(), sidecar.free_port()
        inner = sidecar.start(self, SHORT.format(name="users", **named(users)) + f"""
inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{server.port} }}
""")
        for protocol in ("auto", "http2"):
            outer = sidecar.start(self, SHORT.format(name="customer", **named(customer)) + f"""
outbound: {{ listen: 127.0.0.1:{outbound}, capture: off }}
services:
  app: {{ hosts: [ app, 127.0.0.1 ], endpoints: {{ static: 127.0.0.1:{port} }}, tls: mesh, protocol: {protocol} }}
""")
            direct = by_http1(server.port)
            with self.subTest(hop=protocol):
                self.assertEqual(by_http1(outbound), direct)
                self.assertEqual(by_http2(outbound)["handshake"]["announced"], 1)
            outer.stop()
        stats = inner.stats()
        self.assertGreater(stats["http.inbound.downstream_rq_http1_total"], 0)
        self.assertGreater(stats["http.inbound.downstream_rq_http2_total"], 0)


def named(certificates):
    return dict(zip(("cert", "key", "ca"), certificates))


if __name__ == "__main__":
    unittest.main()
