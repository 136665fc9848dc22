#!/usr/bin/env python3
"""transport_socket_matches: endpoints of one cluster, each called over the transport socket that its metadata chooses."""

import json
import os
import threading
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import connect, get
from permissive_test import TLS_INSPECTOR

ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
RAW = {"name": "envoy.transport_sockets.raw_buffer",
       "typed_config": {"@type": envoy.TYPE + "transport_sockets.raw_buffer.v3.RawBuffer"}}


def says(text):
    return [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}]


def labelled(port, mode):
    """An endpoint as istiod sends it; mode None: without a label."""
    metadata = {"istio": {"workload": "users;shop;users;v1;Kubernetes"}}
    if mode:
        metadata["envoy.transport_socket_match"] = {"tlsMode": mode}
    return {"endpoint": {"address": sidecar.address(port)}, "metadata": {"filter_metadata": metadata}}


class Mesh(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users, cls.customer = cls.ca.issue(USERS), cls.ca.issue(CUSTOMER)

    def setUp(self):
        self.ports = [sidecar.free_port() for _ in range(2)]
        self.port = sidecar.free_port()
        self.raw_port = sidecar.free_port()
        self.server = sidecar.start(self, envoy.bootstrap(
            [self.either(f"in-{i}", port) for i, port in enumerate(self.ports)], []))

    def either(self, name, port):
        """A listener of TLS and of plain text, whose answers say which it was."""
        secure = envoy.http(name, port, says(f"{name} tls"), log=False, tls=envoy.tls_server(self.users))
        plain = envoy.http(name, port, says(f"{name} plain"), log=False)
        chains = secure["filter_chains"] + plain["filter_chains"]
        for made, kind in zip(chains, ("tls", "raw_buffer")):
            made["filter_chain_match"] = {"transport_protocol": kind}
        return secure | {"filter_chains": chains, "listener_filters": [TLS_INSPECTOR]}

    def cluster(self, **fields):
        made = envoy.cluster(transport_socket_matches=[
            {"name": "tlsMode-istio", "match": {"tlsMode": "istio"},
             "transport_socket": envoy.tls_client(self.customer, [USERS])},
            {"name": "tlsMode-disabled", "match": {}, "transport_socket": RAW}])
        return made | fields

    def start(self, cluster):
        self.proxy = sidecar.start(self, envoy.bootstrap(
            [envoy.http("out", self.port, log=False), envoy.tcp("raw", self.raw_port, log=False)], [cluster]))

    def ask(self, port=None):
        answer = connect(self, port or self.port).exchange(get())
        self.assertEqual(answer.status, 200)
        return answer.body.decode()

    def answers(self, port=None):
        return {self.ask(port) for _ in range(12)}


class Files(Mesh):
    def test_endpoints_of_a_file_are_called_as_their_metadata_says(self):
        self.start(self.cluster(load_assignment={"cluster_name": "app", "endpoints": [
            {"lb_endpoints": [labelled(self.ports[0], "istio"), labelled(self.ports[1], None)]}]}))
        both = {"in-0 tls", "in-1 plain"}
        self.assertEqual(self.answers(), both)
        self.assertEqual(self.answers(self.raw_port), both, "connections of TcpProxy")
        self.assertGreaterEqual(self.proxy.stats()["cluster.app.ssl.handshake"], 1)

    def test_the_locality_speaks_for_endpoints_that_say_nothing(self):
        cluster = self.cluster(load_assignment={"cluster_name": "app", "endpoints": [
            {"lb_endpoints": [labelled(self.ports[0], None), labelled(self.ports[1], "disabled")],
             "metadata": labelled(0, "istio")["metadata"]}]})
        plain = cluster["transport_socket_matches"].pop()  # who matches nothing falls to the locality
        cluster["transport_socket_matches"].append(plain | {"match": {"tlsMode": "disabled"}})
        self.start(cluster)
        self.assertEqual(self.answers(), {"in-0 tls", "in-1 plain"})

    def test_checks_go_over_the_socket_of_their_criteria(self):
        check = {"timeout": "1s", "interval": "0.1s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                 "http_health_check": {"path": "/"}}
        for criteria, handshakes in (({"tlsMode": "disabled"}, 0), (None, 1)):
            fields = {"transport_socket_match_criteria": criteria} if criteria else {}
            self.port, self.raw_port = sidecar.free_port(), sidecar.free_port()
            self.start(self.cluster(health_checks=[check | fields], load_assignment={
                "cluster_name": "app", "endpoints": [{"lb_endpoints": [labelled(self.ports[0], "istio")]}]}))
            self.proxy.wait_stat("cluster.app.membership_healthy", 1)
            self.assertEqual(min(self.proxy.stats()["cluster.app.ssl.handshake"], 1), handshakes)
            self.assertEqual(self.ask(), "in-0 tls", "requests follow the endpoint")


class Assigned(Mesh):
    """By EDS, under load: labels change while requests go on."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(programs.folder(self), "eds.json")

    def assign(self, *modes):
        endpoints = [labelled(port, mode) for port, mode in zip(self.ports, modes)]
        with open(self.path + ".next", "w") as out:
            json.dump({"resources": [{"@type": ASSIGNMENT, "cluster_name": "app", "endpoints": [
                {"lb_endpoints": endpoints}]}]}, out)
        os.rename(self.path + ".next", self.path)

    def test_labels_that_change_choose_anew_and_no_request_fails(self):
        self.assign("istio", None)
        cluster = self.cluster(type="EDS", eds_cluster_config={
            "eds_config": {"path_config_source": {"path": self.path}, "resource_api_version": "V3"}})
        del cluster["load_assignment"]
        self.start(cluster)
        self.assertEqual(self.answers(), {"in-0 tls", "in-1 plain"})
        failures, stopped, asked = [], threading.Event(), [0]

        def load():
            client = connect(self, self.port)
            while not stopped.is_set():
                status = client.exchange(get()).status
                asked[0] += 1
                if status != 200:
                    failures.append(status)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for modes, answers in (((None, "istio"), {"in-0 plain", "in-1 tls"}),
                                   (("istio", "istio"), {"in-0 tls", "in-1 tls"}),
                                   ((None, None), {"in-0 plain", "in-1 plain"})):
                self.assign(*modes)
                sidecar.until(f"{answers}", lambda expected=answers: self.answers() == expected)
        finally:
            stopped.set()
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(asked[0], 50)


if __name__ == "__main__":
    unittest.main()
