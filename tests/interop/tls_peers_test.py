#!/usr/bin/env python3
"""Other TLS libraries at the other end, with mutual TLS: OpenSSL, GnuTLS, Go; TLS 1.2 and 1.3; as clients and as
servers; with and without resumption of sessions."""

import json
import os
import subprocess
import threading
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import CUSTOMER, USERS, Authority
from clients import run
from peers import Upstream, connect, get

VERSIONS = ("1.2", "1.3")
REQUEST = b"GET / HTTP/1.1\r\nHost: users.shop\r\nConnection: close\r\n\r\n"
KEPT_REQUEST = b"GET / HTTP/1.1\r\nHost: users.shop\r\n\r\n"


def parameters(version):
    word = "TLSv1_" + version[-1]
    return {"tls_minimum_protocol_version": word, "tls_maximum_protocol_version": word}


def converse(command, *steps):
    """What a client prints.  It is given the bytes of each step when it has printed what the step before waits for (None:
    its end), and no end of its input: some say good-bye there, and wait for no answer."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = threading.Timer(30, process.kill)
        deadline.start()
        printed = b""
        for data, awaited in steps:
            process.stdin.write(data)
            process.stdin.flush()
            start = len(printed)
            while awaited is None or awaited not in printed[start:]:
                piece = process.stdout.read1(65536)
                if not piece:
                    break
                printed += piece
        deadline.cancel()
        return printed.decode()


class TlsPeers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users = cls.ca.issue(USERS, "--dns", "users.shop")
        cls.customer = cls.ca.issue(CUSTOMER)
        cls.upstream = Upstream(cls)

    # ---- they call us ----

    def inbound(self, version, **fields):
        port = sidecar.free_port()
        tls = envoy.tls_server(self.users, **fields)
        tls["typed_config"]["common_tls_context"]["tls_params"] = parameters(version)
        proxy = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", port, tls=tls, forward_client_cert_details="SANITIZE_SET",
                        set_current_client_cert_details={"uri": True})],
            [envoy.cluster(ports=[self.upstream.port])]))
        return proxy, port

    def check_inbound(self, proxy, port, version, connections, group, resumed):
        name = f"listener.127.0.0.1_{port}.ssl."
        stats = proxy.stats()
        self.assertEqual(stats[name + "handshake"], connections, stats)
        self.assertEqual(stats[name + "versions.TLSv" + version], connections)
        self.assertEqual(stats[name + "curves." + group], connections)
        self.assertEqual(stats[name + "session_reused"], resumed)
        self.assertEqual(stats[name + "connection_error"], 0)
        self.assertEqual({line["peer"] for line in proxy.wait_access_log(connections)}, {CUSTOMER})

    def test_openssl_as_a_client(self):
        certificate, key, ca = self.customer
        session = os.path.join(programs.folder(self), "session")
        for version in VERSIONS:
            with self.subTest(version=version):
                proxy, port = self.inbound(version)
                command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert", certificate, "-key", key,
                           "-CAfile", ca, "-verify_return_error", "-verify_hostname", "users.shop",
                           "-servername", "users.shop", "-tls1_" + version[-1], "-ign_eof"]
                first = run(*command, "-sess_out", session, data=REQUEST).decode()
                self.assertIn("HTTP/1.1 200 OK", first)
                self.assertIn("Verification: OK", first)
                self.assertNotIn("Reused, ", first)
                again = run(*command, "-sess_in", session, data=REQUEST).decode()
                self.assertIn("HTTP/1.1 200 OK", again)
                self.assertIn("Reused, ", again)
                self.assertNotIn("Reused, ", run(*command, data=REQUEST).decode())
                self.check_inbound(proxy, port, version, 3, "X25519", 1)

    def test_openssl_offers_a_session_that_is_not_resumed(self):
        """Of another listener, or where tickets are off: a full handshake follows."""
        certificate, key, ca = self.customer
        session = os.path.join(programs.folder(self), "session")
        for version in VERSIONS:
            with self.subTest(version=version):
                _, first = self.inbound(version)
                proxy, port = self.inbound(version)
                disabled, without = self.inbound(version, disable_stateless_session_resumption=True)
                command = ["openssl", "s_client", "-cert", certificate, "-key", key, "-CAfile", ca,
                           "-servername", "users.shop", "-tls1_" + version[-1], "-ign_eof"]
                run(*command, "-connect", f"127.0.0.1:{first}", "-sess_out", session, data=REQUEST)
                for server, address in ((proxy, port), (disabled, without)):
                    again = run(*command, "-connect", f"127.0.0.1:{address}", "-sess_in", session, data=REQUEST).decode()
                    self.assertIn("HTTP/1.1 200 OK", again)
                    self.assertNotIn("Reused, ", again)
                    self.check_inbound(server, address, version, 1, "X25519", 0)

    def test_gnutls_as_a_client(self):
        certificate, key, ca = self.customer
        for version in VERSIONS:
            for resume in (False, True):
                with self.subTest(version=version, resume=resume):
                    proxy, port = self.inbound(version)
                    command = [programs.find_debian("gnutls-cli", "gnutls-bin"), "--port", str(port), "127.0.0.1",
                               "--x509cafile", ca, "--x509certfile", certificate, "--x509keyfile", key,
                               "--verify-hostname", "users.shop", "--sni-hostname", "users.shop",
                               "--priority", "NORMAL:-VERS-ALL:+VERS-TLS" + version, "--inline-commands"]
                    # It connects again with the session that it has then.
                    first = [(KEPT_REQUEST, b"HTTP/1.1 200 OK"), (b"^resume^\n", b"Handshake was completed")]
                    out = converse(command, *(first if resume else []), (REQUEST, None))
                    self.assertEqual(out.count("HTTP/1.1 200 OK"), 2 if resume else 1, out)
                    self.assertEqual("This is a resumed session" in out, resume)
                    connections = 2 if resume else 1
                    self.check_inbound(proxy, port, version, connections, "X25519", connections - 1)

    def test_go_as_a_client(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                proxy, port = self.inbound(version)
                out = run(programs.built_go("tlspeer"), "client", f"127.0.0.1:{port}", version, *self.customer, "3")
                lines = [json.loads(line) for line in out.splitlines()]
                group = "X25519MLKEM768" if version == "1.3" else "X25519"
                self.assertEqual(lines, [{"version": "TLS " + version, "curve": group, "resumed": resumed,
                                          "peer": USERS, "status": 200} for resumed in (False, True, True)])
                self.check_inbound(proxy, port, version, 3, group, 2)

    # ---- we call them ----

    def outbound(self, server_port, version, max_session_keys):
        port = sidecar.free_port()
        tls = envoy.tls_client(self.customer, ["spiffe://mesh.local/"], sni="users.shop",
                               max_session_keys=max_session_keys)
        tls["typed_config"]["common_tls_context"]["tls_params"] = parameters(version)
        proxy = sidecar.start(self, envoy.bootstrap(
            [envoy.http("out", port)], [envoy.cluster(ports=[server_port], transport_socket=tls)]))
        return proxy, port

    def check_outbound(self, server_port, version, group, body):
        """These servers close each connection after its response."""
        for max_session_keys, resumed in ((1, 2), (0, 0)):
            proxy, port = self.outbound(server_port, version, max_session_keys)
            for _ in range(3):
                answer = connect(self, port).exchange(get("/", "Connection: close", host="users.shop"))
                self.assertEqual(answer.status, 200, proxy.log_tail())
                self.assertIn(body, answer.body)
            stats = proxy.stats()
            self.assertEqual(stats["cluster.app.ssl.handshake"], 3)
            self.assertEqual(stats["cluster.app.ssl.session_reused"], resumed)
            self.assertEqual(stats["cluster.app.ssl.versions.TLSv" + version], 3)
            self.assertEqual(stats["cluster.app.ssl.curves." + group], 3)
            proxy.stop()

    def test_openssl_as_a_server(self):
        certificate, key, ca = self.users
        for version in VERSIONS:
            with self.subTest(version=version):
                port = sidecar.free_port()
                programs.Program(self, ["openssl", "s_server", "-accept", str(port), "-cert", certificate, "-key", key,
                                        "-CAfile", ca, "-Verify", "4", "-verify_return_error",
                                        "-tls1_" + version[-1], "-www", "-quiet"], port=port)
                self.check_outbound(port, version, "X25519", b"s_server")

    def test_gnutls_as_a_server(self):
        certificate, key, ca = self.users
        for version in VERSIONS:
            with self.subTest(version=version):
                port = sidecar.free_port()
                programs.Program(self, [programs.find_debian("gnutls-serv", "gnutls-bin"), "--http", "--port", str(port),
                                        "--x509cafile", ca, "--x509certfile", certificate, "--x509keyfile", key,
                                        "--require-client-cert", "--verify-client-cert", "--quiet",
                                        "--priority", "NORMAL:-VERS-ALL:+VERS-TLS" + version], port=port)
                self.check_outbound(port, version, "X25519", b"GnuTLS")

    def test_go_as_a_server(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                port = sidecar.free_port()
                programs.Program(self, [programs.built_go("tlspeer"), "server", str(port), version, *self.users],
                                 port=port)
                group = "X25519MLKEM768" if version == "1.3" else "X25519"
                self.check_outbound(port, version, group, b'"peer":"%s"' % CUSTOMER.encode())

    # ---- what a server shows ----

    def test_an_ocsp_response_is_stapled_for_who_asks(self):
        certificate, key, ca = self.users
        folder = programs.folder(self)
        index, response = os.path.join(folder, "index"), os.path.join(folder, "response")
        serial = run("openssl", "x509", "-in", certificate, "-noout", "-serial").decode().strip().partition("=")[2]
        with open(index, "w") as out:  # openssl ca's list: valid, until, revoked, serial, file, name
            out.write(f"V\t400101000000Z\t\t{serial}\tunknown\t/CN=users\n")
        ca_key = os.path.join(self.ca.dir, "ca.key")
        run("openssl", "ocsp", "-index", index, "-CA", ca, "-rsigner", ca, "-rkey", ca_key, "-issuer", ca,
            "-cert", certificate, "-ndays", "1", "-respout", response)
        port = sidecar.free_port()
        tls = envoy.tls_server(self.users, require=False, ocsp_staple_policy="MUST_STAPLE")
        tls["typed_config"]["common_tls_context"]["tls_certificates"][0]["ocsp_staple"] = {"filename": response}
        proxy = sidecar.start(self, envoy.bootstrap([envoy.http("in", port, tls=tls)],
                                                    [envoy.cluster(ports=[self.upstream.port])]))
        out = run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", ca, "-verify_return_error",
                  "-status", "-ign_eof", data=REQUEST).decode()
        self.assertIn("OCSP Response Status: successful", out)
        self.assertIn("Cert Status: good", out)
        self.assertIn("HTTP/1.1 200 OK", out)
        self.assertEqual(proxy.stats()[f"listener.127.0.0.1_{port}.ssl.ocsp_staple_responses"], 1)

    def test_nothing_that_testssl_finds_is_worse_than_low(self):
        port = sidecar.free_port()
        tls = envoy.tls_server(self.users, require=False)
        tls["typed_config"]["common_tls_context"]["tls_params"] = {"tls_minimum_protocol_version": "TLSv1_2"}
        sidecar.start(self, envoy.bootstrap([envoy.http("in", port, tls=tls)],
                                            [envoy.cluster(ports=[self.upstream.port])]))
        report = os.path.join(programs.folder(self), "report.json")
        # Protocols, ciphers, forward secrecy, server's preference; with --full all known weaknesses.
        parts = ["-p", "-s", "-f", "-P"] + (["-U"] if programs.FULL else [])
        subprocess.run([programs.find_debian("testssl", "testssl.sh"), "--quiet", "--color", "0", "--warnings", "off",
                        "--ip", "127.0.0.1", "--jsonfile", report, *parts, f"users.shop:{port}"],
                       capture_output=True, timeout=500, check=False, stdin=subprocess.DEVNULL)
        with open(report) as file:
            findings = json.load(file)
        self.assertTrue(any(f["id"] == "TLS1_3" and f["severity"] == "OK" for f in findings), findings)
        # "engine_problem": what the openssl that testssl runs cannot do (GOST) says nothing of us.
        bad = [f for f in findings
               if f["severity"] not in ("OK", "INFO", "LOW", "DEBUG") and f["id"] != "engine_problem"]
        self.assertEqual(bad, [])

    # ---- and who is not let in ----

    def test_a_server_refuses_what_other_libraries_may_show(self):
        """Certificates that BoringSSL would not even send."""
        proxy, port = self.inbound("1.3")
        folder = programs.folder(self)
        name = f"listener.127.0.0.1_{port}.ssl."
        for kind, arguments, cause in (
                ("self-signed", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "no trusted CA issued it"),
                ("curve", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], ""),  # no second line a second
                ("ed448", ["-newkey", "ed448"], "")):
            with self.subTest(kind=kind):
                files = [os.path.join(folder, kind + end) for end in (".crt", ".key")]
                run("openssl", "req", "-x509", *arguments, "-nodes", "-subj", "/CN=" + kind, "-days", "1",
                    "-addext", "subjectAltName=URI:" + CUSTOMER, "-out", files[0], "-keyout", files[1])
                before = proxy.stats()
                subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert", files[0], "-key",
                                files[1], "-quiet", "-no_ign_eof"], input=REQUEST, capture_output=True, timeout=30,
                               check=False)
                failed = ("connection_error", "fail_verify_error", "fail_verify_no_cert")
                sidecar.until("a failed handshake", lambda: sum(
                    proxy.stats()[name + counter] - before[name + counter] for counter in failed) == 1)
                self.assertEqual(proxy.stats()[name + "handshake"], 0)
                self.assertIn(cause, proxy.log_text())


if __name__ == "__main__":
    unittest.main()
