#!/usr/bin/env python3
"""gRPC's own interoperability suite (google.golang.org/grpc/interop): every case that needs no credentials of a cloud,
plain and with compressed messages, through one sidecar and two, in clear text and by mutual TLS."""

import concurrent.futures
import time
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import CUSTOMER, USERS, Authority
from clients import run
from ways import Ways

PLAIN, COMPRESSED = 18, 12  # cases
SIDE_BY_SIDE = 4
AT_ONCE = 2  # seconds that a case may take in which the deadline of 1 ms lets the server reset the stream
SHORT = """
workload:
  name: {name}
  namespace: shop
  trust_domain: mesh.local
  certificates: {{ files: {{ cert: {files[0]}, key: {files[1]}, ca: {files[2]} }} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
"""


class GrpcInterop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority(cls)
        cls.users, cls.customer = cls.authority.issue(USERS), cls.authority.issue(CUSTOMER)
        cls.client = programs.built_go_module("go-interop")
        cls.cases = run(cls.client, "cases").decode().splitlines()
        cls.compressed = programs.grpc_interop_server(cls, compressed=True).port
        cls.plain = programs.grpc_interop_server(cls).port
        cls.secure = programs.grpc_interop_server(cls, *cls.users[:2]).port

    def check(self, way, port, *files):
        """All cases by one way, of which the name says whether messages are compressed; each that fails is a failure
        of its own."""
        compressed = "gzip" in way
        cases = [case for case in self.cases if case.endswith("gzip") == compressed]
        self.assertEqual(len(cases), COMPRESSED if compressed else PLAIN)

        def one(case):
            # A server that knows the deadline resets the stream then: what a proxy makes of that may come before the
            # client has looked at its own clock, of a deadline of 1 ms on a busy machine.
            for _ in range(2 if case.startswith("timeout") else 1):
                began = time.monotonic()
                try:
                    run(self.client, f"127.0.0.1:{port}", case, *files)
                    return None
                except AssertionError as failure:
                    last = failure
                    if "remote reset" not in str(failure) or time.monotonic() - began > AT_ONCE:
                        break
            return last

        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for case, failure in zip(cases, pool.map(one, cases)):
                with self.subTest(way=way, case=case):
                    self.assertIsNone(failure)

    def test_the_server_alone(self):
        self.check("alone", self.plain)
        self.check("gzip alone", self.compressed)

    def test_sidecars(self):
        trust = envoy.tls_client((None, None, self.authority.bundle), ["spiffe://mesh.local/"])
        ways = Ways(self, {
            "plain": (self.plain, envoy.EXPLICIT_H2), "TLS": (self.secure, envoy.AUTO, trust),
            "gzip": (self.compressed, envoy.EXPLICIT_H2)})
        for way, port in ways.all():
            self.check(way, port)
        for name, port in ways.mtls.items():
            self.check(f"{name} by mutual TLS", port, *ways.customer)
        # Cases end with statuses and cancels, of which some are resets, and one before its handshake is over.
        ways.settle(but=r"^cluster\..*upstream_rq_5xx$|ssl\.connection_error$")
        ways.end()

    def test_sidecars_of_the_short_configuration(self):
        inbound, outbound = sidecar.free_port(), sidecar.free_port()
        sidecar.start(self, SHORT.format(name="users", files=self.users) + f"""
inbound: {{ listen: 127.0.0.1:{inbound}, capture: off, mtls: strict, app: 127.0.0.1:{self.plain} }}
""")
        sidecar.start(self, SHORT.format(name="customer", files=self.customer) + f"""
outbound: {{ listen: 127.0.0.1:{outbound}, capture: off }}
services:
  users: {{ endpoints: {{ static: 127.0.0.1:{inbound} }}, tls: mesh }}
""")
        self.check("short", outbound)


if __name__ == "__main__":
    unittest.main()
