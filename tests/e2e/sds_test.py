"""Secrets by SDS: late ones, new ones, bad ones, and a server that goes away."""

import shutil
import time
import unittest

import envoy_config as envoy
import secret_service
import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import Peer, Upstream, connect, echo, get

SDS = """
workload: {{ name: users, namespace: shop, trust_domain: mesh.local,
            certificates: {{ sds: {{ socket: "unix:{socket}" }} }} }}
inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{app} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
"""


class Sds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users = cls.ca.issue(USERS)
        cls.customer = cls.ca.issue(CUSTOMER)
        cls.upstream = Upstream(cls, echo)

    def setUp(self):
        self.service = secret_service.SecretService(self)
        self.port = sidecar.free_port()

    def start(self, wait=True):
        """A sidecar by the short YAML that takes its identity from the service."""
        text = SDS.format(socket=self.service.path, port=self.port, app=self.upstream.port)
        proxy = sidecar.Sidecar(text, flags=("--service-node", "users-1"))
        self.addCleanup(proxy.stop)
        return proxy.wait_ready() if wait else proxy

    def start_envoy(self, timeout):
        """In Envoy's form, with another initial_fetch_timeout."""
        tls = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": envoy.TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", "require_client_certificate": True,
            "common_tls_context": secret_service.common_tls("default", "ROOTCA", [CUSTOMER], timeout)}}
        return sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, tls=tls)],
            [envoy.cluster(ports=[self.upstream.port]), secret_service.cluster(self.service.path)],
            node={"id": "users-1", "cluster": "users"}))

    def say_all(self, version="1"):
        self.service.certificate("default", version, *self.users[:2])
        self.service.roots("ROOTCA", version, self.ca.bundle)

    def client(self, certificates=None, bundle=None):
        context = self.ca.context(certificates or self.customer, bundle)
        wrapped = context.wrap_socket(connect(self, self.port).socket)
        self.addCleanup(wrapped.close)
        return Peer(wrapped)

    def serial(self, peer):
        return peer.socket.getpeercert()["serialNumber"]

    def ask(self, peer):
        return peer.exchange(get()).status

    def test_it_is_ready_when_the_secrets_have_come_and_serves_with_them(self):
        proxy = self.start(wait=False)
        self.service.wait("ask default users-1")
        self.service.wait("ask ROOTCA users-1")
        proxy.wait_log("waiting for secrets")
        self.assertEqual(proxy.get("/ready")[0], 503)
        self.say_all()
        proxy.wait_ready()
        self.service.wait("ack default 1")
        self.service.wait("ack ROOTCA 1")
        self.assertEqual(self.ask(self.client()), 200)
        stats = proxy.stats()
        self.assertEqual(stats["sds.default.update_success"], 1)
        self.assertEqual(stats["sds.ROOTCA.update_rejected"], 0)
        certs = proxy.json("/certs")["certificates"]
        self.assertIn("sds/default", [c["path"] for entry in certs for c in entry["cert_chain"]])
        self.assertIn("sds/ROOTCA", [c["path"] for entry in certs for c in entry["ca_cert"]])

    def test_a_late_secret_refuses_handshakes_before_and_lets_them_through_after(self):
        proxy = self.start_envoy("0.3s")
        self.service.certificate("default", "1", *self.users[:2])
        self.service.wait("ack default 1")
        proxy.wait_log("a secret has not come in time")
        for _ in range(2):
            with self.assertRaises((ConnectionError, EOFError, OSError)):
                self.client()
        refused = f"listener.127.0.0.1_{self.port}.server_ssl_socket_factory.downstream_context_secrets_not_ready"
        proxy.wait_stat(refused, 2)
        self.service.roots("ROOTCA", "1", self.ca.bundle)
        self.service.wait("ack ROOTCA 1")
        self.assertEqual(self.ask(self.client()), 200)

    def test_a_rotation_is_seen_by_new_handshakes_while_old_connections_live_on(self):
        self.say_all()
        proxy = self.start()
        old = self.client()
        first = self.serial(old)
        self.assertEqual(self.ask(old), 200)
        self.service.certificate("default", "2", *self.ca.issue(USERS)[:2])
        self.service.wait("ack default 2")
        new = self.client()
        self.assertNotEqual(self.serial(new), first)
        self.assertEqual((self.ask(old), self.ask(new)), (200, 200))
        self.assertEqual(proxy.stats()["listener_manager.listener_modified"], 0)
        proxy.wait_stat(f"listener.127.0.0.1_{self.port}.server_ssl_socket_factory.ssl_context_update_by_sds",
                        lambda count: count >= 1)

    def test_a_bundle_rolls_over(self):
        self.say_all()
        self.start()
        other = Authority(type(self))
        theirs = other.issue(CUSTOMER)
        with self.assertRaises((OSError, EOFError)):
            self.ask(self.client(theirs))
        both = self.ca.bundle + ".both"
        with open(both, "w") as out:
            for authority in (self.ca, other):
                with open(authority.bundle) as bundle:
                    shutil.copyfileobj(bundle, out)
        self.service.roots("ROOTCA", "2", both)
        self.service.wait("ack ROOTCA 2")
        before = self.client()
        self.assertEqual((self.ask(before), self.ask(self.client(theirs))), (200, 200))
        self.service.roots("ROOTCA", "3", other.bundle)
        self.service.wait("ack ROOTCA 3")
        # Who was verified under the old bundle is not trusted for it under the new one.
        with self.assertRaises((OSError, EOFError)):
            self.ask(self.client())
        self.assertEqual((self.ask(before), self.ask(self.client(theirs))), (200, 200))

    def test_a_bad_secret_is_refused_with_its_reason_and_the_old_one_stays(self):
        self.say_all()
        proxy = self.start()
        first = self.serial(self.client())
        self.service.certificate("default", "2", self.users[0], self.customer[1])
        self.service.wait("nack default")
        reason = self.service.heard("nack default")[0]
        self.assertIn("tls_certificate.private_key: <inline>: the private key does not belong to the certificate",
                      reason)
        self.service.nothing("ROOTCA", "2")
        self.service.wait("nack ROOTCA sds: the response has no secret")
        again = self.client()
        self.assertEqual((self.serial(again), self.ask(again)), (first, 200))
        self.assertEqual(proxy.stats()["sds.default.update_rejected"], 1)
        for page in ("/config_dump", "/certs"):
            self.assertNotIn("PRIVATE KEY", proxy.get(page)[1])
        self.assertNotIn("PRIVATE KEY", proxy.log_text())

    def test_while_the_server_is_away_the_last_good_secret_stays(self):
        self.say_all()
        proxy = self.start()
        first = self.serial(self.client())
        self.service.stop()
        proxy.wait_log("no stream to the secret discovery service")
        again = self.client()
        self.assertEqual((self.serial(again), self.ask(again)), (first, 200))
        self.service.start()
        self.service.certificate("default", "2", *self.ca.issue(USERS)[:2])
        self.service.wait("ack default 2")
        self.assertNotEqual(self.serial(self.client()), first)

    def test_an_upstream_is_not_called_before_its_secrets_are_there(self):
        tls = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": envoy.TYPE + "transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": secret_service.common_tls("default", "ROOTCA", [USERS], "0.2s")}}
        server = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, tls=envoy.tls_server(self.users))],
            [envoy.cluster(ports=[self.upstream.port])]))
        out = sidecar.free_port()
        caller = sidecar.start(self, envoy.bootstrap(
            [envoy.http("out", out)],
            [envoy.cluster(ports=[self.port], transport_socket=tls), secret_service.cluster(self.service.path)],
            node={"id": "customer-1", "cluster": "customer"}))
        before = time.monotonic()
        refused = connect(self, out).exchange(get())
        self.assertLess(time.monotonic() - before, 2, "not refused at once")
        self.assertEqual(refused.status, 503)
        line = caller.wait_access_log(1)[-1]
        self.assertEqual(line["flags"], "UF")
        self.assertEqual(line["upstream_transport"], "the_certificate_or_the_trusted_CAs_have_not_arrived_yet")
        self.assertEqual(
            caller.stats()["cluster.app.client_ssl_socket_factory.upstream_context_secrets_not_ready"], 1)
        self.assertEqual(server.stats()[f"listener.127.0.0.1_{self.port}.downstream_cx_total"], 0)
        self.service.certificate("default", "1", *self.customer[:2])
        self.service.roots("ROOTCA", "1", self.ca.bundle)
        self.service.wait("ack default 1")
        self.service.wait("ack ROOTCA 1")
        self.assertEqual(connect(self, out).exchange(get()).status, 200)
        self.assertEqual(server.wait_access_log(1)[-1]["peer"], CUSTOMER)


if __name__ == "__main__":
    unittest.main()
