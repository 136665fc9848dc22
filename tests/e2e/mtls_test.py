#!/usr/bin/env python3
"""Mutual TLS between two sidecars with the identities of `pillion ca`, and everybody who is not let in."""

import os
import signal
import ssl
import unittest

import envoy_config as envoy
import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import Peer, Upstream, connect, get


SHORT = """
workload:
  name: {name}
  namespace: shop
  trust_domain: mesh.local
  certificates: {{ files: {{ cert: {cert}, key: {key}, ca: {ca} }} }}
"""


class Mtls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users, cls.customer = cls.ca.issue(USERS), cls.ca.issue(CUSTOMER)
        cls.other_ca = Authority(cls, "elsewhere.local")

    def setUp(self):
        # One process a test: lines that a peer can trigger are rate-limited.
        self.upstream = Upstream(self)
        self.inbound = sidecar.free_port()
        bundle = os.path.join(self.ca.dir, "both.crt")
        with open(bundle, "w") as out:
            for authority in (self.ca, self.other_ca):
                with open(authority.bundle) as certificate:
                    out.write(certificate.read())
        tls = envoy.tls_server((*self.users[:2], bundle))
        tls["typed_config"]["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"] = [
            {"san_type": "URI", "matcher": {"prefix": "spiffe://mesh.local/"}}]
        self.server = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.inbound, tls=tls, forward_client_cert_details="SANITIZE_SET",
                        set_current_client_cert_details={"uri": True, "subject": True})],
            [envoy.cluster(ports=[self.upstream.port])]))

    def client(self, certificates, port=None, **context_options):
        """A TLS client of Python's, which trusts the mesh and shows `certificates` (or none)."""
        context = ssl.create_default_context(cafile=self.ca.bundle)
        context.check_hostname = False
        for name, value in context_options.items():
            setattr(context, name, value)
        if certificates:
            context.load_cert_chain(*certificates[:2])
        plain = connect(self, port or self.inbound).socket
        wrapped = context.wrap_socket(plain)
        self.addCleanup(wrapped.close)
        return Peer(wrapped)

    def test_a_call_through_two_sidecars_carries_the_callers_identity(self):
        port, outbound = sidecar.free_port(), sidecar.free_port()
        files = dict(zip(("cert", "key", "ca"), self.users))
        sidecar.start(self, SHORT.format(name="users", **files) + f"""
inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{self.upstream.port} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
""")
        files = dict(zip(("cert", "key", "ca"), self.customer))
        sidecar.start(self, SHORT.format(name="customer", **files) + f"""
outbound: {{ listen: 127.0.0.1:{outbound}, capture: off }}
services:
  users: {{ endpoints: {{ static: 127.0.0.1:{port} }}, tls: mesh }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
""")
        client = connect(self, outbound)
        for _ in range(3):
            answer = client.exchange(get("/users/7", host="users"))
            self.assertEqual(answer.status, 200, answer.body)
            fields = dict(answer.json()["fields"])
            self.assertIn(f"URI={CUSTOMER}", fields["x-forwarded-client-cert"])
            self.assertIn(f"By={USERS}", fields["x-forwarded-client-cert"])

    def test_an_identity_that_a_client_claims_is_replaced(self):
        answer = self.client(self.customer).exchange(get("/", "X-Forwarded-Client-Cert: URI=spiffe://mesh.local/root"))
        xfcc = [value for name, value in answer.json()["fields"] if name == "x-forwarded-client-cert"]
        self.assertEqual(len(xfcc), 1)
        self.assertNotIn("root", xfcc[0])
        self.assertIn(f"URI={CUSTOMER}", xfcc[0])

    def refused(self, counter, cause, attempt):
        before, log, lines = self.server.stats(), self.server.log_text(), self.upstream.count
        with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
            attempt()
        name = "listener.127.0.0.1_%d.ssl.%s" % (self.inbound, counter)
        self.server.wait_stat(name, before[name] + 1)
        sidecar.until(lambda: f"a line with {cause!r}: {self.server.log_text()[len(log):]}",
                      lambda: cause in self.server.log_text()[len(log):])
        named = [line for line in self.server.log_text()[len(log):].splitlines() if cause in line]
        self.assertEqual(len(named), 1, named)
        self.assertEqual(self.upstream.count, lines)

    def ask(self, certificates):
        # With TLS 1.3 the client learns of its refusal when it reads.
        self.client(certificates).exchange(get())

    def test_a_client_without_a_certificate_is_refused(self):
        self.refused("fail_verify_no_cert", "no certificate", lambda: self.ask(None))

    def test_a_client_of_another_authority_is_refused(self):
        stranger = Authority(type(self)).issue(CUSTOMER)
        self.refused("fail_verify_error", "no trusted CA issued it", lambda: self.ask(stranger))

    def test_a_client_of_another_trust_domain_is_refused(self):
        # Its authority is trusted, its name is not.
        certificates = self.other_ca.issue("spiffe://elsewhere.local/ns/shop/sa/customer")
        self.refused("fail_verify_san", "spiffe://elsewhere.local/ns/shop/sa/customer",
                     lambda: self.ask(certificates))

    def test_each_trust_domain_has_its_own_bundle(self):
        port = sidecar.free_port()
        tls = envoy.tls_server(self.users)
        tls["typed_config"]["common_tls_context"]["validation_context"] = {"custom_validator_config": {
            "name": "spiffe", "typed_config": {
                "@type": envoy.TYPE + "transport_sockets.tls.v3.SPIFFECertValidatorConfig", "trust_domains": [
                    {"name": "mesh.local", "trust_bundle": {"filename": self.ca.bundle}},
                    {"name": "elsewhere.local", "trust_bundle": {"filename": self.other_ca.bundle}}]}}}
        proxy = sidecar.start(self, envoy.bootstrap([envoy.http("in", port, tls=tls)],
                                                    [envoy.cluster(ports=[self.upstream.port])]))
        friend = self.other_ca.issue("spiffe://elsewhere.local/ns/shop/sa/customer")
        for certificates in (self.customer, friend):
            self.assertEqual(self.client(certificates, port).exchange(get()).status, 200)
        # The right name, by the authority of the other domain; and a domain that nobody knows.
        impostor = Authority(type(self)).issue(CUSTOMER)
        unknown = Authority(type(self), "unknown.local").issue("spiffe://unknown.local/a")
        for certificates, cause in ((impostor, "no trusted CA issued it"),
                                    (unknown, "of the trust domain unknown.local, which is not trusted here")):
            before = proxy.stats()[f"listener.127.0.0.1_{port}.ssl.fail_verify_error"]
            with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
                self.client(certificates, port).exchange(get())
            proxy.wait_stat(f"listener.127.0.0.1_{port}.ssl.fail_verify_error", before + 1)
            if certificates is impostor:
                proxy.wait_log(cause)

    def test_secrets_are_logged_only_where_and_for_whom_it_is_asked(self):
        for remote, logged in (("127.0.0.0", True), ("10.0.0.0", False)):
            port, path = sidecar.free_port(), os.path.join(self.ca.dir, "keys " + remote)
            tls = envoy.tls_server(self.users)
            tls["typed_config"]["common_tls_context"]["key_log"] = {
                "path": path, "remote_address_range": [{"address_prefix": remote, "prefix_len": 8}]}
            proxy = sidecar.start(self, envoy.bootstrap([envoy.http("in", port, tls=tls)],
                                                        [envoy.cluster(ports=[self.upstream.port])]))
            proxy.wait_log("the secrets of TLS connections are written to a file")
            self.assertEqual(self.client(self.customer, port).exchange(get()).status, 200)
            proxy.wait_access_log(1)  # written by the same thread, later
            sidecar.until("the file", lambda: os.path.exists(path))
            if logged:
                sidecar.until("secrets", lambda: "CLIENT_TRAFFIC_SECRET_0 " in sidecar.read(path))
            else:
                self.assertEqual(sidecar.read(path), "")
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    def test_plain_http_on_the_tls_port_is_refused(self):
        def plain():
            connect(self, self.inbound).exchange(get())
        self.refused("connection_error", "plain HTTP", plain)

    def test_plain_http_to_a_strict_port_is_told_with_its_cause(self):
        port = sidecar.free_port()
        files = dict(zip(("cert", "key", "ca"), self.users))
        proxy = sidecar.start(self, SHORT.format(name="users", **files) + f"""
inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{self.upstream.port} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
""")
        with self.assertRaises((ConnectionError, EOFError)):
            connect(self, port).exchange(get())
        cause = 'likely_cause="a client without TLS calls a port that takes TLS only"'
        proxy.wait_log(cause)
        line = next(line for line in proxy.log_text().splitlines() if cause in line)
        for part in ("no filter chain matches: listener=inbound peer=127.0.0.1:", 'seen="plain text: GET'):
            self.assertIn(part, line)
        proxy.wait_stat(f"listener.127.0.0.1_{port}.no_filter_chain_match", 1)

    def test_tls_1_2_is_refused_unless_configured(self):
        def old():
            self.client(self.customer, maximum_version=ssl.TLSVersion.TLSv1_2).exchange(get())
        self.refused("connection_error", "TLS version", old)

    def test_a_good_client_is_served_and_named_in_the_access_log(self):
        client = self.client(self.customer)
        self.assertEqual(client.socket.version(), "TLSv1.3")
        self.assertEqual(client.exchange(get()).status, 200)
        self.assertEqual(self.server.wait_access_log(1)[-1]["peer"], CUSTOMER)

    def test_a_server_with_the_wrong_identity_is_not_spoken_to(self):
        port = sidecar.free_port()
        caller = sidecar.start(self, envoy.bootstrap(
            [envoy.http("out", port)], [envoy.cluster(ports=[self.inbound], transport_socket=envoy.tls_client(
                self.customer, sans=["spiffe://mesh.local/ns/shop/sa/orders"]))]))
        answer = connect(self, port).exchange(get())
        self.assertEqual((answer.status, caller.wait_access_log(1)[0]["flags"]), (503, "UF"))
        self.assertEqual(caller.stats()["cluster.app.ssl.fail_verify_san"], 1)

    def test_a_changed_certificate_is_shown_to_new_clients_after_a_reload(self):
        before = self.client(self.customer)
        old = before.socket.getpeercert()["serialNumber"]
        self.ca.issue(USERS)  # the same files
        self.server.signal(signal.SIGHUP)
        self.server.wait_log("configuration in force")
        after = self.client(self.customer)
        self.assertNotEqual(after.socket.getpeercert()["serialNumber"], old)
        self.assertEqual(after.exchange(get()).status, 200)
        self.assertEqual(before.exchange(get()).status, 200)  # what is open goes on

    def test_large_bodies_pass_through_tls(self):
        client = self.client(self.customer)
        body = os.urandom(1 << 20) * 8
        answer = client.exchange(get("/", method="POST", body=body)).json()
        self.assertEqual(answer["length"], len(body))


if __name__ == "__main__":
    unittest.main()
