#!/usr/bin/env python3
"""One port that takes mutual TLS and plain text: told apart by the first bytes, in policy, metrics and logs."""

import contextlib
import signal
import ssl
import time
import unittest

import envoy_config as envoy
import sidecar
from authority import CUSTOMER, USERS, Authority
from mtls_test import SHORT
from peers import Peer, Upstream, connect, get

TLS_INSPECTOR = {"name": "envoy.filters.listener.tls_inspector", "typed_config": {
    "@type": envoy.TYPE + "filters.listener.tls_inspector.v3.TlsInspector"}}
FORGED = "X-Forwarded-Client-Cert: URI=spiffe://mesh.local/ns/shop/sa/root"


class Permissive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users, cls.customer = cls.ca.issue(USERS), cls.ca.issue(CUSTOMER)

    def setUp(self):
        self.app = Upstream(self)
        self.port = sidecar.free_port()
        self.files = dict(zip(("cert", "key", "ca"), self.users))
        self.proxy = sidecar.start(self, self.short("permissive"))

    def short(self, mtls):
        return SHORT.format(name="users", **self.files) + f"""
inbound: {{ listen: 127.0.0.1:{self.port}, capture: off, mtls: {mtls}, app: 127.0.0.1:{self.app.port} }}
telemetry: {{ metrics: {{ listen: 127.0.0.1:{sidecar.free_port()}, by_principal: true }}, access_log: {{ path: access.log, format: json }} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
"""

    def tls(self, certificates, port=None):
        wrapped = self.ca.context(certificates).wrap_socket(connect(self, port or self.port).socket)
        self.addCleanup(wrapped.close)
        return Peer(wrapped)

    def in_single_bytes(self, data, client):
        for byte in data:
            client.send(bytes([byte]))
            time.sleep(0.0005)  # lets most of them come alone; nothing depends on it

    @staticmethod
    def xfcc(answer):
        return [value for name, value in answer.json()["fields"] if name == "x-forwarded-client-cert"]

    def test_who_proves_an_identity_has_it_and_who_speaks_in_clear_has_none(self):
        answer = self.tls(self.customer).exchange(get("/tls", FORGED))
        self.assertEqual(len(self.xfcc(answer)), 1)
        self.assertIn(f"URI={CUSTOMER}", self.xfcc(answer)[0])
        self.assertNotIn("root", self.xfcc(answer)[0])
        answer = connect(self, self.port).exchange(get("/plain", FORGED))
        self.assertEqual((answer.status, self.xfcc(answer)), (200, []))
        secure, plain = sorted(self.proxy.wait_access_log(2), key=lambda line: line["path"], reverse=True)
        self.assertEqual((secure["downstream_peer"], secure["downstream_tls_version"]), (CUSTOMER, "TLSv1.3"))
        self.assertEqual((plain["downstream_peer"], plain["downstream_tls_version"]), (None, None))

    def test_metrics_tell_both_apart(self):
        self.tls(self.customer).exchange(get())
        for _ in range(2):
            connect(self, self.port).exchange(get())
        stats = self.proxy.stats()
        for name, count in {
                "http.inbound.downstream_cx_total": 1, "http.inbound_plain.downstream_cx_total": 2,
                "http.inbound.downstream_rq_2xx": 1, "http.inbound_plain.downstream_rq_2xx": 2,
                f"listener.127.0.0.1_{self.port}.ssl.handshake": 1,
                "tls_inspector.tls_found": 1, "tls_inspector.tls_not_found": 2, "tls_inspector.alpn_not_found": 1,
                f"http.inbound.source_principal.{CUSTOMER}.rq_total": 1,
                f"http.inbound.source_principal.{CUSTOMER}.rq_2xx": 1,
                "http.inbound_plain.source_principal.unknown.rq_total": 2}.items():
            self.assertEqual(stats[name], count, name)
        self.assertIn(f'envoy_http_source_principal_rq_total{{source_principal="{CUSTOMER}",'
                      'envoy_http_conn_manager_prefix="inbound"} 1', self.proxy.get("/stats/prometheus")[1])

    def test_plain_text_may_come_in_single_bytes(self):
        client = connect(self, self.port)
        self.in_single_bytes(get("/slow", FORGED), client)
        answer = client.read_response()
        self.assertEqual((answer.status, self.xfcc(answer)), (200, []))

    def test_tls_may_come_in_single_bytes(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.ca.context(self.customer).wrap_bio(incoming, outgoing)
        client = connect(self, self.port)
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
                break
            self.in_single_bytes(outgoing.read(), client)
            incoming.write(client.socket.recv(1 << 16))
        session.write(get("/slow", FORGED))
        self.in_single_bytes(outgoing.read(), client)
        text = b""
        while b"spiffe" not in text:
            incoming.write(client.socket.recv(1 << 16))
            with contextlib.suppress(ssl.SSLWantReadError):
                text += session.read(1 << 16)
        self.assertIn(CUSTOMER.encode(), text)
        self.assertEqual(self.proxy.stats()["http.inbound.downstream_rq_2xx"], 1)

    def test_tls_without_a_certificate_is_refused_all_the_same(self):
        with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
            self.tls(None).exchange(get())
        self.proxy.wait_stat(f"listener.127.0.0.1_{self.port}.ssl.fail_verify_no_cert", 1)
        self.assertEqual(self.app.count, 0)
        self.assertEqual(self.proxy.stats()["http.inbound_plain.downstream_cx_total"], 0)

    def test_what_only_begins_like_tls_is_plain_text_and_no_request(self):
        for text in (b"\x16\x03\x01\x00\x05GET / HTTP/1.1\r\n\r\n", b"\x16GET / HTTP/1.1\r\n\r\n", b"\x80\x2e\x01\x03\x01rest\r\n\r\n"):
            client = connect(self, self.port).send(text)
            client.finish()
            self.assertNotIn(b" 200 ", client.read_all())
        self.assertEqual(self.app.count, 0)
        self.assertEqual(self.proxy.stats()["tls_inspector.tls_found"], 0)

    def test_a_client_that_leaves_without_a_word_is_counted_alone(self):
        connect(self, self.port).close()
        self.proxy.wait_stat("tls_inspector.connection_closed", 1)
        self.assertEqual(self.proxy.stats()["tls_inspector.tls_not_found"], 0)

    def test_a_reload_to_strict_turns_plain_text_away(self):
        self.assertEqual(connect(self, self.port).exchange(get()).status, 200)
        self.proxy.write(self.short("strict"))
        self.proxy.signal(signal.SIGHUP)

        def refused():
            with contextlib.suppress(EOFError, ConnectionError):
                return connect(self, self.port).exchange(get()).status != 200
            return True

        sidecar.until("plain text is refused", refused)
        self.assertEqual(self.tls(self.customer).exchange(get()).status, 200)


class ServerFirst(unittest.TestCase):
    """Protocols in which the server speaks first, behind a port that takes both."""

    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users, cls.customer = cls.ca.issue(USERS), cls.ca.issue(CUSTOMER)

    def start(self, **listener):
        self.app = Upstream(self, lambda peer: (peer.send("hello\n"), peer.hang()))
        port = sidecar.free_port()
        secure = envoy.tcp("both", port, tls=envoy.tls_server(self.users), log=False)
        plain = envoy.tcp("both", port, log=False, stat_prefix="plain")
        secure["filter_chains"][0]["filter_chain_match"] = {"transport_protocol": "tls"}
        plain["filter_chains"][0]["filter_chain_match"] = {"transport_protocol": "raw_buffer"}
        secure["filter_chains"] += plain["filter_chains"]
        self.proxy = sidecar.start(self, envoy.bootstrap([secure | listener], [envoy.cluster(ports=[self.app.port])]))
        return port

    tls = Permissive.tls

    def greet(self, port):
        begin = time.monotonic()
        self.assertEqual(connect(self, port).read_until(b"\n"), b"hello\n")
        return time.monotonic() - begin

    def test_a_silent_client_gets_the_greeting_after_the_timeout(self):
        port = self.start(listener_filters=[TLS_INSPECTOR], listener_filters_timeout="0.3s",
                          continue_on_listener_filters_timeout=True)
        self.assertGreaterEqual(self.greet(port), 0.25)
        self.assertEqual(self.tls(self.customer, port).read_until(b"\n"), b"hello\n")
        stats = self.proxy.stats()
        self.assertEqual((stats["tcp.both.downstream_cx_total"], stats["tcp.plain.downstream_cx_total"]), (1, 1))
        self.assertEqual((stats["tls_inspector.tls_found"], stats["tls_inspector.tls_not_found"]), (1, 1))

    def test_without_leave_to_go_on_a_silent_client_is_closed(self):
        port = self.start(listener_filters=[TLS_INSPECTOR], listener_filters_timeout="0.2s")
        self.assertTrue(connect(self, port).is_closed())
        self.assertEqual(self.app.count, 0)
        self.proxy.wait_stat(f"listener.127.0.0.1_{port}.downstream_pre_cx_timeout", 1)

    def test_ports_that_are_not_looked_at_greet_at_once(self):
        disabled = {"or_match": {"rules": [
            {"destination_port_range": {"start": 1, "end": 2}},
            {"not_match": {"destination_port_range": {"start": 1, "end": 3}}}]}}
        port = self.start(listener_filters=[TLS_INSPECTOR | {"filter_disabled": disabled}], listener_filters_timeout="20s")
        self.assertLess(self.greet(port), 10)
        self.assertEqual(self.proxy.stats()["tls_inspector.tls_not_found"], 0)


if __name__ == "__main__":
    unittest.main()
