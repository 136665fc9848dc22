#!/usr/bin/env python3
"""Filters by ECDS and layers of the runtime by RTDS, from Python's gRPC: what is said counts for the next request of a
connection that stays, what is bad is refused by name, and the runtime can be changed by hand."""

import http.client
import json
import struct
import unittest

import ads_service
import envoy_config as envoy
import sidecar
from protobuf_wire import field, varint

FILTER = "envoy.extensions.filters.http.fault.v3.HTTPFault"
EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"
RUNTIME = "envoy.service.runtime.v3.Runtime"
ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "1s"}
NAME = "extension_config_discovery.http_filter.f."


def fault(status, share=100, kind=FILTER):
    """A TypedExtensionConfig that aborts requests; its share can be set by the key "fault.http.abort.abort_percent"."""
    abort = field(2, status) + field(3, field(1, share))
    return field(1, "f") + field(2, field(1, "type.googleapis.com/" + kind) + field(2, field(2, abort)))


def runtime(name, values):
    """A Runtime whose values are numbers."""
    entries = b""
    for key, value in values.items():
        number = varint(2 << 3 | 1) + struct.pack("<d", value)
        entries += field(1, field(1, key) + field(2, number))
    return field(1, name) + field(2, entries)


class Client:
    """One connection."""

    def __init__(self, test, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=sidecar.DEADLINE)
        test.addCleanup(self.connection.close)
        self.ends = 0

    def get(self):
        if self.connection.sock is None:
            self.ends += 1
        self.connection.request("GET", "/")
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


class ExtensionsTest(unittest.TestCase):
    def setUp(self):
        self.ads = ads_service.AdsService(self)
        self.port = sidecar.free_port()

    def start(self, layers=None, wait=True, **discovery):
        source = {"config_source": ADS, "type_urls": ["type.googleapis.com/" + FILTER]} | discovery
        reply = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
        router = {"name": "router", "typed_config": {"@type": envoy.TYPE + "filters.http.router.v3.Router"}}
        listener = envoy.http("in", self.port, reply, http_filters=[{"name": "f", "config_discovery": source}, router])
        config = envoy.bootstrap([listener], [ads_service.cluster(self.ads.path)])
        config |= {"node": {"id": "n", "cluster": "c"},
                   "dynamic_resources": {"ads_config": ads_service.api_config_source()}}
        if layers:
            config["layered_runtime"] = {"layers": layers}
        self.proxy = sidecar.Sidecar(config)
        self.addCleanup(self.proxy.stop)
        if wait:
            self.proxy.wait_ready()
        return Client(self, self.port)

    def test_a_listener_waits_for_its_filter_and_then_follows_it(self):
        proxy_client = self.start(wait=False)
        self.ads.wait("ask TypedExtensionConfig f")
        self.assertNotEqual(self.proxy_state(), 200, "the filter may be a guard")
        self.ads.say(EXTENSION, "f", "1", fault(418))
        self.proxy.wait_ready()
        self.ads.wait("ack TypedExtensionConfig 1")
        self.assertEqual(proxy_client.get(), 418)
        for number, status in enumerate((419, 420, 421), start=2):
            self.ads.say(EXTENSION, "f", str(number), fault(status))
            self.ads.wait(f"ack TypedExtensionConfig {number}")
            sidecar.until(f"{status}", lambda: proxy_client.get() == status)
        self.assertEqual(proxy_client.ends, 1, "the connection stays")
        stats = self.proxy.stats()
        self.assertEqual(stats[NAME + "config_reload"], 4)
        self.assertEqual(stats[NAME + "update_success"], 4)
        self.assertEqual(stats["http.in.downstream_cx_total"], 1)

    def proxy_state(self):
        try:
            return self.proxy.get("/ready")[0]
        except OSError:
            return 0

    def test_what_is_refused_keeps_its_predecessor_and_is_named(self):
        self.ads.say(EXTENSION, "f", "1", fault(418))
        client = self.start()
        self.ads.say(EXTENSION, "f", "2", fault(7))
        self.ads.wait("nack TypedExtensionConfig ecds/f: typed_config.abort.http_status: expected 200-599")
        self.ads.say(EXTENSION, "f", "3", fault(418, kind="envoy.extensions.filters.http.buffer.v3.Buffer"))
        self.ads.wait("nack TypedExtensionConfig", 2)
        self.assertEqual(client.get(), 418)
        self.assertEqual(self.proxy.stats()[NAME + "config_fail"], 2)
        dump = next(c for c in json.loads(self.proxy.get("/config_dump")[1])["configs"]
                    if c["@type"].endswith("EcdsConfigDump"))["ecds_filters"][0]
        self.assertEqual(dump["version_info"], "1")
        self.assertEqual(dump["ecds_filter"]["typed_config"]["abort"]["http_status"], 418)
        self.assertIn("is not one of the type_urls", dump["error_state"]["details"])

    def test_without_an_answer_requests_get_500_and_the_flag(self):
        client = self.start()
        self.assertEqual(client.get(), 500)
        sidecar.until("a line in the log", lambda: sidecar.read(self.proxy.dir + "/access.log"))
        self.assertIn('"flags":"NFCF"', sidecar.read(self.proxy.dir + "/access.log").replace(": ", ":"))
        self.assertEqual(self.proxy.stats()[NAME + "init_fetch_timeout"], 1)
        self.ads.say(EXTENSION, "f", "1", fault(418))
        sidecar.until("the filter", lambda: client.get() == 418)

    def test_a_default_serves_until_something_comes(self):
        default = {"@type": "type.googleapis.com/" + FILTER,
                   "abort": {"http_status": 451, "percentage": {"numerator": 100}}}
        client = self.start(default_config=default, apply_default_config_without_warming=True)
        self.assertEqual(client.get(), 451)
        self.ads.say(EXTENSION, "f", "1", fault(418))
        sidecar.until("the filter", lambda: client.get() == 418)
        self.assertEqual(client.ends, 1)

    LAYERS = [{"name": "fixed", "static_layer": {"fault.http.abort.abort_percent": 100}},
              {"name": "pushed", "rtds_layer": {"name": "rt", "rtds_config": ADS}},
              {"name": "hand", "admin_layer": {}}]

    def test_layers_of_the_runtime_come_first_and_change_what_runs(self):
        self.ads.say(EXTENSION, "f", "1", fault(418, share=0))
        client = self.start(self.LAYERS, wait=False)
        self.ads.wait("ask Runtime rt")
        self.assertEqual(self.ads.heard("ask")[0], "ask Runtime rt")
        self.ads.say(RUNTIME, "rt", "1", runtime("rt", {"fault.http.abort.abort_percent": 0}))
        self.proxy.wait_ready()
        self.assertEqual(client.get(), 200)
        self.ads.say(RUNTIME, "rt", "2", runtime("rt", {"unrelated": 1}))
        sidecar.until("the static layer's value", lambda: client.get() == 418)
        self.assertEqual(self.proxy.post("/runtime_modify?fault.http.abort.abort_percent=0"), (200, "OK\n"))
        sidecar.until("the admin layer's value", lambda: client.get() == 200)
        shown = self.proxy.json("/runtime")
        self.assertEqual(shown["layers"], ["fixed", "pushed", "hand"])
        self.assertEqual(shown["entries"]["fault.http.abort.abort_percent"],
                         {"final_value": "0", "layer_values": ["100", "", "0"]})
        stats = self.proxy.stats()
        self.assertEqual((stats["runtime.num_layers"], stats["runtime.num_keys"]), (3, 2))
        self.assertEqual(stats["runtime.admin_overrides_active"], 1)
        self.assertEqual(stats["runtime.update_success"], 2)
        self.proxy.post("/runtime_modify?fault.http.abort.abort_percent=")
        sidecar.until("the static layer's value", lambda: client.get() == 418)
        self.assertEqual(self.proxy.stats()["runtime.admin_overrides_active"], 0)
        self.assertEqual(client.ends, 1)

    def test_a_layer_that_does_not_come_holds_up_the_start_for_its_time_only(self):
        self.ads.say(EXTENSION, "f", "1", fault(418))
        client = self.start(self.LAYERS)
        self.assertEqual(client.get(), 418)
        self.assertEqual(self.proxy.stats()["runtime.init_fetch_timeout"], 1)

    def test_a_value_that_is_no_number_is_counted_and_the_default_holds(self):
        self.ads.say(EXTENSION, "f", "1", fault(418))
        client = self.start([self.LAYERS[2]])
        self.proxy.post("/runtime_modify?fault.http.abort.abort_percent=many")
        sidecar.until("the count", lambda: self.proxy.stats()["runtime.value_unusable"] >= 1)
        self.assertEqual(client.get(), 418)

    def test_without_an_admin_layer_nothing_can_be_modified(self):
        self.ads.say(EXTENSION, "f", "1", fault(418))
        self.start([self.LAYERS[0]])
        status, text = self.proxy.post("/runtime_modify?a=1")
        self.assertEqual((status, text), (503, "No admin layer specified\n"))


if __name__ == "__main__":
    unittest.main()
