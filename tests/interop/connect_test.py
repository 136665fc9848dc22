#!/usr/bin/env python3
"""CONNECT: curl speaks TLS to Node through a tunnel that one sidecar ends, and through one that a first sidecar passes
on, as HTTP/1 or HTTP/2, to a second one that ends it."""

import hashlib
import json
import os
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import USERS, Authority
from clients import run

UPLOAD = os.urandom(3_000_000)
RAW = {"connect_config": {}}  # the tunnel ends here


class Connect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        certificate, key, _ = Authority(cls).issue(USERS)
        cls.server = programs.echo_server(cls, "tls", certificate, key)
        cls.upload = os.path.join(programs.folder(cls), "upload")
        with open(cls.upload, "wb") as out:
            out.write(UPLOAD)

    def start(self, cluster, **upgrade):
        """A sidecar that takes CONNECT; its port."""
        port = sidecar.free_port()
        route = {"match": {"connect_matcher": {}},
                 "route": {"cluster": "app", "timeout": "0s", "upgrade_configs": [{"upgrade_type": "CONNECT"} | upgrade]}}
        proxy = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", port, [route], codec_type="AUTO")], [cluster]))
        return proxy, port

    def check(self, port):
        def curl(path, *options):
            url = f"https://127.0.0.1:{self.server.port}{path}"
            return run("curl", "-sS", "-k", "-m", "30", "-p", "-x", f"http://127.0.0.1:{port}", *options, url)

        for protocol in ("--http1.1", "--http2"):
            seen = json.loads(curl("/up", protocol, "--data-binary", "@" + self.upload))
            self.assertEqual((seen["length"], seen["digest"]), (len(UPLOAD), hashlib.sha256(UPLOAD).hexdigest()))
            self.assertEqual(seen["protocol"], "1.1" if protocol == "--http1.1" else "2.0")
            self.assertEqual(curl("/?size=3000000", protocol), b"x" * 3_000_000)

    def finish(self, *proxies):
        for proxy in proxies:
            proxy.wait_stat("http.in.downstream_cx_upgrades_active", 0)
            proxy.wait_stat("cluster.app.upstream_rq_active", 0)
            lines = proxy.wait_access_log(4)
            self.assertEqual([(line["status"], line["method"]) for line in lines], [(200, "CONNECT")] * 4)
            # curl resets a connection in which something is left unread, such as a ticket.
            self.assertLessEqual({line["flags"] for line in lines}, {"-", "DR"})
            self.assertGreater(sum(line["received"] for line in lines), 2 * len(UPLOAD))
            self.assertEqual(proxy.stats()["http.in.downstream_cx_upgrades_total"], 4)

    def test_one_sidecar_ends_the_tunnel(self):
        proxy, port = self.start(envoy.http_cluster(self.server.port, envoy.EXPLICIT_H1, "app"), **RAW)
        self.check(port)
        self.finish(proxy)

    def test_two_sidecars_carry_the_tunnel(self):
        for hop in (envoy.EXPLICIT_H1, envoy.EXPLICIT_H2):
            with self.subTest(hop=hop):
                inner, inner_port = self.start(envoy.http_cluster(self.server.port, envoy.EXPLICIT_H1, "app"), **RAW)
                outer, port = self.start(envoy.http_cluster(inner_port, hop, "app"))
                self.check(port)
                self.finish(inner, outer)

    def test_a_server_that_is_not_there_is_told_of(self):
        proxy, port = self.start(envoy.http_cluster(sidecar.free_port(), envoy.EXPLICIT_H1, "app"), **RAW)
        with self.assertRaisesRegex(AssertionError, "503"):
            self.check(port)
        self.assertEqual(proxy.wait_access_log(1)[0]["flags"], "UF")


if __name__ == "__main__":
    unittest.main()
