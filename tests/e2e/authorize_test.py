#!/usr/bin/env python3
"""inbound.authorize of the short YAML, and RBAC over real mTLS: who of the mesh may call what."""

import os
import socket
import threading
import unittest

import envoy_config as envoy
import sidecar
from authority import CUSTOMER, USERS, Authority
from capture_proxy_test import Pods
from capture_test import ADDRESS, APP, LOOPBACK, PEER, POD, SIDECAR_UID, cannot_run, capture
from mtls_test import SHORT as WORKLOAD
from peers import Peer, Upstream, connect, get

INTRUDER, ADMIN = "spiffe://mesh.local/ns/shop/sa/intruder", "spiffe://mesh.local/ns/ops/sa/admin"

SHORT = """
workload:
  name: users
  namespace: shop
  trust_domain: mesh.local
  certificates: {{ files: {{ cert: {cert}, key: {key}, ca: {ca} }} }}
inbound:
  listen: 127.0.0.1:{port}
  capture: off
  app: 127.0.0.1:{app}
  authorize: {rules}
telemetry: {{ access_log: {{ path: access.log, format: json }} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
"""


class Authorize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.own = cls.ca.issue("spiffe://mesh.local/ns/shop/sa/users")
        cls.certificates = {name: cls.ca.issue(name) for name in (CUSTOMER, INTRUDER, ADMIN)}

    def start(self, rules):
        self.app = Upstream(self)
        self.port = sidecar.free_port()
        cert, key, ca = self.own
        self.proxy = sidecar.start(self, SHORT.format(cert=cert, key=key, ca=ca, port=self.port, app=self.app.port,
                                                      rules=rules))

    def client(self, identity):
        context = self.ca.context(self.certificates[identity])
        wrapped = context.wrap_socket(connect(self, self.port).socket)
        self.addCleanup(wrapped.close)
        return Peer(wrapped)

    def status(self, identity, path="/users/7", method="GET", host="users"):
        answer = self.client(identity).exchange(get(path, method=method, host=host), method=method)
        return answer.status

    def test_without_rules_all_members_of_the_mesh_may_call(self):
        self.start("null")
        for identity in self.certificates:
            self.assertEqual(self.status(identity), 200)

    def test_what_no_rule_allows_is_denied(self):
        self.start(f'[ {{ allow: {{ from: [ "{CUSTOMER}" ], methods: [ GET ], paths: [ "/users/*" ] }} }} ]')
        self.assertEqual(self.status(CUSTOMER), 200)
        self.assertEqual(self.status(CUSTOMER, "//users/./7"), 200)
        self.assertEqual(self.status(CUSTOMER, "/users/7?x=/admin"), 200)
        self.assertEqual(self.status(INTRUDER), 403)
        for path in ("/admin", "/users/../admin", "/users/%2e%2e/admin", "/users", "/Users/7"):
            self.assertEqual(self.status(CUSTOMER, path), 403, path)
        self.assertEqual(self.status(CUSTOMER, method="POST"), 403)
        # Workers write in any order.
        line, = (line for line in self.proxy.wait_access_log(10) if line["downstream_peer"] == INTRUDER)
        self.assertEqual(line["response_code_details"], "rbac_access_denied_matched_policy[none]")
        stats = self.proxy.stats()
        self.assertEqual((stats["http.inbound.rbac.allowed"], stats["http.inbound.rbac.denied"]), (3, 7))

    def test_deny_wins(self):
        self.start(f"""
    - allow: {{ from: [ "spiffe://mesh.local/ns/shop/*", "{ADMIN}" ] }}
    - deny: {{ paths: [ "/admin/*" ], from: [ "spiffe://mesh.local/ns/shop/*" ] }}
    - deny: {{ hosts: [ "*.internal" ] }}""")
        self.assertEqual(self.status(CUSTOMER), 200)
        self.assertEqual(self.status(CUSTOMER, "/admin/x"), 403)
        self.assertEqual(self.status(ADMIN, "/admin/x"), 200)
        for host in ("db.internal", "DB.Internal:80", "db.internal.", "db.internal.:8080"):
            self.assertEqual(self.status(ADMIN, host=host), 403, host)
        self.assertEqual(self.status(ADMIN, host="db.internal.example"), 200)
        denied = sorted(line["response_code_details"] for line in self.proxy.wait_access_log(8)
                        if line["response_code"] == 403)
        self.assertEqual(denied, ["rbac_access_denied_matched_policy[rule-2]"] +
                         4 * ["rbac_access_denied_matched_policy[rule-3]"])

    def test_rules_may_be_spelled_as_people_spell(self):
        self.start("""
    - deny: { paths: [ "/caf%c3%a9", "/%61dmin%2d/*" ] }
    - deny: { hosts: [ Secret.shop., "2001:DB8:0:0::1" ] }""")
        for path in ("/caf%C3%A9", "/caf%c3%a9", "/admin-/x", "/admin%2D/x"):
            self.assertEqual(self.status(CUSTOMER, path), 403, path)
        for host in ("secret.shop", "secret.shop.", "[2001:db8::1]", "[2001:db8:0::1]:80"):
            self.assertEqual(self.status(CUSTOMER, host=host), 403, host)
        self.assertEqual(self.status(CUSTOMER, "/cafe"), 200)

    def test_connections_are_judged_too(self):
        app, port = Upstream(self, lambda peer: peer.send(b"hello").hang()), sidecar.free_port()
        listener = envoy.tcp("raw", port, tls=envoy.tls_server(self.own))
        listener["filter_chains"][0]["filters"].insert(0, {"name": "rbac", "typed_config": {
            "@type": envoy.TYPE + "filters.network.rbac.v3.RBAC", "stat_prefix": "raw.", "rules": {"policies": {
                "customer": {"permissions": [{"any": True}], "principals": [
                    {"authenticated": {"principal_name": {"exact": CUSTOMER}}}]}}}}})
        proxy = sidecar.start(self, envoy.bootstrap([listener], [envoy.cluster(ports=[app.port])]))
        self.port = port
        self.assertEqual(self.client(CUSTOMER).read(5), b"hello")
        self.assertEqual(self.client(INTRUDER).read(5), b"")
        self.assertEqual((proxy.stats()["raw.rbac.allowed"], proxy.stats()["raw.rbac.denied"]), (1, 1))

    def test_plain_text_has_no_name(self):
        app, port = Upstream(self), sidecar.free_port()
        named = {"authenticated": {"principal_name": {"exact": CUSTOMER}}}
        hosts = [{"name": name, "domains": [name], "routes": [envoy.route()], "typed_per_filter_config": {"rbac": {
            "@type": envoy.TYPE + "filters.http.rbac.v3.RBACPerRoute", "rbac": {"rules": {
                "action": action, "policies": {"p": {"permissions": [{"any": True}], "principals": [principal]}}}}}}}
            for name, action, principal in (
                ("customers", "ALLOW", named), ("others", "ALLOW", {"not_id": named}),
                ("all-but-customers-denied", "DENY", {"not_id": named}), ("customers-denied", "DENY", named),
                ("nameless", "ALLOW", {"not_id": {"authenticated": {}}}))]
        sidecar.start(self, envoy.bootstrap([envoy.http("plain", port, hosts=hosts, http_filters=[
            {"name": "rbac", "typed_config": {"@type": envoy.TYPE + "filters.http.rbac.v3.RBAC"}},
            {"name": "router", "typed_config": {"@type": envoy.TYPE + "filters.http.router.v3.Router"}}])],
            [envoy.cluster(ports=[app.port])]))
        client = connect(self, port)
        forged = ["X-Forwarded-Client-Cert: URI=" + CUSTOMER]
        for host, expected in (("customers", 403), ("others", 403), ("all-but-customers-denied", 403),
                               ("customers-denied", 200), ("nameless", 200)):
            self.assertEqual(client.exchange(get("/", *forged, host=host)).status, expected, host)


class PortsBesideTheApps(Pods):
    """Of what comes to a captured pod's other ports nobody sees what it asks for."""

    @classmethod
    def setUpClass(cls):
        if reason := cannot_run():
            raise unittest.SkipTest(reason)
        cls.ca = Authority(cls)
        os.chmod(cls.ca.dir, 0o755)
        cls.own = cls.ca.issue(USERS)
        os.chown(cls.own[1], SIDECAR_UID, -1)
        cls.certificates = {name: cls.ca.issue(name) for name in (CUSTOMER, INTRUDER)}

    def first_bytes(self, identity, port):
        """What the pod's port says to this caller; nothing if it is not let in."""
        return self.client(identity, port).read(5)

    def client(self, identity, port):
        context = self.ca.context(self.certificates[identity])
        client = self.connect(PEER, socket.AF_INET, (ADDRESS[POD][socket.AF_INET], port))
        wrapped = context.wrap_socket(client)
        self.addCleanup(wrapped.close)
        return Peer(wrapped)

    def status(self, identity, path):
        return self.client(identity, APP).exchange(get(path)).status

    def test_to_whom_some_requests_are_denied_they_are_closed(self):
        capture("apply")
        cert, key, ca = self.own
        proxy = self.start(WORKLOAD.format(name="users", cert=cert, key=key, ca=ca) + f"""
inbound:
  app: 127.0.0.1:{APP}
  authorize:
    - deny: {{ from: [ "{INTRUDER}" ], paths: [ "/admin/*" ] }}
    - deny: {{ paths: [ /internal ] }}
    - deny: {{ ports: [ 5433 ] }}
admin: {{ listen: "127.0.0.1:ADMIN_PORT" }}
""")
        self.serve(POD, socket.AF_INET, LOOPBACK[socket.AF_INET], "app")
        for port in (5432, 5433):
            self.greet(self.listen(POD, socket.AF_INET, ADDRESS[POD][socket.AF_INET], port))
        for identity, path, expected in ((INTRUDER, "/", 200), (INTRUDER, "/admin/x", 403),
                                         (CUSTOMER, "/admin/x", 200), (CUSTOMER, "/internal", 403)):
            self.assertEqual(self.status(identity, path), expected, (identity, path))
        for identity, port, expected in ((INTRUDER, 5432, b""), (CUSTOMER, 5432, b"hello"),
                                         (INTRUDER, 5433, b""), (CUSTOMER, 5433, b"")):
            self.assertEqual(self.first_bytes(identity, port), expected, (identity, port))
        stats = proxy.stats()
        self.assertEqual((stats["inbound_tcp.rbac.allowed"], stats["inbound_tcp.rbac.denied"]), (1, 3))

    def greet(self, listener):
        """Says hello to whoever comes."""
        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"hello")
        listener.settimeout(None)
        threading.Thread(target=serve, daemon=True).start()


if __name__ == "__main__":
    unittest.main()
