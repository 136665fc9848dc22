#!/usr/bin/env python3
"""Sidecars without any certificate: a CA (`pillion ca serve`) gives them one for their token, and again and again."""

import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
import unittest

import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import Upstream, connect, get
from programs import Program, folder

SECONDS = 20  # of traffic while certificates of 6 s are renewed

SHORT = """
workload:
  name: {name}
  namespace: shop
  trust_domain: mesh.local
  certificates: {{ csr: {{ address: "{address}", token_file: {token}, ca: {ca}, ttl: {ttl} }} }}
"""
INBOUND = "inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{app} }}\n"
OUTBOUND = """outbound: {{ listen: 127.0.0.1:{port}, capture: off }}
services: {{ users: {{ endpoints: {{ static: 127.0.0.1:{users} }}, tls: mesh }} }}
"""
ADMIN = "admin: { listen: 127.0.0.1:ADMIN_PORT }\n"


class Csr(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.tokens = os.path.join(cls.ca.dir, "tokens")
        with open(cls.tokens, "w") as out:
            out.write(f"{USERS} users-token\n{CUSTOMER} customer-token\n")
        for name in ("users", "customer", "stranger"):
            with open(os.path.join(cls.ca.dir, name), "w") as out:
                out.write(f"{name}-token\n")

    def serve(self, port=None, *flags):
        """`pillion ca serve` on a port of loopback."""
        port = port or sidecar.free_port()
        command = [sidecar.PILLION, "ca", "serve", "--dir", self.ca.dir, "--listen", f"127.0.0.1:{port}",
                   *(flags or ("--token-file", self.tokens))]
        return Program(self, command, port=port)

    def sidecar(self, ca, name, more, ttl="1h", token=None):
        short = SHORT.format(name=name, address=f"127.0.0.1:{ca}", token=os.path.join(self.ca.dir, token or name),
                             ca=self.ca.bundle, ttl=ttl)
        proxy = sidecar.Sidecar(short + more + ADMIN)
        self.addCleanup(proxy.stop)
        return proxy

    def pair(self, ca, ttl):
        """A server, a client, and the port on which the client takes calls."""
        inbound, outbound, upstream = sidecar.free_port(), sidecar.free_port(), Upstream(self)
        server = self.sidecar(ca, "users", INBOUND.format(port=inbound, app=upstream.port), ttl)
        client = self.sidecar(ca, "customer", OUTBOUND.format(port=outbound, users=inbound), ttl)
        return server.wait_ready(), client.wait_ready(), outbound

    def serials(self, proxy):
        """Of the certificates in use."""
        shown = proxy.json("/certs")["certificates"]
        return {one["serial_number"] for each in shown for one in each.get("cert_chain", [])}

    def test_no_file_but_a_dead_socket_makes_way_for_the_ca(self):
        path = os.path.join(self.ca.dir, "mine")
        with open(path, "w") as out:
            out.write("precious")
        command = [sidecar.PILLION, "ca", "serve", "--dir", self.ca.dir, "--listen", f"unix:{path}",
                   "--token-file", self.tokens]
        result = subprocess.run(command, capture_output=True, text=True, timeout=10)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(path, result.stderr)
        with open(path) as kept:
            self.assertEqual(kept.read(), "precious")

    def test_both_ends_prove_the_identity_of_their_tokens(self):
        server, client, port = self.pair(self.serve().port, "1h")
        answer = connect(self, port).exchange(get("/", host="users"))
        self.assertEqual(answer.status, 200, answer.body)
        fields = dict(answer.json()["fields"])
        self.assertIn(f"URI={CUSTOMER}", fields["x-forwarded-client-cert"])
        self.assertIn(f"By={USERS}", fields["x-forwarded-client-cert"])
        for proxy, token in ((server, "users-token"), (client, "customer-token")):
            for text in (proxy.log_text(), proxy.get("/config_dump")[1], proxy.get("/certs")[1]):
                self.assertNotIn(token, text)
                self.assertNotIn("PRIVATE KEY", text)

    def test_the_key_may_be_of_rsa(self):
        server, _, port = self.pair(self.serve().port, "1h, key: rsa2048")
        answer = connect(self, port).exchange(get("/", host="users"))
        self.assertEqual(answer.status, 200, answer.body)
        stats = server.stats()
        algorithms = [name for name in stats if name.startswith("listener.") and ".ssl.sigalgs." in name and stats[name]]
        self.assertEqual([name.rpartition(".")[2] for name in algorithms], ["rsa_pss_rsae_sha256"])

    def test_no_request_fails_while_certificates_of_six_seconds_are_renewed(self):
        ca = self.serve(None, "--token-file", self.tokens, "--ttl", "6s")
        server, client, port = self.pair(ca.port, "6s")
        before = self.serials(server) | self.serials(client)
        failures, count, stopped = [], [0], threading.Event()

        def call():
            # Half of the connections of the client are its own, so that there are handshakes all the time.
            while not stopped.is_set():
                try:
                    peer = connect(self, port)
                    for _ in range(5):
                        status = peer.exchange(get("/", host="users")).status
                        count[0] += 1
                        if status != 200:
                            failures.append(status)
                    peer.close()
                except OSError as error:
                    failures.append(error)

        callers = [threading.Thread(target=call) for _ in range(2)]
        for caller in callers:
            caller.start()
        end = time.monotonic() + SECONDS
        seen = set()
        while time.monotonic() < end:
            seen |= self.serials(server) | self.serials(client)
            time.sleep(0.5)
        stopped.set()
        for caller in callers:
            caller.join()
        self.assertEqual(failures, [])
        self.assertGreater(count[0], 200)
        self.assertGreater(len(seen - before), 6, "both were renewed about each three seconds")

    def test_the_last_certificate_stays_while_the_ca_is_away_and_is_renewed_when_it_is_back(self):
        ca = self.serve(None, "--token-file", self.tokens, "--ttl", "8s")
        server, _, port = self.pair(ca.port, "8s")
        first = self.serials(server)
        ca.stop()
        server.wait_log("Connection refused")
        self.assertEqual(connect(self, port).exchange(get("/", host="users")).status, 200)
        self.assertEqual(self.serials(server), first)
        self.serve(ca.port, "--token-file", self.tokens, "--ttl", "8s")
        sidecar.until("another certificate", lambda: self.serials(server) != first)
        self.assertEqual(connect(self, port).exchange(get("/", host="users")).status, 200)

    def test_one_that_nobody_renews_is_told_of_before_and_after_its_end_and_stays(self):
        ca, inbound = self.serve(None, "--token-file", self.tokens, "--ttl", "5s"), sidecar.free_port()
        proxy = self.sidecar(ca.port, "users", INBOUND.format(port=inbound, app=1), "5s").wait_ready()
        name = "ssl.certificate.csr/identity|source."
        self.assertEqual(proxy.stats()[name + "expired"], 0)
        self.assertLess(proxy.stats()[name + "expiration_unix_time_seconds"], time.time() + 6)
        first = self.serials(proxy)
        ca.stop()
        proxy.wait_log("a certificate expires soon and has not been renewed")
        proxy.wait_log("a certificate has expired; it stays in use, and peers refuse it")
        self.assertEqual((self.serials(proxy), proxy.stats()[name + "expired"]), (first, 1))
        context = self.ca.context()
        with connect(self, inbound).socket as plain, self.assertRaisesRegex(ssl.SSLError, "expired"):
            context.wrap_socket(plain)
        self.serve(ca.port, "--token-file", self.tokens, "--ttl", "1h")
        sidecar.until("another certificate", lambda: self.serials(proxy) != first)
        self.assertEqual(proxy.stats()[name + "expired"], 0)
        for what in ("expires soon", "has expired", "serial=" + first.pop()):
            self.assertEqual(proxy.log_text().count(what), 1, what)

    def test_without_a_good_token_nobody_is_let_in(self):
        ca, inbound = self.serve(), sidecar.free_port()
        proxy = self.sidecar(ca.port, "users", INBOUND.format(port=inbound, app=1), token="stranger")
        proxy.wait_log("the token is for no workload")
        self.assertNotIn("stranger-token", proxy.log_text() + ca.errors())
        # It would be let in as soon as there is a good token: the file is read anew each time.
        shutil.copy(os.path.join(self.ca.dir, "users"), os.path.join(self.ca.dir, "stranger"))
        proxy.wait_ready()
        context = self.ca.context()
        with connect(self, inbound).socket as plain, context.wrap_socket(plain) as secure:
            names = [value for kind, value in secure.getpeercert()["subjectAltName"] if kind == "URI"]
        self.assertEqual(names, [USERS])

    def test_a_ca_that_is_not_the_one_of_the_file_sees_no_token(self):
        other = Authority(type(self))
        port = sidecar.free_port()
        Program(self, [sidecar.PILLION, "ca", "serve", "--dir", other.dir, "--listen", f"127.0.0.1:{port}",
                       "--insecure-any-token"], port=port)
        proxy = self.sidecar(port, "users", INBOUND.format(port=sidecar.free_port(), app=1))
        proxy.wait_log("no trusted CA issued it")

    # ---- the command ----

    def refused(self, *flags):
        """Its one line on stderr."""
        result = subprocess.run([sidecar.PILLION, "ca", "serve", *flags], capture_output=True, text=True, timeout=30)
        self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr

    def test_mistakes_are_told_with_what_to_do(self):
        directory = ("--dir", self.ca.dir)
        self.assertIn("--insecure-any-token", self.refused(*directory))
        self.assertIn("--token-file", self.refused(*directory, "--token-file", self.tokens, "--insecure-any-token"))
        self.assertIn("pillion ca init", self.refused("--dir", self.ca.dir + "/nothing", "--insecure-any-token"))
        self.assertIn("cannot read /nowhere", self.refused(*directory, "--token-file", "/nowhere"))
        self.assertIn("line 1", self.refused(*directory, "--token-file", self.ca.bundle))
        self.assertIn("expected IP:PORT", self.refused(*directory, "--insecure-any-token", "--listen", "localhost:1"))
        self.assertIn("--dns", self.refused(*directory, "--insecure-any-token", "--dns", "a b"))
        taken = self.serve().port
        self.assertIn("in use", self.refused(*directory, "--insecure-any-token", "--listen", f"127.0.0.1:{taken}"))

    def test_a_unix_socket_is_served_in_clear_text_and_taken_away_at_the_end(self):
        path = os.path.join(folder(self), "ca.sock")
        for _ in range(2):  # the second time over the socket that a killed process left
            ca = Program(self, [sidecar.PILLION, "ca", "serve", "--dir", self.ca.dir, "--listen", f"unix:{path}",
                                "--token-file", self.tokens])
            sidecar.until("the socket", lambda: "clear text" in sidecar.read(ca.out))
            inbound = sidecar.free_port()
            short = SHORT.format(name="users", address=f"unix:{path}", token=os.path.join(self.ca.dir, "users"),
                                 ca=self.ca.bundle, ttl="1h")
            proxy = sidecar.start(self, short + INBOUND.format(port=inbound, app=1) + ADMIN)
            proxy.wait_log(f"identity={USERS}")
            ca.process.send_signal(signal.SIGKILL)
            ca.process.wait()
            self.assertTrue(os.path.exists(path))
        ca = Program(self, [sidecar.PILLION, "ca", "serve", "--dir", self.ca.dir, "--listen", f"unix:{path}",
                            "--token-file", self.tokens])
        sidecar.until("the socket", lambda: "clear text" in sidecar.read(ca.out))
        ca.stop()
        self.assertEqual(ca.process.returncode, 0)
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    unittest.main()
