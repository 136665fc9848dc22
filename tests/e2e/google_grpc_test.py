#!/usr/bin/env python3
"""A control plane by TLS, of gRPC's Python, as google_grpc with ssl_credentials and as a cluster: who is trusted, and what
is shown to it."""

import unittest

import ads_service
import sidecar
from ads_service import AdsService
from authority import Authority
from control_plane import ADS

SERVER, CLIENT = "spiffe://mesh.local/ns/cp/sa/server", "spiffe://mesh.local/ns/cp/sa/client"
CLUSTER = "envoy.config.cluster.v3.Cluster"


class GoogleGrpcTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority(cls)
        cls.other = Authority(cls)
        cls.server = cls.authority.issue(SERVER, "--dns", "localhost", "--ip", "127.0.0.1")
        cls.client = cls.authority.issue(CLIENT)

    def service(self, port, bundle, certificates=None, host="localhost", type_="GRPC"):
        credentials = {"root_certs": {"filename": bundle}}
        if certificates:
            credentials |= {"cert_chain": {"filename": certificates[0]}, "private_key": {"filename": certificates[1]}}
        return {"api_type": type_, "transport_api_version": "V3", "grpc_services": [{"google_grpc": {
            "target_uri": f"{host}:{port}", "stat_prefix": "x",
            "channel_credentials": {"ssl_credentials": credentials}}}]}

    def start(self, ads, source=ADS, clusters=(), **options):
        config = {"node": {"id": "n", "cluster": "c"}, "static_resources": {"clusters": list(clusters)},
                  "dynamic_resources": {"ads_config": ads, "cds_config": source | {"initial_fetch_timeout": "0.2s"}}}
        return sidecar.start(self, config, **options)

    def test_tls_checks_the_server_for_the_host_of_its_target(self):
        service = AdsService(self, tls=self.server[:2])
        for host in ("localhost", "127.0.0.1"):
            proxy = self.start(self.service(service.port, self.authority.bundle, host=host))
            service.wait("ask Cluster *", 1 if host == "localhost" else 2)
            clusters = proxy.get("/clusters")[1]
            self.assertIn(f"google_grpc/{host}:{service.port}#tls-", clusters)

    def test_a_server_of_another_authority_is_not_asked(self):
        service = AdsService(self, tls=self.server[:2])
        proxy = self.start(self.service(service.port, self.other.bundle))
        proxy.wait_log("no stream to the control plane")
        sidecar.until("a failed handshake", lambda: any(
            name.endswith("ssl.fail_verify_error") and value for name, value in proxy.stats().items()))
        self.assertEqual(service.heard("ask"), [])

    def test_mutual_tls_shows_the_certificate(self):
        service = AdsService(self, tls=self.server)
        without = self.start(self.service(service.port, self.authority.bundle))
        without.wait_log("no stream to the control plane")
        self.assertEqual(service.heard("ask"), [])
        self.start(self.service(service.port, self.authority.bundle, self.client))
        service.wait("ask Cluster *")

    def test_two_services_of_one_target_have_their_own_credentials(self):
        service = AdsService(self, tls=self.server)
        bad = {"api_config_source": self.service(service.port, self.authority.bundle), "resource_api_version": "V3"}
        proxy = self.start(self.service(service.port, self.authority.bundle, self.client), source=bad)
        proxy.wait_log("no stream to the server of cds")
        self.assertEqual(service.heard("ask"), [], "cds has no certificate, and nothing else is wanted")
        names = {line.split("::")[0] for line in proxy.get("/clusters")[1].splitlines() if "::" in line}
        self.assertEqual(len([name for name in names if name.startswith("google_grpc/localhost:")]), 2, names)

    def test_a_cluster_with_mutual_tls_is_asked_if_it_is_whom_it_should_be(self):
        service = AdsService(self, tls=self.server)

        def cluster(san):
            common = {"tls_certificates": [{"certificate_chain": {"filename": self.client[0]},
                                            "private_key": {"filename": self.client[1]}}],
                      "validation_context": {"trusted_ca": {"filename": self.authority.bundle},
                                             "match_typed_subject_alt_names": [
                                                 {"san_type": "URI", "matcher": {"exact": san}}]}}
            made = ads_service.cluster("unused")
            made["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = sidecar.address(
                service.port)
            return made | {"transport_socket": {"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": common}}}
        other = self.start(ads_service.api_config_source(), clusters=[cluster(CLIENT)])
        other.wait_log("no stream to the control plane")
        self.assertEqual(service.heard("ask"), [])
        self.assertGreaterEqual(other.stats()["cluster.xds.ssl.fail_verify_san"], 1)
        proxy = self.start(ads_service.api_config_source(), clusters=[cluster(SERVER)])
        service.wait("ask Cluster *")
        proxy.wait_stat("control_plane.connected_state", 1)


if __name__ == "__main__":
    unittest.main()
