#!/usr/bin/env python3
"""A control plane that breaks every rule: little CPU, no memory, the old state is served, and when the control plane
behaves again it is heard.

    SECONDS=10 ...              how long each misbehaviour lasts
    SCRIPT=never_asked ...      one of them alone
"""

import os
import time
import unittest

import sidecar
from control_plane import ADS, bootstrap
from discovery_service import encoded
from envoy_config import HCM, TYPE
from origins import Load, Origin, get
from xds_model import address
from xds_script import CLUSTERS, ENDPOINTS, LISTENERS, ROUTES, Good, ScriptedPlane
from xds_torture import AT_ONCE, DELTA_ROWS, MAY_GROW, ROWS, TYPES, UNJUDGED, WANTS_BACK_OFF, says_again

DELTA = True  # whether the proxy speaks it
BACKS_OFF = DELTA  # also after streams that said something, and from refusing ever new versions: comes with it
PROTOCOLS = ["sotw", *(["delta"] if DELTA else [])]
SECONDS = float(os.environ.get("SECONDS", "1"))
MOST_CPU = 0.2  # of a core
MOST_STREAMS = 15  # a second, of the back-off in bootstrap()
MOST_GROWTH = 10 << 20  # of memory


def state(origin_port, cluster, is_eds, listener_port):
    """{type: {name: Any}} of one cluster, and a listener that leads to it."""
    endpoints = {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": address(origin_port)}}]}]}
    made = {"@type": CLUSTERS, "name": cluster, "connect_timeout": "1s"}
    made |= {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}} if is_eds else {
        "type": "STATIC", "load_assignment": endpoints}
    manager = {"@type": HCM, "stat_prefix": "in", "rds": {"route_config_name": "r", "config_source": ADS},
               "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                   "@type": TYPE + "filters.http.router.v3.Router"}}]}
    listener = {"@type": LISTENERS, "name": "in", "address": address(listener_port), "filter_chains": [
        {"filters": [{"name": "hcm", "typed_config": manager}]}]}
    routes = {"@type": ROUTES, "name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]}
    bodies = encoded([made, {"@type": ENDPOINTS} | endpoints, listener, routes])
    return {CLUSTERS: {cluster: bodies[0]}, ENDPOINTS: {cluster: bodies[1]}, LISTENERS: {"in": bodies[2]},
            ROUTES: {"r": bodies[3]}}


class TortureTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origins = [Origin(cls, f"origin-{n}") for n in range(2)]
        cls.port = sidecar.free_port()
        cls.before = state(cls.origins[0].port, "c", True, cls.port)
        cls.after = state(cls.origins[1].port, "d", False, cls.port)

    def cpu(self):
        """Seconds."""
        with open(f"/proc/{self.proxy.process.pid}/stat") as stat:
            user, system = stat.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def growth(self, memory, most):
        """Of memory; what is superseded is freed every 10 s."""
        end = time.monotonic() + 15
        while (growth := self.proxy.rss() - memory) > most and time.monotonic() < end:
            time.sleep(0.5)
        return growth

    def torture(self, protocol, script, nack):
        plane = ScriptedPlane(self, Good("v1", self.before))
        self.proxy = sidecar.start(self, bootstrap(plane.address, delta=protocol == "delta"))
        load = Load(self.port, clients=1, pause=0.01)
        try:
            sidecar.until("the old state", lambda: get(self.port) == (200, "origin-0"))
            memory, cpu, begin = self.proxy.rss(), self.cpu(), time.monotonic()
            plane.switch(lambda stream: script(stream, self.before))
            sidecar.until(lambda: f"it is over: {self.proxy.log_tail()}", lambda: time.monotonic() > begin + SECONDS
                          and plane.is_over and plane.streams and (nack is None or plane.nacks()))
            cpu = (self.cpu() - cpu) / (time.monotonic() - begin)
            nacks, streams = plane.nacks(), plane.streams
            self.assertEqual(get(self.port), (200, "origin-0"))
            plane.switch(Good("v2", self.after))
            sidecar.until(lambda: f"the new state: {get(self.port)}\n{self.proxy.log_tail()}",
                          lambda: get(self.port) == (200, "origin-1"))
            log = self.proxy.log_text()
            growth = self.growth(memory, may_grow := MAY_GROW.get(script, MOST_GROWTH))
        finally:
            load.stop()
            self.proxy.stop()
            plane.upstream.stop()
        print(f"{protocol} {script.__name__}: {cpu:.0%} of a core, {growth / 1e6:+.1f} MB, {streams} streams, "
              f"{len(log)} bytes of log, {len(nacks)} NACKs, {load.count} requests", flush=True)
        self.assertEqual(load.failures, [])
        self.assertNotRegex(log, r"[^\t\n -\U0010ffff]|\n\[error\]")
        self.assertTrue(all(line.startswith("[20") for line in log.splitlines()))
        if script not in AT_ONCE and (BACKS_OFF or script not in WANTS_BACK_OFF):
            self.assertLess(cpu, MOST_CPU)
        if BACKS_OFF or script not in WANTS_BACK_OFF:
            self.assertLess(streams, MOST_STREAMS * SECONDS + 10)
        if not sidecar.sanitized():
            self.assertLess(growth, may_grow)
        if nack is not None:
            self.assertTrue(nacks)
            self.assertRegex(nacks[0].error, nack)
            self.assertLess(max(len(each.error) for each in nacks), 1 << 16)
        elif script not in UNJUDGED:
            self.assertEqual([each.error for each in nacks], [])

    def test_whatever_it_says_the_last_good_state_is_served(self):
        wanted = os.environ.get("SCRIPT")
        for protocol in PROTOCOLS:
            for script, nack in ROWS + (DELTA_ROWS if protocol == "delta" else []):
                if wanted and script.__name__ != wanted:
                    continue
                with self.subTest(protocol=protocol, script=script.__name__):
                    self.torture(protocol, script, nack)

    def test_a_new_stream_asks_for_clusters_first_and_for_routes_last(self):
        # Whatever was spoken of last: servers answer in the order of the questions.
        for protocol in PROTOCOLS:
            plane = ScriptedPlane(self, Good("v1", self.before))
            proxy = sidecar.start(self, bootstrap(plane.address, delta=protocol == "delta"))
            for last in self.before:
                with self.subTest(protocol=protocol, last=last):
                    plane.switch(lambda stream, last=last: says_again(stream, self.before, last))
                    sidecar.until("a stream that ends", lambda: plane.streams >= 2)
                    plane.switch(Good("v1", self.before))
                    sidecar.until("four requests", lambda: len(plane.heard) >= TYPES)
                    self.assertEqual([request.type for request in plane.heard[:TYPES]],
                                     [CLUSTERS, ENDPOINTS, LISTENERS, ROUTES])
            proxy.stop()
            plane.upstream.stop()


if __name__ == "__main__":
    unittest.main()
