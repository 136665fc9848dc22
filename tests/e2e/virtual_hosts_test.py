"""Virtual hosts by VHDS: those that the server pushes, and those that requests ask for and wait for."""

import http.client
import threading
import unittest

import sidecar
from ads_service import ADS, HOSTS, ROUTES, AdsService, bootstrap, host, routes

BY_RDS = {"rds": {"route_config_name": "shop", "config_source": ADS}}
ON_DEMAND = {"name": "od", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand"}}


class VirtualHostsTest(unittest.TestCase):
    def begin(self, filters=(ON_DEMAND,), vhds_of="", api_type="DELTA_GRPC"):
        self.service = AdsService(self)
        self.port = sidecar.free_port()
        self.service.say(ROUTES, "shop", "1", routes("shop", vhds=True, vhds_of=vhds_of))
        self.service.say(HOSTS, "shop/first.example", "1", host("first", ["first.example"], "first"))
        self.proxy = sidecar.start(self, bootstrap(self.service.path, self.port, BY_RDS, filters, api_type))
        self.client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
        self.addCleanup(self.client.close)

    def get(self, name, client=None):
        client = client or self.client
        client.request("GET", "/", headers={"host": name})
        answer = client.getresponse()
        return answer.status, answer.read().decode()

    def until(self, name, status, body=None):
        def is_so():
            got = self.get(name)
            return got[0] == status and (body is None or got[1] == body)
        sidecar.until(lambda: f"{name}: {status} {body}, got {self.get(name)}", is_so)

    def test_what_the_server_pushes_needs_no_filter(self):
        self.begin(filters=())
        self.assertEqual(self.get("first.example"), (200, "first"))
        self.assertEqual(self.get("second.example")[0], 404)
        self.service.say(HOSTS, "shop/second.example", "1", host("second", ["second.example"], "second"))
        self.until("second.example", 200, "second")
        self.service.say(HOSTS, "shop/second.example", "2", host("second", ["second.example"], "changed"))
        self.until("second.example", 200, "changed")
        self.service.take_back(HOSTS, "shop/second.example")
        self.until("second.example", 404)
        self.assertEqual(self.get("first.example"), (200, "first"))

    def test_a_host_that_nobody_has_is_404_at_once_and_may_come_later(self):
        self.begin()
        self.assertEqual(self.get("late.example")[0], 404)
        self.service.wait("ask VirtualHost shop/late.example")
        self.service.say(HOSTS, "shop/late.example", "1", host("late", ["late.example"], "late"))
        self.until("late.example", 200, "late")
        # Reconnecting asks for all of it again.
        self.assertEqual(self.get("first.example"), (200, "first"))

    def test_an_alias_stands_for_its_host(self):
        self.begin()
        self.service.say(HOSTS, "shop/real.example", "1", host("real", ["real.example", "also.example"], "real"),
                         aliases=["shop/also.example"], quiet=True)
        self.assertEqual(self.get("also.example"), (200, "real"))

    def test_hosts_come_by_a_delta_stream_of_their_own_beside_the_state_of_the_world(self):
        self.begin(vhds_of="xds", api_type="GRPC")
        self.assertEqual(self.get("first.example"), (200, "first"))
        self.service.say(HOSTS, "shop/lazy.example", "1", host("lazy", ["lazy.example"], "lazy"), quiet=True)
        self.assertEqual(self.get("lazy.example"), (200, "lazy"), "it waited")
        self.service.wait("ask VirtualHost shop/lazy.example")
        self.service.say(HOSTS, "shop/first.example", "2", host("first", ["first.example"], "changed"))
        self.until("first.example", 200, "changed")
        # Both streams begin again, and nothing is forgotten meanwhile.
        self.service.stop()
        self.proxy.wait_stat("control_plane.connected_state", 0)
        self.assertEqual(self.get("first.example"), (200, "changed"))
        self.assertEqual(self.get("lazy.example"), (200, "lazy"))
        self.service.start()
        self.service.say(ROUTES, "shop", "2", routes("shop", vhds_of="xds"))
        self.service.say(HOSTS, "shop/first.example", "3", host("first", ["first.example"], "again"))
        self.until("first.example", 200, "again")

    def test_many_requests_for_many_hosts(self):
        self.begin()
        for i in range(50):
            self.service.say(HOSTS, f"shop/h{i}.example", "1", host(f"h{i}", [f"h{i}.example"], f"h{i}"), quiet=True)
        wrong = []

        def ask(first):
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=sidecar.DEADLINE)
            for i in range(first, 50, 2):
                got = self.get(f"h{i}.example", client)
                if got != (200, f"h{i}"):
                    wrong.append((i, got))
            client.close()
        threads = [threading.Thread(target=ask, args=(n % 2,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_the_dump_and_explain_know_hosts_that_came_one_by_one(self):
        self.begin()
        self.service.say(HOSTS, "shop/real.example", "1", host("real", ["real.example", "also.example"], "real"),
                         aliases=["shop/also.example"], quiet=True)
        lines = sidecar.explain(self.proxy, "GET http://also.example/")
        self.assertIn('virtual host: none has a domain for "also.example"; the answer is 404', lines)
        self.assertIn('filter od: before that, the control plane is asked for the virtual host "shop/also.example" '
                      '(VHDS); the request waits for 5s at most', lines)
        self.assertEqual(self.get("also.example"), (200, "real"), "so it is")
        lines = sidecar.explain(self.proxy, "GET http://also.example/")
        self.assertIn('virtual host: real, because its domain "also.example" fits "also.example"', lines)
        self.assertIn("action: answers 200 itself: real", lines)
        dump = self.proxy.json("/config_dump?resource=dynamic_route_configs")["configs"]
        self.assertEqual([each["name"] for each in dump[0]["route_config"]["virtual_hosts"]], ["first", "real"])
        status = {each["name"]: each["client_status"] for each in self.proxy.json("/csds")["config"][0][
            "generic_xds_configs"] if each["type_url"].endswith("VirtualHost")}
        self.assertEqual(status, {"shop/first.example": "ACKED", "shop/real.example": "ACKED"})


if __name__ == "__main__":
    unittest.main()
