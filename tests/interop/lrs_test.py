#!/usr/bin/env python3
"""Load reports to go-control-plane's service: what is reported adds up to what the endpoints saw, whatever becomes of
the server, and Envoy, which tells the same server, counts alike."""

import collections
import contextlib
import threading
import time
import unittest

import programs
import sidecar
from control_plane import ADS, ControlPlane, api_config_source, bootstrap
from envoy_config import HCM, TYPE
from origins import Load, Origin, get
from xds_model import CLUSTER, ENDPOINTS, LISTENER, address

ZONES = ("east", "east", "west")  # of the hosts of cluster a; b has one more, tight another
INTERVAL = {"load_reporting_interval": "1s"}
SUMS = {"totalSuccessfulRequests": "success", "totalErrorRequests": "error", "totalIssuedRequests": "issued"}


class Host(Origin):
    """/200, /503: answers so, and counts it.  /hold/200: when it is released."""

    def __init__(self, test, zone):
        super().__init__(test, "host", answer=self.answer)
        self.zone, self.lock, self.seen = zone, threading.Lock(), collections.Counter()
        self.is_held, self.released = threading.Event(), threading.Event()

    def answer(self, path):
        status = int(path.rpartition("/")[2])
        if "/hold/" in path:
            self.is_held.set()
            self.released.wait(sidecar.DEADLINE)
        with self.lock:
            self.seen += {"issued": 1, "error" if status >= 500 else "success": 1}
        return status, "x"

    def locality(self):
        endpoint = {"endpoint": {"address": address(self.port)}}
        return {"locality": {"region": "north", "zone": self.zone}, "lb_endpoints": [endpoint]}


class Reported:
    """The sums of reports."""

    def __init__(self, reports):
        self.localities, self.endpoints, self.dropped = collections.Counter(), collections.Counter(), collections.Counter()
        self.clusters, self.names, self.seconds = collections.Counter(), {}, collections.Counter()
        self.in_progress = 0
        for cluster in (each for report in reports for each in report.get("clusterStats", ())):
            self._take(cluster["clusterName"], cluster)

    def _take(self, name, cluster):
        self.clusters[name] += 1
        self.names[name] = cluster.get("clusterServiceName")
        self.seconds[name] += float(cluster["loadReportInterval"].removesuffix("s"))
        self.dropped[name] += int(cluster.get("totalDroppedRequests", 0))
        for one in cluster.get("upstreamLocalityStats", ()):
            zone = one.get("locality", {}).get("zone")
            self.in_progress = max(self.in_progress, int(one.get("totalRequestsInProgress", 0)))
            for field, key in SUMS.items():
                self.localities[name, zone, key] += int(one.get(field, 0))
                for endpoint in one.get("upstreamEndpointStats", ()):
                    port = endpoint["address"]["socketAddress"]["portValue"]
                    self.endpoints[port, key] += int(endpoint.get(field, 0))


class Side:
    """A proxy with hosts of its own, so that what these saw is what it did."""

    def __init__(self, test, plane, node):
        self.test, self.plane, self.node = test, plane, node
        self.port = sidecar.free_port()
        self.hosts = {"a": [Host(test, zone) for zone in ZONES], "b": [Host(test, "east")],
                      "tight": [Host(test, "west")]}
        self.say()
        config = bootstrap(plane.address, node=node) | {"cluster_manager": {"load_stats_config": api_config_source()}}
        if node == "pillion":
            sidecar.start(test, config, flags=["--concurrency", "2"])
        else:
            admin = sidecar.free_port()
            programs.envoy(test, {"admin": {"address": sidecar.address(admin)}} | config, admin)
        sidecar.until("the listener", self.listens)

    def listens(self):
        with contextlib.suppress(OSError):
            return get(self.port, "/up")[0] == 204

    def say(self):
        """A's endpoints come by EDS, under another name; `tight` serves one request at a time."""
        localities = {name: [host.locality() for host in hosts] for name, hosts in self.hosts.items()}
        east, other, west = localities["a"]
        east["lb_endpoints"] += other["lb_endpoints"]
        made = [{"@type": ENDPOINTS, "cluster_name": "a.shop", "endpoints": [east, west]},
                {"@type": CLUSTER, "name": "a", "type": "EDS", "connect_timeout": "5s",
                 "eds_cluster_config": {"service_name": "a.shop", "eds_config": ADS}}]
        for name in ("b", "tight"):
            made.append({"@type": CLUSTER, "name": name, "type": "STATIC", "connect_timeout": "5s",
                         "circuit_breakers": {"thresholds": [{"max_requests": 1 if name == "tight" else 100}]},
                         "load_assignment": {"cluster_name": name, "endpoints": localities[name]}})
        routes = [{"match": {"prefix": f"/{name}/"}, "route": {"cluster": name, "timeout": "30s"}}
                  for name in self.hosts]
        routes.append({"match": {"prefix": "/up"}, "direct_response": {"status": 204}})
        manager = {"@type": HCM, "stat_prefix": "in", "http_filters": [{"name": "router", "typed_config": {
            "@type": TYPE + "filters.http.router.v3.Router"}}], "route_config": {
                "name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}}
        made.append({"@type": LISTENER, "name": "in", "address": address(self.port), "filter_chains": [
            {"filters": [{"name": "hcm", "typed_config": manager}]}]})
        self.plane.say_resources("1", made, node=self.node)

    def run(self, cluster, count, statuses=(200,)):
        """Each by a connection of its own, so that all workers have some."""
        for number in range(count):
            status = statuses[number % len(statuses)]
            self.test.assertEqual(get(self.port, f"/{cluster}/{status}")[0], status)

    # ---- what is reported ----

    def reported(self, begin=0):
        return Reported(self.plane.loads(self.node)[begin:])

    def seen(self, clusters):
        """What the hosts saw: by locality, and by endpoint."""
        localities, endpoints = collections.Counter(), collections.Counter()
        for name in clusters:
            for host in self.hosts[name]:
                for key, count in host.seen.items():
                    localities[name, host.zone, key] += count
                    endpoints[host.port, key] += count
        return localities, endpoints

    def forget(self):
        for host in (host for hosts in self.hosts.values() for host in hosts):
            host.seen.clear()

    def wait_for_reports(self, count=2):
        """So many more than now."""
        begin = len(self.plane.loads(self.node))
        sidecar.until(f"{self.node} reports", lambda: len(self.plane.loads(self.node)) >= begin + count)

    def expect_sums(self, clusters="ab", begin=0):
        """All is told of these clusters, and no more than that."""
        right = self.seen(clusters)

        ports = {host.port for name in clusters for host in self.hosts[name]}

        def sums():
            found = self.reported(begin)
            localities = {key: count for key, count in found.localities.items() if key[0] in clusters}
            endpoints = {key: count for key, count in found.endpoints.items() if key[0] in ports}
            return +collections.Counter(localities), +collections.Counter(endpoints)
        sidecar.until(lambda: f"{self.node}: {right}, reported {sums()}", lambda: sums() == right)
        self.wait_for_reports()
        self.test.assertEqual(sums(), right, self.node)
        return self.reported(begin)


class LoadReportsTest(unittest.TestCase):
    def start(self, **asked):
        self.plane, self.holders = ControlPlane(self, nodes=("pillion", "envoy")), []
        self.ask(**asked)
        self.sides = [Side(self, self.plane, node) for node in ("pillion", "envoy")]
        for side in self.sides:
            side.wait_for_reports()

    def ask(self, **asked):
        self.plane.ask_load(**INTERVAL, report_endpoint_granularity=True, **asked)

    def test_reports_add_up_to_what_the_endpoints_saw(self):
        self.start(clusters=["a", "b"])
        for side in self.sides:
            side.run("a", 60, statuses=(200, 404, 503))
            side.run("b", 25)
            side.run("tight", 5)  # is not asked for
        found = [side.expect_sums() for side in self.sides]
        for one in found:
            self.assertNotIn("tight", one.clusters)
            self.assertEqual(sum(one.localities.values()), 2 * (60 + 25))
            self.assertEqual({zone for name, zone, _ in +one.localities if name == "a"}, set(ZONES))
            self.assertEqual(+one.dropped, {})
            self.assertEqual(one.clusters.keys(), {"a", "b"})
            self.assertEqual((one.names["a"], one.names["b"]), ("a.shop", found[1].names["b"]))

    def test_of_all_clusters_those_that_have_load_are_told(self):
        self.start(send_all_clusters=True)
        for side in self.sides:
            side.run("a", 10)
            side.run("tight", 3)
            side.expect_sums(("a", "tight"))

    def test_what_was_before_the_question_is_not_told(self):
        self.start(clusters=["a"])
        for side in self.sides:
            side.run("a", 6)
            side.run("b", 7)
            side.expect_sums("a")
        self.ask(clusters=["a", "b"])
        for side in self.sides:
            sidecar.until("it tells of b", lambda: "b" in side.reported().clusters)
            side.hosts["b"][0].seen.clear()
            side.run("a", 4)
            side.run("b", 5)
            side.expect_sums("ab")

    def test_what_a_breaker_refuses_is_dropped(self):
        self.start(clusters=["tight"])
        for side in self.sides:
            self.overflow(side, 4)
        for side in self.sides:
            sidecar.until(f"{side.node}: one in progress", lambda: side.reported().in_progress == 1)
            side.hosts["tight"][0].released.set()
            self.holders.pop(0).join()
            sidecar.until(lambda: f"{side.node}: {side.reported().localities}",
                          lambda: side.reported().localities["tight", "west", "success"] == 1)
            side.wait_for_reports()
            found = side.reported()
            self.assertEqual(found.dropped, {"tight": 4}, side.node)
            self.assertEqual(found.localities["tight", "west", "issued"], 1)
            # To Envoy these are errors of the endpoint, too, which never saw them.
            self.assertEqual(found.localities["tight", "west", "error"], 0 if side.node == "pillion" else 4)

    def overflow(self, side, count):
        host = side.hosts["tight"][0]
        holder = threading.Thread(target=get, args=(side.port, "/tight/hold/200"))
        holder.start()
        self.holders.append(holder)
        self.assertTrue(host.is_held.wait(sidecar.DEADLINE))
        for _ in range(count):
            self.assertEqual(get(side.port, "/tight/200")[0], 503)

    def test_over_a_restart_of_the_server_nothing_is_lost_or_told_twice(self):
        self.start(clusters=["a"])
        for side in self.sides:
            side.run("a", 9)
            side.expect_sums("a")
        begin = time.monotonic()
        location = self.plane.address
        self.plane.stop()
        for side in self.sides:
            side.forget()
            side.run("a", 12, statuses=(200, 500))
        self.plane = ControlPlane(self, "tcp", location, nodes=("pillion", "envoy"))
        for side in self.sides:
            side.plane = self.plane
            side.say()
        self.ask(clusters=["a"])
        for side in self.sides:
            sidecar.until(f"{side.node} comes back", lambda: side.reported().clusters)
            side.run("a", 5)
            found = side.expect_sums("a")
            # The time without a server is told too.
            self.assertLess(found.seconds["a"], time.monotonic() - begin + 1.5)
            self.assertGreater(found.seconds["a"], 0.5 * (time.monotonic() - begin))

    def test_under_load_no_end_of_a_stream_makes_anything_told_twice(self):
        self.start(clusters=["a"])
        pillion = self.sides[0]
        load = Load(pillion.port, path="/a/200")
        for _ in range(5):
            pillion.wait_for_reports(2)
            self.plane.do("end")
        pillion.wait_for_reports(2)
        load.stop()
        self.assertEqual(load.failures, [])
        pillion.wait_for_reports(3)
        found, (right, _) = pillion.reported(), pillion.seen("a")
        for key, count in right.items():
            self.assertLessEqual(found.localities[key], count)
        told, all_of_it = sum(found.localities.values()), sum(right.values())
        print(f"{told / 2:.0f} of {all_of_it / 2:.0f} requests are told over 5 ends of the stream", flush=True)
        # What was on its way when a stream ended is nobody's: a report of ten, at the most.
        self.assertGreater(told, all_of_it / 2)


if __name__ == "__main__":
    unittest.main()
