"""A secret discovery service beside a test (secret_server.py), and the configuration that asks it.

    service = SecretService(test)
    service.certificate("default", "1", certificate, key)      # file names
    service.roots("ROOTCA", "1", bundle)
    service.wait("ack default 1")
"""

import json
import os
import subprocess
import tempfile
import threading

import programs
from protobuf_wire import field
from sidecar import until

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "secret_server.py")


def data_source(path):
    with open(path, "rb") as file:
        return field(2, file.read())


class SecretService:
    def __init__(self, test, path=None):
        self.path = path or os.path.join(tempfile.mkdtemp(prefix="pillion-sds-"), "socket")
        self.lines = []
        self.process = None
        self.start()
        add_cleanup = test.addClassCleanup if isinstance(test, type) else test.addCleanup
        add_cleanup(self.stop)

    def start(self):
        self.process = subprocess.Popen([programs.find_grpc_python(), SERVER, "unix:" + self.path],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        heard = len(self.lines)
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()
        until("the secret service listens", lambda: "listens" in self.lines[heard:])

    def _read(self, stdout):
        for line in stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def certificate(self, name, version, certificate, key):
        secret = field(1, name) + field(2, field(1, data_source(certificate)) + field(2, data_source(key)))
        self.say(name=name, version=version, secret=secret.hex())

    def roots(self, name, version, bundle):
        secret = field(1, name) + field(4, field(1, data_source(bundle)))
        self.say(name=name, version=version, secret=secret.hex())

    def nothing(self, name, version):
        """An answer without the secret."""
        self.say(name=name, version=version)

    def heard(self, start):
        return [line for line in self.lines if line.startswith(start)]

    def wait(self, start, count=1):
        until(lambda: f"{start!r} among {self.lines[-8:]}", lambda: len(self.heard(start)) >= count)

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


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
