#!/usr/bin/env python3
"""Who a client is, told to the app (x-forwarded-client-cert), to access logs and in added header fields."""

import hashlib
import re
import ssl
import subprocess
import unittest
from urllib.parse import unquote

import envoy_config as envoy
import sidecar
from authority import CUSTOMER, USERS, Authority
from mtls_test import SHORT
from peers import Peer, Upstream, connect, get

DETAILS = {"cert": True, "chain": True, "subject": True, "uri": True, "dns": True}
MODES = ("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
OPERATORS = [
    *(f"DOWNSTREAM_PEER_{name}" for name in (
        "URI_SAN", "DNS_SAN", "IP_SAN", "EMAIL_SAN", "SUBJECT", "ISSUER", "SERIAL", "FINGERPRINT_256", "FINGERPRINT_1",
        "CERT", "CERT_V_START", "CERT_V_END")),
    *(f"DOWNSTREAM_{name}" for name in (
        "LOCAL_URI_SAN", "LOCAL_DNS_SAN", "LOCAL_SUBJECT", "TLS_VERSION", "TLS_CIPHER", "TLS_GROUP", "TLS_SESSION_ID")),
]


class ForwardedIdentity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users = cls.ca.issue(USERS, "--dns", "users", "--dns", "users.shop")
        cls.customer = cls.ca.issue(CUSTOMER, "--dns", "customer", "--dns", "customer.shop", "--ip", "10.1.2.3")
        with open(cls.customer[0]) as file:
            cls.pem = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", file.read(), re.S)
        cls.app = Upstream(cls)
        cls.ports = {mode: sidecar.free_port() for mode in MODES}
        fields = {f"x-{name.lower().replace('_', '-')}": f"%{name}%" for name in OPERATORS}
        manager = {
            "set_current_client_cert_details": DETAILS,
            "access_log": [{"name": "log", "typed_config": {
                "@type": envoy.TYPE + "access_loggers.file.v3.FileAccessLog", "path": "access.log",
                "log_format": {"json_format": {"path": "%REQ(:PATH)%"} | {name: f"%{name}%" for name in OPERATORS}}}}],
            "route_config": {"name": "r", "request_headers_to_add": [
                {"header": {"key": key, "value": value}} for key, value in fields.items()], "virtual_hosts": [
                    {"name": "all", "domains": ["*"], "routes": [envoy.route()]}]},
        }
        cls.proxy = sidecar.start(cls, envoy.bootstrap([
            envoy.http(mode.lower(), port, log=False, tls=envoy.tls_server(cls.users, require=False),
                       forward_client_cert_details=mode, **manager)
            for mode, port in cls.ports.items()], [envoy.cluster(ports=[cls.app.port])]))

    def ask(self, mode, certificates, *fields, path="/"):
        context = self.ca.context(certificates)
        wrapped = context.wrap_socket(connect(self, self.ports[mode]).socket)
        self.addCleanup(wrapped.close)
        answer = Peer(wrapped).exchange(get(path, *fields))
        self.assertEqual(answer.status, 200)
        return answer.json()["fields"]

    def xfcc(self, mode, certificates, *fields):
        return [value for name, value in self.ask(mode, certificates, *fields) if name == "x-forwarded-client-cert"]

    def line_of(self, path):
        """Of the access log; that of others may come later than it was asked for."""
        return sidecar.until(f"a line of {path}", lambda: [
            line for line in self.proxy.access_log() if line.pop("path") == path])[0]

    def own_element(self):
        (element,) = self.xfcc("SANITIZE_SET", self.customer)
        return element

    def test_an_element_says_all_of_the_certificate(self):
        element = self.own_element()
        pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^;]*)', element)
        der = ssl.PEM_cert_to_DER_cert(self.pem[0])
        self.assertEqual([(key, value) for key, value in pairs if key not in ("Cert", "Chain", "Subject")], [
            ("By", USERS), ("Hash", hashlib.sha256(der).hexdigest()), ("URI", CUSTOMER), ("DNS", "customer"),
            ("DNS", "customer.shop")])
        told = dict(pairs)
        self.assertEqual(unquote(told["Cert"].strip('"')), self.pem[0])
        # OpenSSL sends the authority's certificate behind a chain that lacks it.
        with open(self.ca.bundle) as file:
            self.assertEqual(unquote(told["Chain"].strip('"')), "".join(self.pem) + file.read())
        self.assertTrue(told["Subject"].startswith('"'))

    def test_each_mode_does_what_it_says_with_what_came(self):
        ours, field = self.own_element(), "X-Forwarded-Client-Cert: "
        came = [field + 'By=a;Subject="x,y"', field + "Hash=1,Hash=2"]
        values = [text[len(field):] for text in came]
        for mode, expected in (("SANITIZE", []), ("FORWARD_ONLY", values), ("SANITIZE_SET", [ours]),
                               ("APPEND_FORWARD", [",".join([*values, ours])]), ("ALWAYS_FORWARD_ONLY", values)):
            self.assertEqual(self.xfcc(mode, self.customer, *came), expected, mode)
        for mode in MODES[:4]:
            self.assertEqual(self.xfcc(mode, None, *came), [], f"{mode}: nothing was proven")
        self.assertEqual(self.xfcc("ALWAYS_FORWARD_ONLY", None, *came), values)

    def test_an_open_quote_does_not_swallow_the_proxys_own_element(self):
        ours = self.own_element()
        for text in ('By=a;Subject="', 'Subject="a\\"', 'URI=a"b'):
            self.assertEqual(self.xfcc("APPEND_FORWARD", self.customer, f"X-Forwarded-Client-Cert: {text}"), [ours])

    def test_logs_and_added_fields_tell_the_same(self):
        fields = dict(self.ask("SANITIZE", self.customer, path="/logs"))
        line = self.line_of("/logs")
        der = ssl.PEM_cert_to_DER_cert(self.pem[0])
        info = subprocess.run(["openssl", "x509", "-noout", "-startdate", "-enddate", "-serial", "-dateopt", "iso_8601"],
                              input=self.pem[0], capture_output=True, text=True, check=True, timeout=30).stdout
        known = dict(re.findall(r"(\w+)=(.*)", info))
        expected = {
            "PEER_URI_SAN": CUSTOMER, "PEER_DNS_SAN": "customer,customer.shop", "PEER_IP_SAN": "10.1.2.3", "PEER_EMAIL_SAN": None,
            "PEER_FINGERPRINT_256": hashlib.sha256(der).hexdigest(), "PEER_FINGERPRINT_1": hashlib.sha1(der).hexdigest(),
            "PEER_CERT_V_START": known["notBefore"].replace(" ", "T").replace("Z", ".000Z"),
            "PEER_CERT_V_END": known["notAfter"].replace(" ", "T").replace("Z", ".000Z"),
            "LOCAL_URI_SAN": USERS, "LOCAL_DNS_SAN": "users,users.shop", "TLS_VERSION": "TLSv1.3",
        }
        for name, value in expected.items():
            self.assertEqual(line["DOWNSTREAM_" + name], value, name)
        self.assertEqual(int(line["DOWNSTREAM_PEER_SERIAL"], 16), int(known["serial"], 16))
        self.assertEqual(unquote(line["DOWNSTREAM_PEER_CERT"]), self.pem[0])
        self.assertTrue(line["DOWNSTREAM_TLS_CIPHER"] and line["DOWNSTREAM_TLS_GROUP"])
        for name, value in line.items():
            self.assertEqual(fields.get(f"x-{name.lower().replace('_', '-')}"), value, name)

    def test_without_a_certificate_there_is_nothing_to_tell(self):
        self.ask("SANITIZE", None, path="/nobody")
        line = self.line_of("/nobody")
        self.assertEqual({name: value for name, value in line.items() if "PEER" in name and value is not None}, {})
        self.assertEqual(line["DOWNSTREAM_LOCAL_URI_SAN"], USERS)

    def test_an_upstreams_certificate_is_logged_too(self):
        port, outer = sidecar.free_port(), sidecar.free_port()
        files = dict(zip(("cert", "key", "ca"), self.users))
        sidecar.start(self, SHORT.format(name="users", **files) + f"""
inbound: {{ listen: 127.0.0.1:{port}, capture: off, mtls: strict, app: 127.0.0.1:{self.app.port} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
""")
        names = [name.replace("DOWNSTREAM", "UPSTREAM") for name in OPERATORS]
        log = [{"name": "log", "typed_config": {
            "@type": envoy.TYPE + "access_loggers.file.v3.FileAccessLog", "path": "access.log",
            "log_format": {"json_format": {name: f"%{name}%" for name in names}}}}]
        proxy = sidecar.start(self, envoy.bootstrap(
            [envoy.http("out", outer, log=False, access_log=log)],
            [envoy.http_cluster(port, envoy.AUTO, tls=envoy.tls_client(self.customer, ["spiffe://mesh.local/"]))]))
        self.assertEqual(connect(self, outer).exchange(get()).status, 200)
        line = proxy.wait_access_log(1)[0]
        self.assertEqual(line["UPSTREAM_PEER_URI_SAN"], USERS)
        self.assertEqual(line["UPSTREAM_PEER_DNS_SAN"], "users,users.shop")
        self.assertEqual(line["UPSTREAM_LOCAL_URI_SAN"], CUSTOMER)
        self.assertIn("BEGIN%20CERTIFICATE", line["UPSTREAM_PEER_CERT"])


if __name__ == "__main__":
    unittest.main()
