#!/usr/bin/env python3
"""A captured pod with its real sidecar: applications that know nothing of it, in network namespaces."""

import contextlib
import http.client
import http.server
import os
import socket
import socketserver
import threading
import unittest

import sidecar
from authority import CUSTOMER, USERS, Authority
from capture_test import ADDRESS, APP, FAMILIES, LOOPBACK, OUTBOUND, PEER, PILLION, POD, SIDECAR_UID, Namespaces
from capture_test import cannot_run, capture, in_pod, namespace, run
from mtls_test import SHORT

CONFIG = f"""
inbound: {{ listen: "0.0.0.0:15006", capture: redirect, mtls: off, app: 127.0.0.1:{APP} }}
outbound: {{ listen: "127.0.0.1:{OUTBOUND}", capture: redirect, unknown: passthrough }}
services:
  users: {{ hosts: [ users ], endpoints: {{ static: "{ADDRESS[PEER][socket.AF_INET]}:{APP}" }}, tls: off }}
telemetry: {{ access_log: {{ path: access.log, format: json }} }}
admin: {{ listen: "127.0.0.1:ADMIN_PORT" }}
"""


class Captured(sidecar.Sidecar):
    """Runs in a pod under its own uid; asked from within."""

    def __init__(self, config, where=POD):
        self.where = where
        super().__init__(config, uid=SIDECAR_UID, prefix=[
            "ip", "netns", "exec", where, "setpriv", "--reuid", str(SIDECAR_UID), "--clear-groups"])

    def get(self, path, method="GET"):
        with namespace(self.where):
            return super().get(path, method)


class Service(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answers with its name, the peer's address, and who the caller is, if a sidecar says so."""

    daemon_threads = True

    def __init__(self, listener, name):
        super().__init__(listener.getsockname()[:2], None, bind_and_activate=False)
        self.socket.close()
        self.socket, self.name = listener, name
        listener.settimeout(None)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                caller = self.headers.get("x-forwarded-client-cert", "")
                text = f"{name} {self.client_address[0]} {caller}".strip().encode()
                self.send_response(200)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_OPTIONS(self):
                self.send_response(200)
                self.send_header("x-target", self.path)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.RequestHandlerClass = Handler
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Pods(Namespaces):
    def start(self, config, where=POD):
        proxy = Captured(config, where)
        self.addCleanup(proxy.stop)
        return proxy.wait_ready()

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


class CapturedPod(Pods):
    def setUp(self):
        super().setUp()
        capture("apply")
        self.proxy = self.start(CONFIG)

    def test_a_call_to_a_service_goes_through_the_sidecar(self):
        self.serve(PEER, socket.AF_INET, ADDRESS[PEER][socket.AF_INET], "users")
        # The address is of nobody: the Host decides.
        status, text, server = self.call(POD, socket.AF_INET, ("10.99.0.77", APP), "users")
        self.assertEqual((status, text.split()[0]), (200, "users"))
        self.assertTrue(server, "an answer of the sidecar has its server field")
        self.assertEqual(self.proxy.wait_access_log(1)[0].get("upstream_cluster", "users"), "users")

    def test_a_call_to_a_stranger_passes_through_to_where_it_was_going(self):
        for family in FAMILIES:
            with self.subTest(family=family.name):
                there = ADDRESS[PEER][family]
                self.serve(PEER, family, there, "stranger")
                status, text, _ = self.call(POD, family, (there, APP), "stranger.example")
                self.assertEqual((status, text), (200, "stranger " + ADDRESS[POD][family]))

    def test_a_call_to_the_pod_reaches_its_app_through_the_sidecar(self):
        self.serve(POD, socket.AF_INET, LOOPBACK[socket.AF_INET], "app")
        for family in FAMILIES:
            with self.subTest(family=family.name):
                status, text, _ = self.call(PEER, family, (ADDRESS[POD][family], APP), "pod")
                self.assertEqual((status, text), (200, "app 127.0.0.1"))

    def test_other_ports_of_a_stranger_pass_through_as_bytes(self):
        for family in FAMILIES:
            with self.subTest(family=family.name):
                there = (ADDRESS[PEER][family], 5432)
                self.exchange(self.listen(PEER, family, *there), self.connect(POD, family, there))

    def test_options_for_the_server_as_a_whole_go_to_the_app(self):
        self.serve(POD, socket.AF_INET, LOOPBACK[socket.AF_INET], "app")
        client = self.connect(PEER, socket.AF_INET, (ADDRESS[POD][socket.AF_INET], APP))
        client.sendall(b"OPTIONS * HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
        response = http.client.HTTPResponse(client, method="OPTIONS")
        response.begin()
        self.assertEqual((response.status, response.getheader("x-target")), (200, "*"))

    def test_other_ports_of_the_pod_reach_its_app_as_bytes(self):
        # The sidecar's last hop goes to the address that is captured: without a source address of its
        # own it would come back to the sidecar, again and again.
        for family in FAMILIES:
            with self.subTest(family=family.name):
                app = self.listen(POD, family, ADDRESS[POD][family], 5432)
                self.exchange(app, self.connect(PEER, family, (ADDRESS[POD][family], 5432)))

    def exchange(self, listener, client):
        server, _ = listener.accept()
        self.addCleanup(server.close)
        server.sendall(b"\x00server first")
        self.assertEqual(client.recv(100), b"\x00server first")
        client.sendall(b"and then the client")
        self.assertEqual(server.recv(100), b"and then the client")

    def test_the_outbound_port_called_directly_does_not_loop(self):
        for count, family in enumerate(FAMILIES, 1):
            with self.subTest(family=family.name):
                with self.assertRaises((ConnectionError, http.client.BadStatusLine)):
                    self.call(POD, family, (LOOPBACK[family], OUTBOUND), "stranger.example")
                self.assertEqual(self.proxy.stats()["cluster.outbound|passthrough.original_dst_is_self"], count)
        self.proxy.wait_log("refused to connect to one of our own listeners")

    def test_the_outbound_port_is_closed_to_other_machines(self):
        for family in FAMILIES:
            with self.subTest(family=family.name), self.assertRaises(ConnectionRefusedError):
                self.connect(PEER, family, (ADDRESS[POD][family], OUTBOUND))

    def test_addresses_are_logged_as_what_they_are(self):
        self.serve(POD, socket.AF_INET, LOOPBACK[socket.AF_INET], "app")
        for family in FAMILIES:
            self.call(PEER, family, (ADDRESS[POD][family], APP), "pod")
        seen = [line["downstream_remote_address"].rpartition(":")[0] for line in self.proxy.wait_access_log(2)]
        self.assertEqual(seen, [ADDRESS[PEER][socket.AF_INET], f"[{ADDRESS[PEER][socket.AF_INET6]}]"])


class PodWithoutIpv6(Pods):
    def test_the_sidecar_starts_and_serves_ipv4(self):
        in_pod("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1")
        capture("apply")
        proxy = self.start(CONFIG)
        proxy.wait_log("no IPv6 on this machine: an additional address is left out: listener=outbound")
        there = ADDRESS[PEER][socket.AF_INET]
        self.serve(PEER, socket.AF_INET, there, "stranger")
        self.assertEqual(self.call(POD, socket.AF_INET, (there, APP), "stranger.example")[0], 200)


class TwoCapturedPods(Pods):
    """Mutual TLS between the sidecars of a caller and of a service, neither of which knows."""

    def test_a_call_of_either_family_goes_through_both_sidecars(self):
        ca = Authority(type(self))
        os.chmod(ca.dir, 0o755)
        identities = {POD: ca.issue(CUSTOMER), PEER: ca.issue(USERS)}
        for names in identities.values():
            os.chown(names[1], SIDECAR_UID, -1)
        head = {where: SHORT.format(name=where, cert=names[0], key=names[1], ca=names[2]) +
                "telemetry: { access_log: { path: access.log, format: json } }\n"
                "admin: { listen: \"127.0.0.1:ADMIN_PORT\" }\n" for where, names in identities.items()}
        services = "".join(
            f"  users{family.name}: {{ hosts: [ users-{family.value} ], endpoints: {{ static: \"{at}:{APP}\" }} }}\n"
            for family, at in ((socket.AF_INET, ADDRESS[PEER][socket.AF_INET]),
                               (socket.AF_INET6, f"[{ADDRESS[PEER][socket.AF_INET6]}]"))).replace("_", "-")
        for where in (POD, PEER):
            run("ip", "netns", "exec", where, PILLION, "capture", "apply")
        self.start(head[POD] + "outbound: {}\nservices:\n" + services)
        inbound = self.start(head[PEER] + f"inbound: {{ app: \"127.0.0.1:{APP}\" }}\n", PEER)
        self.serve(PEER, socket.AF_INET, LOOPBACK[socket.AF_INET], "users")
        for family in FAMILIES:
            with self.subTest(family=family.name):
                status, text, _ = self.call(POD, family, (ADDRESS[PEER][family], APP), f"users-{family.value}")
                self.assertEqual((status, text.split()[0]), (200, "users"))
                self.assertIn("URI=" + CUSTOMER, text)
        from_where = [line["downstream_remote_address"].rpartition(":")[0] for line in inbound.wait_access_log(2)]
        self.assertEqual(from_where, [ADDRESS[POD][socket.AF_INET], f"[{ADDRESS[POD][socket.AF_INET6]}]"])


def setUpModule():
    if reason := cannot_run():
        raise unittest.SkipTest(reason)


if __name__ == "__main__":
    unittest.main()
