#!/usr/bin/env python3
"""gRPC through one sidecar and through two with mutual TLS: Debian's grpcio and Go's implementation, each as client
and as server, every kind of call, 4 MB messages, metadata, compression, statuses, deadlines and cancels
(tests/interop/grpc_client.py)."""

import os
import unittest

import envoy_config as envoy
import programs
from clients import run
from ways import Ways

CASES = {"python": 8, "go": 5}  # of each client


class Grpc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = {"python": programs.grpc_server(cls), "go": programs.go_grpc_server(cls)}
        cls.clients = {
            "python": [programs.find_grpc_python(), os.path.join(programs.INTEROP, "grpc_client.py")],
            "go": [programs.built_go_module("go-grpc"), "client"]}
        cls.options = {"python": envoy.EXPLICIT_H2, "go": envoy.SAME}

    def run_clients(self, ports):
        """Each client against each server, by `ports`: name of the server -> port."""
        for client, command in self.clients.items():
            for server, port in ports.items():
                with self.subTest(client=client, server=server):
                    self.assertEqual(run(*command, str(port), seconds=120).decode().count(" ok\n"), CASES[client])

    def ways(self, **options):
        return Ways(self, {name: (server.port, self.options[name]) for name, server in self.servers.items()}, **options)

    def settle(self, ways):
        # Go's server resets a stream at the deadline, unless the client's own reset comes first: a 503 for the cluster.
        ways.settle(but=r"^cluster\..*upstream_rq_5xx$")
        for proxy in (ways.outer, ways.inner):
            self.assertEqual({name: n for name, n in proxy.stats().items() if "cx_http1_total" in name and n}, {})
        ways.end()

    def test_the_servers_alone(self):
        self.run_clients({name: server.port for name, server in self.servers.items()})

    def test_one_sidecar(self):
        ways = self.ways()
        self.run_clients(ways.one)
        self.settle(ways)

    def test_two_sidecars(self):
        for between in (envoy.SAME, envoy.AUTO):
            ways = self.ways(between=between)
            self.run_clients(ways.two)
            self.settle(ways)


if __name__ == "__main__":
    unittest.main()
