#!/usr/bin/env python3
"""One control plane on gRPC's Python for Envoy and for Pillion: after every push both route alike.

    SEED=7 PUSHES=100 ...      other pushes, more of them
"""

import http.client
import json
import os
import unittest

import programs
import sidecar
from control_plane import bootstrap
from discovery_service import DiscoveryService
from origins import Origin, get
from xds_parity import Push

SEED = int(os.environ.get("SEED", "1"))
PUSHES = int(os.environ.get("PUSHES") or (200 if programs.FULL else 20))
PROBES = 100
ORIGINS = 3

DELTA = True  # whether the proxy speaks it

COMPARED = ("location", "x-out-1", "x-out-2")  # of responses
COMPARED_PREFIXES = ("x-add", "x-k", "x-n", "host")  # of requests as the origin sees them


class Side:
    """A proxy that asks the service by a name of its own."""

    def __init__(self, test, service, node, delta):
        self.test, self.service, self.node = test, service, node
        self.port = sidecar.free_port()
        self.config = bootstrap(service.address, delta=delta) | {"node": {"id": node, "cluster": "test"}}

    def say(self, push, ports):
        self.service.say(self.node, str(push.number), push.resources(self.port, ports))

    def start_pillion(self):
        proxy = sidecar.start(self.test, self.config, flags=["--concurrency", "1"])
        self.admin = proxy.admin_port

    def start_envoy(self):
        self.admin = sidecar.free_port()
        self.envoy = programs.envoy(self.test, {"admin": {"address": sidecar.address(self.admin)}} | self.config,
                                    self.admin)

    def has(self, push):
        """Whether it routes as the push says, and all clusters are there."""
        try:
            if get(self.port, "/", host="mark.test") != (200, push.mark()):
                return False
        except OSError:
            return False
        stats = get(self.admin, "/stats?filter=warming_clusters")[1]
        return "cluster_manager.warming_clusters: 0" in stats

    def ask(self, probes):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
        out = [outcome(client, *probe) for probe in probes]
        client.close()
        return out


def outcome(client, host, path, fields):
    client.request("GET", path, headers={"host": host} | fields)
    answer = client.getresponse()
    body = answer.read().decode()
    found = {"status": answer.status, "body": body}
    found |= {name: value for name, value in answer.headers.items() if name.lower() in COMPARED}
    if body.startswith("{"):
        seen = json.loads(body)
        found |= {"origin": seen["origin"], "path": seen["path"], "body": "",
                  "fields": sorted((name.lower(), value) for name, value in seen["fields"]
                                   if name.lower().startswith(COMPARED_PREFIXES))}
    return found


class PythonTest(unittest.TestCase):
    def run_pushes(self, delta):
        origins = [Origin(self, f"origin-{n}", echo=True) for n in range(ORIGINS)]
        ports = [origin.port for origin in origins]
        service = DiscoveryService(self)
        pillion, envoy = Side(self, service, "pillion", delta), Side(self, service, "envoy", delta)
        reached, statuses = 0, set()
        for number in range(PUSHES):
            push = Push(SEED, number, ORIGINS)
            for side in (pillion, envoy):
                side.say(push, ports)
            if number == 0:
                pillion.start_pillion()
                envoy.start_envoy()
            for side in (pillion, envoy):
                sidecar.until(lambda: f"SEED={SEED} push {number} at {side.node}: {service.lines[-8:]}",
                              lambda: side.has(push))
            probes = [push.probe() for _ in range(PROBES)]
            ours, theirs = pillion.ask(probes), envoy.ask(probes)
            different = [(probe, our, their) for probe, our, their in zip(probes, ours, theirs) if our != their]
            if different:
                lines = "\n".join(f"{probe}\n   pillion {our}\n   envoy   {their}" for probe, our, their in different)
                self.fail(f"SEED={SEED} push {number}:\n{json.dumps(push.hosts)}\n{lines}")
            reached += sum("origin" in each for each in ours)
            statuses |= {each["status"] for each in ours}
        self.assertEqual(service.heard("nack "), [])
        self.assertGreater(reached, PUSHES * PROBES // 10)
        self.assertGreater(len(statuses), 5)
        print(f"{PUSHES} pushes, {PUSHES * PROBES} requests, {reached} reached an origin, statuses {sorted(statuses)}",
              flush=True)

    def test_both_route_alike_after_each_push_of_the_state_of_the_world(self):
        self.run_pushes(delta=False)

    @unittest.skipUnless(DELTA, "DELTA is not set: the proxy does not speak it yet")
    def test_both_route_alike_after_each_delta(self):
        self.run_pushes(delta=True)


if __name__ == "__main__":
    unittest.main()
