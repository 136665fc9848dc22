#!/usr/bin/env python3
"""Hosts that fail: ejected by what their traffic looks like, or taken out by active checks, and back."""

import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, connect, get, reply


class Replica:
    """A server that says its name; `status` is what it answers, `check` what it answers to /healthz."""

    def __init__(self, test, name):
        self.name, self.status, self.check = name, "200 OK", "200 OK"
        self.checks = 0
        self.upstream = Upstream(test, self._serve)
        self.port = self.upstream.port
        self.address = f"127.0.0.1:{self.port}"

    def stop(self):
        """Connects are refused from now on."""
        self.upstream.stop()

    def _serve(self, peer):
        while (request := peer.read_request()) is not None:
            is_check = request.first.startswith("GET /healthz ")
            self.checks += is_check
            peer.send(reply(self.name.encode(), status=self.check if is_check else self.status))


class Health(unittest.TestCase):
    def start(self, count, **cluster):
        self.replicas = [Replica(self, f"r{i}") for i in range(count)]
        self.port = sidecar.free_port()
        self.cluster = cluster
        self.proxy = sidecar.start(self, self.config(), flags=["--concurrency", "2"])
        return self.replicas

    def config(self, **more):
        return envoy.bootstrap(
            [envoy.http("in", self.port)],
            [envoy.cluster(ports=[replica.port for replica in self.replicas], lb_policy="ROUND_ROBIN",
                           **(self.cluster | more))])

    def call(self, times=1):
        """Statuses and names, of connections of their own: both workers get some."""
        seen = []
        for _ in range(times):
            client = connect(self, self.port)
            answer = client.exchange(get())
            client.close()
            seen.append((answer.status, answer.body.decode()))
        return seen

    def names(self, times=24):
        return {name for _, name in self.call(times)}

    def flags(self, replica):
        for line in self.proxy.get("/clusters")[1].splitlines():
            if line.startswith(f"app::{replica.address}::health_flags::"):
                return line.split("::")[-1]
        raise AssertionError("the host is not in /clusters")

    def until_flags(self, replica, flags):
        sidecar.until(lambda: f"{flags}: {self.flags(replica)}\n{self.proxy.log_tail()}",
                      lambda: self.flags(replica) == flags)

    def until_names(self, names):
        """Workers learn of a verdict a moment after /clusters shows it."""
        sidecar.until(lambda: f"answers of {names}, not {self.names()}", lambda: self.names() == names)

    def reload(self, **more):
        before = self.proxy.log_text().count("configuration in force")
        self.proxy.write(self.config(**more))
        self.proxy.wait_log("configuration in force", before + 1)

    def test_a_failing_replica_is_ejected_and_comes_back(self):
        a, b, c = self.start(3, outlier_detection={
            "consecutive_5xx": 3, "interval": "0.2s", "base_ejection_time": "0.5s", "max_ejection_percent": 50})
        self.assertEqual(self.names(), {"r0", "r1", "r2"})
        a.status = "500 No"
        sidecar.until("ejected", lambda: self.call(6) and self.proxy.stats()[
            "cluster.app.outlier_detection.ejections_enforced_consecutive_5xx"] == 1)
        self.proxy.wait_log(f"host ejected: cluster=app host={a.address} cause=consecutive_5xx")
        a.status = "200 OK"
        self.proxy.wait_log(f"ejected host is back: cluster=app host={a.address}")
        self.until_names({"r0", "r1", "r2"})
        self.assertEqual(self.flags(a), "healthy")
        stats = self.proxy.stats()
        self.assertEqual(stats["cluster.app.outlier_detection.ejections_active"], 0)
        self.assertEqual(stats["cluster.app.membership_healthy"], 3)

    def test_an_ejected_replica_gets_nothing_and_stays_out_over_a_reload(self):
        outlier = {"consecutive_5xx": 3, "interval": "0.2s", "base_ejection_time": "300s", "always_eject_one_host": True}
        a, b = self.start(2, outlier_detection=outlier)
        a.status = "500 No"
        sidecar.until("ejected", lambda: self.call(6) and self.flags(a) == "/failed_outlier_check")
        self.until_names({"r1"})
        self.assertEqual({status for status, _ in self.call(20)}, {200})
        stats = self.proxy.stats()
        self.assertEqual(stats["cluster.app.outlier_detection.ejections_active"], 1)
        self.assertEqual(stats["cluster.app.membership_healthy"], 1)
        self.assertIn("app::outlier::success_rate_average::-1\n", self.proxy.get("/clusters")[1])
        a.status = "200 OK"
        self.reload(connect_timeout="3s")
        self.assertEqual(self.flags(a), "/failed_outlier_check")
        self.assertEqual(self.names(), {"r1"})
        # Without outlier detection nobody is ejected.
        self.cluster = {}
        self.reload()
        self.until_names({"r0", "r1"})
        self.assertEqual(self.flags(a), "healthy")

    def test_a_refused_connect_counts_as_a_failure(self):
        a, b = self.start(2, connect_timeout="1s", outlier_detection={
            "consecutive_5xx": 3, "interval": "0.2s", "base_ejection_time": "300s", "max_ejection_percent": 50})
        a.stop()
        sidecar.until("ejected", lambda: self.call(6) and self.flags(a) == "/failed_outlier_check")
        self.until_names({"r1"})

    CHECK = {"timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_threshold": 2,
             "healthy_threshold": 2, "http_health_check": {"path": "/healthz"}}

    def test_an_active_check_takes_a_replica_out_and_back(self):
        a, b, c = self.start(3, health_checks=[self.CHECK])
        self.assertEqual(self.flags(a), "healthy", "ready means checked")
        self.assertEqual(self.names(), {"r0", "r1", "r2"})
        b.check = "503 No"
        self.until_flags(b, "/failed_active_hc")
        self.proxy.wait_log(f'host fails its health checks: cluster=app host={b.address} cause="status 503"')
        self.until_names({"r0", "r2"})
        stats = self.proxy.stats()
        self.assertEqual(stats["cluster.app.health_check.healthy"], 2)
        self.assertEqual(stats["cluster.app.membership_healthy"], 2)
        self.assertGreater(stats["cluster.app.health_check.failure"], 0)
        status = [host for host in self.proxy.json("/clusters?format=json")["cluster_statuses"][0]["host_statuses"]
                  if host["address"]["socket_address"]["port_value"] == b.port][0]
        self.assertTrue(status["health_status"]["failed_active_health_check"])

        self.reload(connect_timeout="3s")
        self.assertEqual(self.flags(b), "/failed_active_hc", "a reload keeps it")
        self.assertEqual(self.names(), {"r0", "r2"})
        b.check = "200 OK"
        self.until_flags(b, "healthy")
        self.until_names({"r0", "r1", "r2"})
        self.assertEqual(self.proxy.stats()["cluster.app.upstream_rq_5xx"], 0)

    def test_a_cluster_is_warm_when_every_host_was_checked(self):
        silent = Upstream(self, lambda peer: peer.hang())
        self.port = sidecar.free_port()
        good = Replica(self, "good")
        self.replicas = [good, silent]
        self.cluster = {"health_checks": [self.CHECK | {"timeout": "0.3s"}],
                        "common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
        self.proxy = sidecar.start(self, self.config())
        self.assertGreater(good.checks, 0)
        self.assertEqual(self.names(), {"good"}, "not one request to the host that is not healthy")

    def test_connecting_is_enough_for_a_tcp_check(self):
        check = {key: value for key, value in self.CHECK.items() if key != "http_health_check"}
        a, b = self.start(2, health_checks=[check | {"tcp_health_check": {}}])
        self.assertEqual(self.names(), {"r0", "r1"})
        a.stop()
        self.until_flags(a, "/failed_active_hc")
        self.until_names({"r1"})


if __name__ == "__main__":
    unittest.main()
