"""Certificate and bundle change every second under load through two sidecars, and no request fails.

Generation n of the mesh has a CA of its own.  The bundle of n trusts the CAs of n-1, n and n+1, and certificates of n
are issued by CA n: so a peer that is a generation behind, or ahead, is trusted.  tests/run --full rotates for a minute.
"""

import hashlib
import http.client
import os
import shutil
import ssl
import tempfile
import threading
import time
import unittest

import envoy_config as envoy
import programs
import secret_service
import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import Upstream, connect, echo, get

SECONDS = 60 if programs.FULL else 6
CLIENTS = 4
# Of connections that are drained when they are so old.
SHORT_LIFE = {"max_connection_duration": "1s"}
# New handshakes all the time, or a rotation would only be seen by the first ones.
PROTOCOL = {"max_requests_per_connection": 5}


class Generations:
    """All certificates of the test, made before it."""

    def __init__(self, test, count):
        authorities = [Authority(test) for _ in range(count + 1)]
        folder = tempfile.mkdtemp(prefix="pillion-rotation-")
        test.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.users, self.customer, self.bundles = [], [], []
        for number in range(count):
            self.users.append(authorities[number].issue(USERS)[:2])
            self.customer.append(authorities[number].issue(CUSTOMER)[:2])
            bundle = os.path.join(folder, f"{number}.crt")
            with open(bundle, "wb") as out:
                for authority in authorities[max(number - 1, 0):number + 2]:
                    with open(authority.bundle, "rb") as one:
                        shutil.copyfileobj(one, out)
            self.bundles.append(bundle)


class Load:
    """Requests from several clients, each on a connection that it keeps."""

    def __init__(self, port):
        self.port, self.over, self.count, self.failures = port, False, 0, []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.over:
            try:
                connection.request("GET", "/", headers={"Host": "users"})
                response = connection.getresponse()
                body = response.read()
                if response.status != 200:
                    self.failures.append((response.status, body[:200]))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            self.count += 1
            time.sleep(0.002)
        connection.close()

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join(20)


class Rotation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.generations = Generations(cls, SECONDS + 2)
        cls.upstream = Upstream(cls, echo)

    def sidecars(self, server_tls, client_tls, more_clusters=(), protocol=None, server=None, **more):
        """A pair of them: (that of the server, that of the client, the client's port).

        protocol: of the client's cluster, server: of the server's connections.
        """
        inbound, outbound = sidecar.free_port(), sidecar.free_port()
        tls = envoy.TYPE + "transport_sockets.tls.v3."
        serving = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", inbound, log=False, **(server or {}), tls={"name": "tls", "typed_config": {
                "@type": tls + "DownstreamTlsContext", "require_client_certificate": True,
                "common_tls_context": server_tls}})],
            [envoy.cluster(ports=[self.upstream.port]), *more_clusters], **more))
        client = sidecar.start(self, envoy.bootstrap(
            [envoy.http("out", outbound, log=False)],
            [envoy.cluster(ports=[inbound], protocol=protocol or PROTOCOL, transport_socket={"name": "tls", "typed_config": {
                "@type": tls + "UpstreamTlsContext", "common_tls_context": client_tls}}), *more_clusters], **more))
        return serving, client, outbound

    def rotate(self, server, client, port, put, handshakes=2 * SECONDS):
        """put(n) makes generation n the one in force; so many handshakes there must be at least."""
        load = Load(port)
        start = time.monotonic()
        try:
            for number in range(1, SECONDS + 1):
                put(number)
                time.sleep(max(0, start + number - time.monotonic()))
        finally:
            load.end()
        self.assertEqual(load.failures[:5], [], f"{len(load.failures)} of {load.count} failed")
        self.assertGreater(load.count, 20 * SECONDS)
        for proxy in (server, client):
            stats = proxy.stats()
            self.assertEqual(stats["listener_manager.listener_modified"] + stats["cluster_manager.cluster_modified"], 0)
        self.assertGreater(client.stats()["cluster.app.ssl.handshake"], handshakes, "hardly any new handshakes")
        self.assertEqual(client.stats()["cluster.app.ssl.connection_error"], 0)
        # The last generation is in force on both sides.
        for proxy, certificates in ((server, self.generations.users), (client, self.generations.customer)):
            serial = self.serial(certificates[SECONDS][0])
            sidecar.until("the last certificate", lambda p=proxy, s=serial: s in self.serials(p))

    @staticmethod
    def serial(path):
        return ssl._ssl._test_decode_cert(path)["serialNumber"].lower().lstrip("0")

    @staticmethod
    def serials(proxy):
        return [c["serial_number"].lower().lstrip("0")
                for entry in proxy.json("/certs")["certificates"] for c in entry["cert_chain"]]

    def by_files(self):
        """(put, TLS of the server, TLS of the client): one renames, the other swaps a link."""
        renamed, mounted = tempfile.mkdtemp(), tempfile.mkdtemp()
        for folder in (renamed, mounted):
            self.addCleanup(shutil.rmtree, folder, ignore_errors=True)

        def by_rename(number):
            certificate, key = self.generations.users[number]
            for source, name in ((self.generations.bundles[number], "ca"), (certificate, "crt"), (key, "key")):
                shutil.copy(source, os.path.join(renamed, "new"))
                os.rename(os.path.join(renamed, "new"), os.path.join(renamed, name))

        def by_link(number):
            """As the kubelet does with a mounted Secret."""
            data = os.path.join(mounted, f"..{number}")
            os.mkdir(data)
            certificate, key = self.generations.customer[number]
            for source, name in ((self.generations.bundles[number], "ca"), (certificate, "crt"), (key, "key")):
                shutil.copy(source, os.path.join(data, name))
                if number == 0:
                    os.symlink(os.path.join("..data", name), os.path.join(mounted, name))
            os.symlink(f"..{number}", os.path.join(mounted, "..data_tmp"))
            os.rename(os.path.join(mounted, "..data_tmp"), os.path.join(mounted, "..data"))
            if number > 1:
                shutil.rmtree(os.path.join(mounted, f"..{number - 2}"))

        def put(number):
            by_rename(number)
            by_link(number)

        def files(folder):
            return [os.path.join(folder, name) for name in ("crt", "key", "ca")]
        put(0)
        names = ["spiffe://mesh.local/"]
        return put, envoy.common_tls(files(renamed), names), envoy.common_tls(files(mounted), names)

    def test_by_files_that_are_renamed_and_by_a_link_that_is_swapped(self):
        put, server_tls, client_tls = self.by_files()
        server, client, port = self.sidecars(server_tls, client_tls)
        self.rotate(server, client, port, put)
        self.assertEqual(server.stats()["server.config_reload_success"], 0)
        # A line for each change, and no more: certificate and bundle.
        for proxy in (server, client):
            self.assertLessEqual(proxy.log_text().count("secret taken"), 2 * SECONDS)
            self.assertEqual(proxy.log_text().count("expire"), proxy.log_text().count("expires="))
        self.assert_gauges_follow(server, self.generations.users[SECONDS][0])

    def assert_gauges_follow(self, proxy, certificate):
        """The metrics tell when this certificate expires, and of no other one."""
        ends = ssl.cert_time_to_seconds(ssl._ssl._test_decode_cert(certificate)["notAfter"])
        lines = [line for line in proxy.get("/stats/prometheus")[1].splitlines()
                 if line.startswith("envoy_ssl_certificate_expiration_unix_time_seconds{")]
        self.assertEqual(len(lines), 1, lines)
        self.assertEqual(lines[0].split()[-1], str(int(ends)))
        self.assertEqual(proxy.get("/stats/prometheus")[1].count("envoy_ssl_trusted_ca_expired{"), 1)

    def test_connections_that_are_drained_after_their_time_begin_with_the_newest(self):
        put, server_tls, client_tls = self.by_files()
        server, client, port = self.sidecars(
            server_tls, client_tls, protocol=SHORT_LIFE,
            server={"common_http_protocol_options": {"max_connection_duration": "1.5s"},
                    "forward_client_cert_details": "SANITIZE_SET", "drain_timeout": "0.1s"})
        self.rotate(server, client, port, put, SECONDS)
        # All are gone: who calls now shows the last one.
        with open(self.generations.customer[SECONDS][0]) as file:
            digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
        sidecar.until("a call with the last certificate", lambda: f"Hash={digest}" in self.forwarded(port))

    def forwarded(self, port):
        """The x-forwarded-client-cert of a call."""
        answer = connect(self, port).exchange(get("/", host="users"))
        return dict(answer.json()["fields"])["x-forwarded-client-cert"]

    def test_by_sds(self):
        service = secret_service.SecretService(self)

        def put(number):
            service.roots("ROOTCA", str(number), self.generations.bundles[number])
            service.certificate("users", str(number), *self.generations.users[number])
            service.certificate("customer", str(number), *self.generations.customer[number])
        put(0)
        server, client, port = self.sidecars(
            secret_service.common_tls("users", "ROOTCA", [CUSTOMER]),
            secret_service.common_tls("customer", "ROOTCA", [USERS]),
            [secret_service.cluster(service.path)], node={"id": "n", "cluster": "c"})
        self.rotate(server, client, port, put)
        self.assertEqual(service.heard("nack"), [])


if __name__ == "__main__":
    unittest.main()
