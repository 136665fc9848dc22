"""A secret discovery service beside a test (ads_server.py), and the configuration that asks it.

    service = SecretService(test)
    service.certificate("default", "1", certificate, key)      # file names
    service.roots("ROOTCA", "1", bundle)
    service.wait("ack default 1")
"""

import ads_service
from protobuf_wire import field

SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"


def data_source(path):
    with open(path, "rb") as file:
        return field(2, file.read())


class SecretService(ads_service.AdsService):
    def certificate(self, name, version, certificate, key):
        pair = field(1, data_source(certificate)) + field(2, data_source(key))
        self.say(SECRET, name, version, field(1, name) + field(2, pair))

    def roots(self, name, version, bundle):
        self.say(SECRET, name, version, field(1, name) + field(4, field(1, data_source(bundle))))

    def nothing(self, name, version):
        """An answer without the secret."""
        self.say_nothing(SECRET, name, version)


def cluster(path, name="sds"):
    """The cluster that asks the service at a socket."""
    return ads_service.cluster(path, name)


def by_sds(name, timeout="15s", cluster_name="sds"):
    """An SdsSecretConfig."""
    return {"name": name, "sds_config": {"resource_api_version": "V3", "initial_fetch_timeout": timeout,
                                         "api_config_source": ads_service.api_config_source(cluster_name)}}


def common_tls(certificate, roots, sans=None, timeout="15s", cluster_name="sds"):
    """A CommonTlsContext of two secrets."""
    names = [{"san_type": "URI", "matcher": {"exact": san}} for san in sans or []]
    return {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [by_sds(certificate, timeout, cluster_name)],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": names},
                "validation_context_sds_secret_config": by_sds(roots, timeout, cluster_name)}}
