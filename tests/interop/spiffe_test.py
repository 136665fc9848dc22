#!/usr/bin/env python3
"""Sidecars without a file of their own get their identity from a SPIFFE Workload API (go-spiffe's protocol): rotation,
trust domains that are federated or not, no identity yet, and an agent that dies."""

import ctypes
import json
import os
import queue
import signal
import subprocess
import threading
import unittest

import needles
import programs
import sidecar
from peers import Upstream, connect, get

USERS, CUSTOMER = "spiffe://mesh.local/ns/shop/sa/users", "spiffe://mesh.local/ns/shop/sa/customer"
ELSEWHERE = "spiffe://elsewhere.test/ns/shop/sa/customer"

SIDECAR = """
workload: {{ name: {name}, certificates: {{ spiffe: {{ socket: "unix:{socket}" }} }} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
"""
INBOUND = "inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{app} }}\n"
OUTBOUND = """outbound: {{ listen: 127.0.0.1:{port}, capture: off }}
services: {{ users: {{ endpoints: {{ static: 127.0.0.1:{users} }}, tls: mesh, retries: {{ attempts: 0 }} }} }}
"""
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class WorkloadApi:
    """go-spiffe's side: what it says is set by command, one workload a socket."""

    def __init__(self, test):
        self.dir = programs.folder(test)
        self.lines, self.log = queue.Queue(), []
        self.process = subprocess.Popen(
            [programs.built_go_module("go-spiffe"), self.dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
        threading.Thread(target=self._read, daemon=True).start()
        test.addCleanup(self.stop)

    def _read(self):
        for line in self.process.stdout:
            self.log.append(line.strip())
            if line.startswith("ok "):
                self.lines.put(line.split())

    def say(self, workload, **what):
        """The serial number of the certificate that this workload has from now on."""
        self.process.stdin.write(json.dumps({"workload": workload} | what) + "\n")
        self.process.stdin.flush()
        _, name, serial = self.lines.get(timeout=sidecar.DEADLINE)
        assert name == workload
        return serial.lstrip("0")

    def socket(self, workload):
        return os.path.join(self.dir, workload + ".sock")

    def stop(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Spiffe(unittest.TestCase):
    def setUp(self):
        self.api = WorkloadApi(self)
        self.upstream = Upstream(self)
        self.inbound, self.outbound = sidecar.free_port(), sidecar.free_port()

    def start(self, name, more, flags=()):
        proxy = sidecar.Sidecar(SIDECAR.format(name=name, socket=self.api.socket(name)) + more, flags)
        self.addCleanup(proxy.stop)
        return proxy

    def server(self, flags=()):
        return self.start("users", INBOUND.format(port=self.inbound, app=self.upstream.port), flags)

    def client(self, flags=()):
        return self.start("customer", OUTBOUND.format(port=self.outbound, users=self.inbound), flags)

    def call(self):
        return connect(self, self.outbound).exchange(get("/", host="users"))

    def serials(self, proxy):
        shown = proxy.json("/certs")["certificates"]
        return {one["serial_number"].lstrip("0") for each in shown for one in each.get("cert_chain", [])}

    def test_an_identity_comes_from_the_socket_and_is_replaced_when_the_agent_says_so(self):
        serial = self.api.say("users", id=USERS)
        self.api.say("customer", id=CUSTOMER)
        trace = ("-l", "trace")
        server, client = self.server(trace).wait_ready(), self.client(trace).wait_ready()
        answer = self.call()
        self.assertEqual(answer.status, 200, answer.body)
        fields = dict(answer.json()["fields"])
        self.assertIn(f"URI={CUSTOMER}", fields["x-forwarded-client-cert"])
        self.assertIn(f"By={USERS}", fields["x-forwarded-client-cert"])
        self.assertEqual(self.serials(server), {serial})
        for _ in range(3):
            new = self.api.say("users", id=USERS)
            sidecar.until("the new certificate", lambda: self.serials(server) == {new})
            self.assertEqual(self.call().status, 200)
        # Another identity, without a reload: new connections have it, the open one lives on.
        new = self.api.say("customer", id=CUSTOMER + "2")
        sidecar.until("the new identity", lambda: self.serials(client) == {new})
        self.assertIn(f"URI={CUSTOMER}", dict(self.call().json()["fields"])["x-forwarded-client-cert"])
        self.assertEqual(self.api.log.count("open users FetchX509SVID"), 1, "one stream has them all")
        keys = needles.Needles()
        for line in self.api.log:
            if line.startswith("key "):
                keys.add_bytes(bytes.fromhex(line.split()[2]))
        self.assertNotEqual(keys.parts, set())
        for proxy in (server, client):
            for text in (proxy.log_text(), proxy.get("/config_dump")[1], proxy.get("/certs")[1]):
                self.assertNotIn("PRIVATE KEY", text)
                self.assertEqual(keys.found_in(text), [])

    def test_trust_domains_that_are_federated_talk_and_others_do_not(self):
        self.api.say("users", id=USERS)
        self.api.say("customer", id=ELSEWHERE, federated=["mesh.local"])
        server, _ = self.server().wait_ready(), self.client().wait_ready()
        self.assertEqual(self.call().status, 503)  # the server knows no elsewhere.test
        server.wait_log("elsewhere.test")
        self.api.say("users", id=USERS, federated=["elsewhere.test"])
        sidecar.until("a call between federated trust domains", lambda: self.call().status == 200)
        fields = dict(self.call().json()["fields"])
        self.assertIn(f"URI={ELSEWHERE}", fields["x-forwarded-client-cert"])
        # And no more.
        self.api.say("users", id=USERS)
        sidecar.until("no call any more", lambda: self.fresh_call() == 503)

    def fresh_call(self):
        """The status of a call on a new connection between the sidecars."""
        client = self.client_with_new_port()
        try:
            return connect(self, client[1]).exchange(get("/", host="users")).status
        finally:
            client[0].stop()

    def client_with_new_port(self):
        port = sidecar.free_port()
        proxy = self.start("customer", OUTBOUND.format(port=port, users=self.inbound))
        return proxy.wait_ready(), port

    def test_a_workload_without_an_identity_waits_for_it(self):
        self.api.say("users", deny=True)
        self.api.say("customer", id=CUSTOMER)
        server = self.server()
        server.wait_log("no identity issued")
        self.assertNotEqual(server.get("/ready")[0], 200)
        self.api.say("users", id=USERS)
        server.wait_ready()
        self.client().wait_ready()
        self.assertEqual(self.call().status, 200)
        # Taken away again, it stays until it expires.
        self.api.say("users", deny=True)
        server.wait_log("no identity issued", 2)
        self.assertEqual(self.call().status, 200)

    def test_an_agent_that_dies_leaves_the_last_identity_and_its_successor_is_found(self):
        serial = self.api.say("users", id=USERS)
        self.api.say("customer", id=CUSTOMER)
        server, _ = self.server().wait_ready(), self.client().wait_ready()
        self.assertEqual(self.call().status, 200)
        self.api.say("users", stop=True)
        server.wait_log("the SPIFFE Workload API")
        self.assertEqual(self.serials(server), {serial})
        self.assertEqual(self.call().status, 200)
        new = self.api.say("users", id=USERS)
        sidecar.until("the successor's certificate", lambda: self.serials(server) == {new})
        self.assertEqual(self.call().status, 200)

    def test_a_certificate_of_another_trust_domain_than_the_files_is_not_used(self):
        self.api.say("users", id=ELSEWHERE)
        short = SIDECAR.format(name="users, trust_domain: mesh.local", socket=self.api.socket("users"))
        proxy = sidecar.Sidecar(short + INBOUND.format(port=self.inbound, app=1))
        self.addCleanup(proxy.stop)
        proxy.wait_log("of the trust domain elsewhere.test, not mesh.local")
        self.api.say("users", id=USERS)
        proxy.wait_ready()


if __name__ == "__main__":
    unittest.main()
