#!/usr/bin/env python3
"""A captured pod with its real sidecar: applications that know nothing of it, in network namespaces."""

import contextlib
import http.client
import http.server
import socket
import socketserver
import threading
import unittest

import sidecar
from capture_test import ADDRESS, APP, LOOPBACK, OUTBOUND, PEER, POD, SIDECAR_UID, Namespaces
from capture_test import cannot_run, capture, namespace

CONFIG = f"""
inbound: {{ listen: "0.0.0.0:15006", capture: redirect, mtls: off, app: 127.0.0.1:{APP} }}
outbound: {{ listen: "127.0.0.1:{OUTBOUND}", capture: redirect, unknown: passthrough }}
services:
  users: {{ hosts: [ users ], endpoints: {{ static: "{ADDRESS[PEER][socket.AF_INET]}:{APP}" }}, tls: off }}
telemetry: {{ access_log: {{ path: access.log, format: json }} }}
admin: {{ listen: "127.0.0.1:ADMIN_PORT" }}
"""


class Captured(sidecar.Sidecar):
    """Runs in the pod under its own uid; asked from within."""

    def __init__(self, config):
        super().__init__(config, uid=SIDECAR_UID, prefix=[
            "ip", "netns", "exec", POD, "setpriv", "--reuid", str(SIDECAR_UID), "--clear-groups"])

    def get(self, path, method="GET"):
        with namespace(POD):
            return super().get(path, method)


class Service(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answers with its name and the peer's address."""

    daemon_threads = True

    def __init__(self, listener, name):
        super().__init__(listener.getsockname()[:2], None, bind_and_activate=False)
        self.socket.close()
        self.socket, self.name = listener, name
        listener.settimeout(None)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                text = f"{name} {self.client_address[0]}".encode()
                self.send_response(200)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass
        self.RequestHandlerClass = Handler
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class CapturedPod(Namespaces):
    def setUp(self):
        super().setUp()
        capture("apply")
        self.proxy = Captured(CONFIG)
        self.addCleanup(self.proxy.stop)
        self.proxy.wait_ready()

    def serve(self, where, family, address, name):
        service = Service(self.listen(where, family, address, APP), name)
        self.addCleanup(service.shutdown)

    def call(self, where, family, to, host):
        """The text that a client, which knows nothing of sidecars, gets from `to`."""
        with contextlib.closing(self.connect(where, family, to)) as client:
            connection = http.client.HTTPConnection(host)
            connection.sock = client
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.status, response.read().decode(), response.getheader("server")

    def test_a_call_to_a_service_goes_through_the_sidecar(self):
        self.serve(PEER, socket.AF_INET, ADDRESS[PEER][socket.AF_INET], "users")
        # The address is of nobody: the Host decides.
        status, text, server = self.call(POD, socket.AF_INET, ("10.99.0.77", APP), "users")
        self.assertEqual((status, text.split()[0]), (200, "users"))
        self.assertTrue(server, "an answer of the sidecar has its server field")
        self.assertEqual(self.proxy.wait_access_log(1)[0].get("upstream_cluster", "users"), "users")

    def test_a_call_to_a_stranger_passes_through_to_where_it_was_going(self):
        there = ADDRESS[PEER][socket.AF_INET]
        self.serve(PEER, socket.AF_INET, there, "stranger")
        status, text, _ = self.call(POD, socket.AF_INET, (there, APP), "stranger.example")
        self.assertEqual((status, text), (200, "stranger " + ADDRESS[POD][socket.AF_INET]))

    def test_a_call_to_the_pod_reaches_its_app_through_the_sidecar(self):
        self.serve(POD, socket.AF_INET, LOOPBACK[socket.AF_INET], "app")
        status, text, _ = self.call(PEER, socket.AF_INET, (ADDRESS[POD][socket.AF_INET], APP), "pod")
        self.assertEqual((status, text), (200, "app 127.0.0.1"))

    def test_other_ports_of_a_stranger_pass_through_as_bytes(self):
        there = (ADDRESS[PEER][socket.AF_INET], 5432)
        listener = self.listen(PEER, socket.AF_INET, *there)
        client = self.connect(POD, socket.AF_INET, there)
        server, _ = listener.accept()
        self.addCleanup(server.close)
        server.sendall(b"\x00server first")
        self.assertEqual(client.recv(100), b"\x00server first")
        client.sendall(b"and then the client")
        self.assertEqual(server.recv(100), b"and then the client")

    def test_the_outbound_port_called_directly_does_not_loop(self):
        with self.assertRaises((ConnectionError, http.client.BadStatusLine)):
            self.call(POD, socket.AF_INET, ("127.0.0.1", OUTBOUND), "stranger.example")
        self.assertEqual(self.proxy.stats()["cluster.outbound|passthrough.original_dst_is_self"], 1)
        self.proxy.wait_log("refused to connect to one of our own listeners")


def setUpModule():
    if reason := cannot_run():
        raise unittest.SkipTest(reason)


if __name__ == "__main__":
    unittest.main()
