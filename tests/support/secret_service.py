"""A secret discovery service beside a test (secret_server.py), and the configuration that asks it.

    service = SecretService(test)
    service.certificate("default", "1", certificate, key)      # file names
    service.roots("ROOTCA", "1", bundle)
    service.wait("ack default 1")
"""

import os
import tempfile

import programs
from line_process import LineProcess
from protobuf_wire import field
from sidecar import until

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "secret_server.py")


def data_source(path):
    with open(path, "rb") as file:
        return field(2, file.read())


class SecretService(LineProcess):
    def __init__(self, test, path=None):
        super().__init__()
        self.path = path or os.path.join(tempfile.mkdtemp(prefix="pillion-sds-"), "socket")
        self.start(test)

    def start(self, test=None):
        heard = len(self.lines)
        self.launch(test, [programs.find_grpc_python(), SERVER, "unix:" + self.path])
        until("the secret service listens", lambda: "listens" in self.lines[heard:])

    def certificate(self, name, version, certificate, key):
        secret = field(1, name) + field(2, field(1, data_source(certificate)) + field(2, data_source(key)))
        self.tell(name=name, version=version, secret=secret.hex())

    def roots(self, name, version, bundle):
        secret = field(1, name) + field(4, field(1, data_source(bundle)))
        self.tell(name=name, version=version, secret=secret.hex())

    def nothing(self, name, version):
        """An answer without the secret."""
        self.tell(name=name, version=version)


def cluster(path, name="sds"):
    """The cluster that asks the service at a socket."""
    http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}
    endpoint = {"endpoint": {"address": {"pipe": {"path": path}}}}
    return {"name": name, "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def by_sds(name, timeout="15s", cluster_name="sds"):
    """An SdsSecretConfig."""
    return {"name": name, "sds_config": {
        "resource_api_version": "V3", "initial_fetch_timeout": timeout,
        "api_config_source": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {
            "cluster_name": cluster_name,
            "retry_policy": {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"}}}}]}}}


def common_tls(certificate, roots, sans=None, timeout="15s", cluster_name="sds"):
    """A CommonTlsContext of two secrets."""
    names = [{"san_type": "URI", "matcher": {"exact": san}} for san in sans or []]
    return {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [by_sds(certificate, timeout, cluster_name)],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": names},
                "validation_context_sds_secret_config": by_sds(roots, timeout, cluster_name)}}
