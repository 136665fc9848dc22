#!/usr/bin/env python3
"""A peer whose packets vanish: given up after TCP_USER_TIMEOUT (30 s), not after the kernel's quarter of an hour."""

import os
import socket
import subprocess
import sys
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import envoy_config as envoy  # noqa: E402
import sidecar  # noqa: E402
from capture_test import ADDRESS, APP, PEER, POD, Namespaces, cannot_run, namespace  # noqa: E402

PORT = 16000
DROP_ALL = "add table inet hole; add chain inet hole in { type filter hook input priority 0; policy drop; }"


class InPod(sidecar.Sidecar):
    def __init__(self, config):
        super().__init__(config, prefix=["ip", "netns", "exec", POD])

    def get(self, path, method="GET"):
        with namespace(POD):
            return super().get(path, method)


@unittest.skipIf(cannot_run(), cannot_run())
class Blackhole(Namespaces):
    def test_a_peer_whose_packets_vanish_is_given_up_after_half_a_minute(self):
        peer = ADDRESS[PEER][socket.AF_INET]
        listener = self.listen(PEER, socket.AF_INET, peer, APP)
        cluster = envoy.cluster(ports=[APP])
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"][
            "address"] = peer
        proxy = InPod(envoy.bootstrap([envoy.tcp("in", PORT, log=False)], [cluster]))
        self.addCleanup(proxy.stop)
        proxy.wait_ready()
        with namespace(POD):
            client = socket.create_connection(("127.0.0.1", PORT), timeout=5)
        self.addCleanup(client.close)
        client.sendall(b"hello")
        server, _ = listener.accept()
        self.addCleanup(server.close)
        self.assertEqual(server.recv(5), b"hello")

        subprocess.run(["ip", "netns", "exec", PEER, "nft", DROP_ALL], check=True)
        client.sendall(b"into the void")
        began = time.monotonic()
        client.settimeout(90)
        try:
            self.assertEqual(client.recv(1), b"")
        except ConnectionResetError:
            pass
        self.assertTrue(25 <= time.monotonic() - began <= 60, time.monotonic() - began)


if __name__ == "__main__":
    unittest.main()
