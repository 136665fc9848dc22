#!/usr/bin/env python3
"""go-control-plane hands out certificates: by a stream for each secret, and by the one of ADS."""

import os
import tempfile
import unittest

import control_plane
import envoy_config as envoy
import secret_service
import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import Peer, Upstream, connect, echo, get


def inline(path):
    with open(path) as file:
        return {"inline_string": file.read()}


def by_ads(name):
    return {"name": name, "sds_config": {"ads": {}, "resource_api_version": "V3"}}


class GoControlPlane(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.customer = cls.ca.issue(CUSTOMER)
        cls.upstream = Upstream(cls, echo)

    def setUp(self):
        self.address = os.path.join(tempfile.mkdtemp(prefix="pillion-xds-"), "socket")
        self.plane = control_plane.ControlPlane(self, "unix", self.address)
        self.port = sidecar.free_port()

    def say(self, version, key=None):
        certificate, own_key, bundle = self.ca.issue(USERS)
        self.plane.say(version, {}, {}, {}, secrets=[
            {"name": "default", "tls_certificate": {"certificate_chain": inline(certificate),
                                                    "private_key": inline(key or own_key)}},
            {"name": "ROOTCA", "validation_context": {"trusted_ca": inline(bundle)}}])

    def start(self, common, **more):
        tls = {"name": "tls", "typed_config": {
            "@type": envoy.TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", "require_client_certificate": True,
            "common_tls_context": common}}
        # The node and the cluster as a bootstrap of ADS has them.
        config = control_plane.bootstrap(self.address)
        config["static_resources"]["clusters"].append(envoy.cluster(ports=[self.upstream.port]))
        config["static_resources"]["listeners"] = [envoy.http("in", self.port, tls=tls)]
        return sidecar.start(self, {key: value for key, value in config.items() if key not in more.get("without", ())})

    def serial(self):
        context = self.ca.context(self.customer)
        with context.wrap_socket(connect(self, self.port).socket) as wrapped:
            self.assertEqual(Peer(wrapped).exchange(get()).status, 200)
            return wrapped.getpeercert()["serialNumber"]

    def check(self):
        """What is the same for both ways."""
        first = self.serial()
        self.say("2")
        self.plane.wait("ack Secret 2")
        sidecar.until("the second certificate", lambda: self.serial() != first)
        second = self.serial()
        self.say("3", key=self.customer[1])
        sidecar.until("a NACK", self.plane.nacks)
        self.assertIn("the private key does not belong to the certificate", self.plane.nacks()[0])
        self.assertEqual(self.serial(), second)

    def test_by_a_stream_for_each_secret(self):
        self.say("1")
        self.start(secret_service.common_tls("default", "ROOTCA", cluster_name="xds"), without=["dynamic_resources"])
        self.check()

    def test_by_the_stream_of_ads(self):
        self.say("1")
        self.start({"tls_certificate_sds_secret_configs": [by_ads("default")],
                    "validation_context_sds_secret_config": by_ads("ROOTCA")})
        self.check()


if __name__ == "__main__":
    unittest.main()
