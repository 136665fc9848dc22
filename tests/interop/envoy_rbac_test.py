#!/usr/bin/env python3
"""The same RBAC policies and the same requests, to Envoy and to Pillion: the same verdicts, details, metadata, counters.

What differs on purpose stands in envoy_rbac.VERDICTS, with the reason; everything else must be equal.
RBAC_SHOW=1 prints all differences.
"""

import os
import re
import time
import unittest

import envoy_rbac as rbac
import programs
import sidecar
from authority import CUSTOMER, USERS, Authority
from peers import Peer, Upstream, connect, get
from envoy_side import Side

LISTENERS = ["plain", "mtls", "untrusted", *(title for title, _ in rbac.TCP_CASES)]


def serve(peer):
    """Waits for the client: Envoy judges at its first byte, and lets an origin that speaks first answer anybody."""
    peer.read(1)
    peer.send(b"hello").hang()


class One(Side):
    """Envoy or Pillion, with an origin."""

    def __init__(self, test, start):
        self.test = test
        self.upstream = Upstream(test, serve)
        self.ports = {name: sidecar.free_port() for name in LISTENERS}
        self.admin = sidecar.free_port()
        config = rbac.bootstrap(self.ports, self.upstream.port, test.server)
        self.dir = start(self, config)

    def client(self, listener, certificate, server_name="users.mesh"):
        plain = connect(self.test, self.ports[listener])
        if listener == "plain":
            return plain
        context = self.test.ca.context(certificate)
        wrapped = context.wrap_socket(plain.socket, server_hostname=server_name)
        self.test.addClassCleanup(wrapped.close)
        return Peer(wrapped)


def start_envoy(side, config):
    return programs.envoy(side.test, {"admin": {"address": sidecar.address(side.admin)}} | config,
                          side.ports["plain"]).dir


def start_pillion(side, config):
    proxy = sidecar.start(side.test, config, flags=["--concurrency", "1"])
    side.admin = proxy.admin_port
    return proxy.dir


class Rbac(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.server, cls.customer = cls.ca.issue("spiffe://mesh.local/ns/shop/sa/server"), cls.ca.issue(CUSTOMER)
        cls.intruder = cls.ca.issue(USERS)
        cls.forged = Authority(cls).issue(CUSTOMER)
        cls.sides = [One(cls, start_envoy), One(cls, start_pillion)]

    def ask_all(self, side, listener, who, certificate):
        """What each request led to, by its name."""
        client = side.client(listener, certificate)
        statuses = {}
        for case, _ in rbac.cases():
            for number, (method, path, fields) in enumerate(rbac.REQUESTS):
                name = f"{who}: {case} {number}"
                answer = client.exchange(get(path, *fields, f"X-Id: {name}", method=method, host=case), method=method)
                statuses[name] = (answer.status, answer.body)
        client.close()
        def seen():
            lines = {line["n"]: line for line in side.log() if str(line.get("n", "")).startswith(who + ":")}
            return len(lines) == len(statuses) and lines
        lines = sidecar.until("the lines of the log", seen)
        return {name: {"answer": answer} | {key: value for key, value in lines[name].items() if key != "n"}
                for name, answer in statuses.items()}

    def test_each_request_has_the_same_verdict(self):
        clients = [("plain", "plain", None), ("mtls", "customer", self.customer), ("mtls", "intruder", self.intruder),
                   ("mtls", "nobody", None), ("untrusted", "untrusted", self.forged)]
        judged, needed = 0, set()
        for listener, who, certificate in clients:
            theirs, ours = (self.ask_all(side, listener, who, certificate) for side in self.sides)
            judged += len(ours)
            for name in theirs:
                if theirs[name] == ours[name]:
                    continue
                if os.environ.get("RBAC_SHOW"):
                    print(f"{name}\n   envoy   {theirs[name]}\n   pillion {ours[name]}")
                case = name.rpartition(" ")[0]
                reasons = {pattern for pattern, _ in rbac.VERDICTS if re.fullmatch(pattern, case)}
                with self.subTest(name):
                    self.assertTrue(reasons, f"Envoy: {theirs[name]}\nPillion: {ours[name]}")
                needed |= reasons
            denied = sum(result["answer"][0] == 403 for result in ours.values())
            self.assertTrue(0.2 < denied / len(ours) < 0.8, f"{who}: {denied} of {len(ours)} denied")
        self.assertGreater(judged, 150)
        self.assertEqual({pattern for pattern, _ in rbac.VERDICTS} - needed, set())

    def test_counters_have_the_same_names(self):
        for side in self.sides:
            client = side.client("plain", None)
            for case in ("both", "shadow", "log", "deny"):
                client.exchange(get("/users", "X-Id: counted", host=case))
            client.close()
        theirs, ours = ({name for name in side.counters() if "rbac" in name} for side in self.sides)
        self.assertEqual(theirs, ours)

    def test_each_connection_has_the_same_verdict(self):
        for title, _ in rbac.TCP_CASES:
            results = []
            for side in self.sides:
                began = time.monotonic()
                client = connect(self, side.ports[title])
                client.send(b"x")
                try:
                    got = client.read(5)
                except ConnectionResetError:
                    got = b""
                took = time.monotonic() - began
                client.close()
                port = str(side.ports[title])
                line, = sidecar.until("a line of the log", lambda: [
                    line for line in side.log() if str(line.get("local")) == port])
                results.append((got, title == "delays" and took > 0.25, line["details"], line["flags"]))
            with self.subTest(title):
                self.assertEqual(*results)


if __name__ == "__main__":
    unittest.main()
