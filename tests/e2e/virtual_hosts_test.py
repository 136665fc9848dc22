#!/usr/bin/env python3
"""Virtual hosts by VHDS that requests ask for, and wait for."""

import http.client
import threading
import unittest

import sidecar
from ads_service import ADS, HOSTS, ROUTES, AdsService, bootstrap, host, routes

BY_RDS = {"rds": {"route_config_name": "shop", "config_source": ADS}}
ON_DEMAND = {"name": "od", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand"}}


class VirtualHostsTest(unittest.TestCase):
    def setUp(self):
        self.service = AdsService(self)
        self.port = sidecar.free_port()
        self.service.say(ROUTES, "shop", "1", routes("shop", vhds=True))
        self.say("first.example", "first")
        self.proxy = sidecar.start(self, bootstrap(self.service.path, self.port, BY_RDS, [ON_DEMAND]))
        self.client = self.connect()

    def connect(self):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
        self.addCleanup(client.close)
        return client

    def say(self, name, body, version="1"):
        # The state of the world names a resource by its message's name.
        self.service.say(HOSTS, f"shop/{name}", version, host(f"shop/{name}", [name], body))

    def get(self, name, client=None):
        client = client or self.client
        client.request("GET", "/", headers={"host": name})
        answer = client.getresponse()
        return answer.status, answer.read().decode()

    def until(self, name, answer):
        sidecar.until(lambda: f"{name}: {answer}, got {self.get(name)}", lambda: self.get(name) == answer)

    def test_a_request_waits_for_its_host(self):
        self.assertEqual(self.get("first.example"), (200, "first"))
        self.service.wait("ask VirtualHost * shop/first.example")
        self.say("first.example", "changed", "2")
        self.until("first.example", (200, "changed"))
        self.assertEqual(len(self.service.heard("ask VirtualHost * shop/first.example")), 1)

    def test_many_requests_wait_for_many_hosts(self):
        for i in range(40):
            self.say(f"h{i}.example", f"h{i}")
        wrong = []

        def ask(first, client):
            for i in range(first, 40, 2):
                got = self.get(f"h{i}.example", client)
                if got != (200, f"h{i}"):
                    wrong.append((i, got))
        threads = [threading.Thread(target=ask, args=(n % 2, self.connect())) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_a_host_that_does_not_come_is_404_and_may_come_later(self):
        self.assertEqual(self.get("late.example")[0], 404)
        self.say("late.example", "late")
        self.until("late.example", (200, "late"))

    def test_a_host_that_is_wrong_is_refused_by_name(self):
        self.assertEqual(self.get("first.example"), (200, "first"))
        self.service.say(HOSTS, "shop/bad.example", "1", host("shop/bad.example", [], "bad"))
        self.assertEqual(self.get("bad.example")[0], 404)
        self.service.wait("nack VirtualHost vhds/shop/bad.example: domains: required field is missing")
        self.assertEqual(self.get("first.example"), (200, "first"))


if __name__ == "__main__":
    unittest.main()
