#!/usr/bin/env python3
"""Hosts that refuse connections: how many are tried without a retry policy, and how often one is tried with it."""

import unittest

import envoy_config as envoy
import sidecar
from peers import connect, get


class ConnectRetries(unittest.TestCase):
    def failed(self, hosts, **route):
        """Counters of the cluster after one request, all of whose hosts refuse."""
        port = sidecar.free_port()
        ports = [sidecar.free_port() for _ in range(hosts)]
        routes = [envoy.route(**route)]
        proxy = sidecar.start(self, envoy.bootstrap([envoy.http("in", port, routes)], [envoy.cluster(ports=ports)]))
        self.assertEqual(connect(self, port).exchange(get()).status, 503)
        stats = proxy.stats()
        return {name: stats["cluster.app." + name]
                for name in ("upstream_cx_connect_fail", "upstream_rq_retry", "upstream_rq_retry_limit_exceeded")}

    def test_a_policy_tries_one_host_as_often_as_it_says(self):
        self.assertEqual(self.failed(1, retry_policy={"retry_on": "connect-failure", "num_retries": 9,
                                                      "retry_back_off": {"base_interval": "0.001s"}}),
                         {"upstream_cx_connect_fail": 10, "upstream_rq_retry": 9,
                          "upstream_rq_retry_limit_exceeded": 1})

    def test_without_a_policy_one_host_is_tried_once(self):
        self.assertEqual(self.failed(1)["upstream_cx_connect_fail"], 1)

    def test_without_a_policy_each_of_three_hosts_is_tried(self):
        self.assertEqual(self.failed(3), {"upstream_cx_connect_fail": 3, "upstream_rq_retry": 0,
                                          "upstream_rq_retry_limit_exceeded": 0})

    def test_without_a_policy_of_many_hosts_eight_are_tried(self):
        self.assertEqual(self.failed(12)["upstream_cx_connect_fail"], 8)


if __name__ == "__main__":
    unittest.main()
