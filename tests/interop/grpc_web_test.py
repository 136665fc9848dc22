#!/usr/bin/env python3
"""Google's client of grpc-web (npm, in Node) through a sidecar to Debian's grpcio: binary and text."""

import unittest

import envoy_config as envoy
import programs
import sidecar
from clients import run_cases

FILTERS = envoy.TYPE + "filters.http."


class GrpcWeb(unittest.TestCase):
    def test_the_client_of_npm(self):
        command = programs.npm_module("node-grpc-web")
        server = programs.grpc_server(self)
        port = sidecar.free_port()
        filters = [{"name": name, "typed_config": {"@type": FILTERS + message}} for name, message in (
            ("web", "grpc_web.v3.GrpcWeb"), ("router", "router.v3.Router"))]
        sidecar.start(self, envoy.bootstrap([envoy.http("in", port, codec_type="AUTO", http_filters=filters)],
                                            [envoy.http_cluster(server.port, envoy.EXPLICIT_H2)]))
        for form in ("binary", "text"):
            with self.subTest(form):
                run_cases(["unary", "errors", "server stream"], *command, f"http://127.0.0.1:{port}", form)


if __name__ == "__main__":
    unittest.main()
