#!/usr/bin/env python3
"""Clusters and listeners that wait for DNS or for a secret: all the rest of what a control plane says takes effect."""

import time
import unittest

import ads_service
import sidecar
from name_server import NameServer
from origins import Load, Origin, get
from protobuf_wire import field

CLUSTERS = "envoy.config.cluster.v3.Cluster"
LISTENERS = "envoy.config.listener.v3.Listener"
ROUTES = ads_service.ROUTES
FILTERS = "envoy.extensions.filters."
TLS = "envoy.extensions.transport_sockets.tls.v3."
STATIC, STRICT_DNS = 0, 1
ADS = field(3, b"") + field(4, field(1, 60)) + field(6, 2)  # a ConfigSource; it waits for a minute
SOON = 3.0  # seconds; much less than a lookup, or a secret, is waited for


def any_of(kind, message=b""):
    return field(1, "type.googleapis.com/" + kind) + field(2, message)


def address(host, port):
    return field(1, field(2, host) + field(3, port))


def cluster(name, port, kind=STATIC, host="127.0.0.1", more=b""):
    endpoint = field(2, field(2, field(1, field(1, address(host, port)))))
    return (field(1, name) + field(2, kind) + field(17, 1) + field(33, field(1, name) + endpoint) + more)


def routes(name, to):
    route = field(3, field(1, field(1, "/")) + field(2, field(1, to)))
    return field(1, name) + field(2, field(1, "all") + field(2, "*") + route)


def listener(name, port, route_specifier, socket=b""):
    router = field(1, "router") + field(4, any_of(FILTERS + "http.router.v3.Router"))
    hcm = any_of(FILTERS + "network.http_connection_manager.v3.HttpConnectionManager",
                 field(2, name) + route_specifier + field(5, router))
    chain = field(3, field(1, "hcm") + field(4, hcm)) + socket
    return field(1, name) + field(2, address("127.0.0.1", port)) + field(3, chain)


def by_rds(name):
    return field(3, field(1, ADS) + field(2, name))


def tls(number, kind):
    """The field of a transport socket whose certificate comes by SDS."""
    common = field(1, field(6, field(1, "mine") + field(2, ADS)))
    return field(number, field(1, "tls") + field(3, any_of(TLS + kind, common)))


class WarmingTest(unittest.TestCase):
    def setUp(self):
        self.names = NameServer(self)
        self.service = ads_service.AdsService(self)
        self.app, self.other = Origin(self, "app"), Origin(self, "other")
        self.port = sidecar.free_port()
        self.version = 0
        self.say(CLUSTERS, "app", cluster("app", self.app.port))
        self.say(LISTENERS, "in", listener("in", self.port, by_rds("r")))
        self.say(ROUTES, "r", routes("r", "app"))
        source = ads_service.ADS | {"initial_fetch_timeout": "15s"}
        self.proxy = sidecar.start(self, {
            "node": {"id": "test", "cluster": "test"},
            "dynamic_resources": {"ads_config": ads_service.api_config_source(), "cds_config": source,
                                  "lds_config": source},
            "static_resources": {"clusters": [ads_service.cluster(self.service.path)]}}, prefix=self.names.prefix)
        self.assertEqual(get(self.port), (200, "app"))

    def say(self, kind, name, message):
        self.version += 1
        self.service.say(kind, name, f"{self.version:03}", message)

    def wait_ack(self, kind):
        """Of what was said last: a response has the versions of all its resources, in their order."""
        sidecar.until(lambda: f"an ACK of {self.version} among {self.service.lines[-8:]}", lambda: any(
            line.endswith(f"{self.version:03}") for line in self.service.heard(f"ack {kind} ")), SOON)

    def until_served(self, port, body):
        def look():
            try:
                return get(port) == (200, body)
            except OSError:
                return False
        sidecar.until(lambda: f"{body} at {port}; log:\n{self.proxy.log_tail()}", look, SOON)

    def show_that_all_else_takes_effect(self):
        """A cluster, routes and a listener that come now are taken, and in force, soon."""
        began = time.monotonic()
        self.say(CLUSTERS, "other", cluster("other", self.other.port))
        self.wait_ack("Cluster")
        self.say(ROUTES, "r", routes("r", "other"))
        self.wait_ack("RouteConfiguration")
        self.until_served(self.port, "other")
        more = sidecar.free_port()
        self.say(LISTENERS, "more", listener("more", more, field(4, routes("own", "other"))))
        self.wait_ack("Listener")
        self.until_served(more, "other")
        self.assertLess(time.monotonic() - began, SOON)
        self.assertEqual(self.service.heard("nack"), [])

    def test_a_silent_name_server_holds_up_nothing_but_its_cluster(self):
        self.say(CLUSTERS, "slow", cluster("slow", 80, STRICT_DNS, "slow.test"))
        self.wait_ack("Cluster")
        sidecar.until("a question", lambda: self.names.asked)
        self.show_that_all_else_takes_effect()
        self.assertEqual(self.proxy.stats()["cluster_manager.warming_clusters"], 1)
        dump = self.proxy.json("/config_dump?resource=dynamic_warming_clusters")["configs"]
        self.assertEqual([entry["cluster"]["name"] for entry in dump], ["slow"])
        self.assertIn('cluster "slow" waits for:', self.proxy.get("/init_dump?format=text")[1])
        # What is taken back is not looked for any more, and does not come.
        self.service.take_back(CLUSTERS, "slow")
        self.proxy.wait_stat("cluster_manager.warming_clusters", 0)
        self.assertNotIn("slow", self.proxy.get("/clusters")[1])
        self.assertNotIn("slow", self.proxy.get("/init_dump")[1])

    def test_a_cluster_takes_effect_when_its_name_is_known_and_what_names_it_with_it(self):
        self.say(CLUSTERS, "late", cluster("late", self.other.port, STRICT_DNS, "late.test"))
        self.wait_ack("Cluster")
        self.say(ROUTES, "r", routes("r", "late"))
        self.wait_ack("RouteConfiguration")
        self.assertEqual(get(self.port), (200, "app"))
        self.names.speak()
        sidecar.until("the routes", lambda: get(self.port) == (200, "other"))

    def test_a_secret_that_never_comes_holds_up_nothing_but_who_needs_it(self):
        self.say(CLUSTERS, "secret", cluster("secret", self.app.port, more=tls(24, "UpstreamTlsContext")))
        self.say(LISTENERS, "secret", listener("secret", sidecar.free_port(), field(4, routes("own", "app")),
                                               tls(6, "DownstreamTlsContext")))
        self.wait_ack("Listener")
        self.service.wait("ask Secret mine")
        self.show_that_all_else_takes_effect()
        stats = self.proxy.stats()
        self.assertEqual(stats["cluster_manager.warming_clusters"], 1)
        self.assertEqual(stats["listener_manager.total_listeners_warming"], 1)
        self.assertIn('the secret "mine" (SDS)', self.proxy.get("/init_dump?format=text")[1])
        self.service.take_back(CLUSTERS, "secret")
        self.service.take_back(LISTENERS, "secret")
        self.proxy.wait_stat("cluster_manager.warming_clusters", 0)
        self.proxy.wait_stat("listener_manager.total_listeners_warming", 0)

    def test_a_changed_cluster_serves_as_before_until_the_new_one_is_warm(self):
        load = Load(self.port, clients=2, pause=0.005)
        self.say(CLUSTERS, "app", cluster("app", self.other.port, STRICT_DNS, "late.test"))
        self.wait_ack("Cluster")
        sidecar.until("a question", lambda: self.names.asked)
        self.proxy.wait_stat("cluster_manager.warming_clusters", 1)
        for _ in range(20):
            self.assertEqual(get(self.port), (200, "app"))
        self.names.speak()
        sidecar.until("the new one", lambda: get(self.port) == (200, "other"))
        self.proxy.wait_stat("cluster_manager.warming_clusters", 0)
        load.stop()
        self.assertEqual(load.failures, [])


if __name__ == "__main__":
    unittest.main()
