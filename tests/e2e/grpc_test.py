#!/usr/bin/env python3
"""gRPC through one sidecar and through two with mutual TLS: Debian's grpcio on both ends, every kind of call,
4 MB messages, statuses, deadlines and cancels (tests/interop/grpc_client.py)."""

import os
import subprocess
import unittest

import envoy_config as envoy
import programs
import sidecar
from http2_upstream_test import AUTO, EXPLICIT_H2, cluster
from mtls_test import CUSTOMER, USERS, Authority

SAME = {"use_downstream_protocol_config": {"http2_protocol_options": {}}}


class Grpc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = programs.grpc_server(cls)

    def run_client(self, port):
        result = subprocess.run(
            [programs.find_grpc_python(), os.path.join(programs.INTEROP, "grpc_client.py"), str(port)],
            capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(result.stdout.count(" ok"), 5)

    def listener(self, name, port, tls=None):
        return envoy.http(name, port, tls=tls, codec_type="AUTO")

    def test_the_server_alone(self):
        self.run_client(self.server.port)

    def test_one_sidecar(self):
        for options in (EXPLICIT_H2, SAME):
            port = sidecar.free_port()
            proxy = sidecar.start(self, envoy.bootstrap(
                [self.listener("in", port)], [cluster(self.server.port, options)]))
            self.run_client(port)
            stats = proxy.stats()
            self.assertEqual(stats["cluster.app.http2.streams_active"], 0)
            self.assertEqual(stats["cluster.app.upstream_rq_active"], 0)
            self.assertEqual(stats["cluster.app.upstream_cx_http1_total"], 0)

    def test_two_sidecars(self):
        authority = Authority(self.__class__)
        users, customer = authority.issue(USERS), authority.issue(CUSTOMER)
        inner, outer = sidecar.free_port(), sidecar.free_port()
        server_tls = envoy.tls_server(users)
        server_tls["typed_config"]["common_tls_context"]["alpn_protocols"] = ["h2", "http/1.1"]
        sidecar.start(self, envoy.bootstrap(
            [self.listener("in", inner, server_tls)], [cluster(self.server.port, SAME)]))
        for options in (SAME, AUTO):
            proxy = sidecar.start(self, envoy.bootstrap(
                [self.listener("out", outer)],
                [cluster(inner, options, tls=envoy.tls_client(customer, ["spiffe://mesh.local/"]))]))
            self.run_client(outer)
            self.assertEqual(proxy.stats()["cluster.app.upstream_cx_http1_total"], 0)
            proxy.stop()


if __name__ == "__main__":
    unittest.main()
