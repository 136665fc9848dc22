#!/usr/bin/env python3
"""Addresses of listeners that somebody else has, or gets: told when they are accepted, waited for when they are lost,
and never a reason why other things stand still."""

import json
import os
import re
import socket
import unittest

import envoy_config as envoy
import programs
import sidecar
from peers import connect, get

LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def listening(test, port):
    """Another process's socket, as far as the sidecar can see."""
    taken = socket.socket()
    test.addCleanup(taken.close)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    taken.listen()
    return taken


def says(text):
    return {"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}]}


def is_refused(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


class ListenerSockets(unittest.TestCase):
    def setUp(self):
        self.folder = programs.folder(self)
        self.ports = [sidecar.free_port() for _ in range(4)]

    def path(self, kind):
        return os.path.join(self.folder, f"{kind}.yaml")

    def write(self, kind, resources):
        with open(self.path(kind) + ".next", "w") as out:
            json.dump({"resources": resources}, out)
        os.rename(self.path(kind) + ".next", self.path(kind))

    def listener(self, name, port, text=None, **more):
        """Answers with `text`; without one its routes come from a file."""
        made = envoy.http(name, port, log=False, hosts=[says(text or "")]) | more
        if text is None:
            manager = made["filter_chains"][0]["filters"][0]["typed_config"]
            del manager["route_config"]
            manager["rds"] = {"route_config_name": "late", "config_source": {
                "path_config_source": {"path": self.path("rds")}, "initial_fetch_timeout": "0s",
                "resource_api_version": "V3"}}
        return made

    def say(self, *listeners):
        self.write("lds", [{"@type": LISTENER} | listener for listener in listeners])

    def say_routes(self):
        self.write("rds", [{"@type": ROUTES, "name": "late", "virtual_hosts": [says("late")]}])

    def config(self, *of_file, **more):
        config = envoy.bootstrap(list(of_file), []) | more
        config["dynamic_resources"] = {"lds_config": {
            "path_config_source": {"path": self.path("lds")}, "resource_api_version": "V3"}}
        return config

    def start(self, *of_file, **more):
        self.proxy = sidecar.start(self, self.config(*of_file, **more))

    def ask(self, port):
        client = connect(self, port)
        try:
            return client.exchange(get()).body.decode()
        finally:
            client.close()

    def until(self, port, text):
        def is_so():
            try:
                return not is_refused(port) and self.ask(port) == text
            except (OSError, EOFError):
                return False
        sidecar.until(lambda: f"{text!r} on {port}\n{self.proxy.log_tail()}", is_so)

    def entry(self, name):
        """Of a listener of the control plane, in /config_dump."""
        for section in self.proxy.json("/config_dump")["configs"]:
            for entry in section.get("dynamic_listeners", []):
                if entry["name"] == name:
                    return entry
        return None

    # ---- when it is accepted ----

    def test_an_address_in_use_refuses_that_listener_and_no_other(self):
        taken = listening(self, self.ports[0])
        self.say(self.listener("a", self.ports[0], "a"), self.listener("b", self.ports[1], "b"))
        self.start()
        self.until(self.ports[1], "b")
        self.assertEqual(self.proxy.stats()["listener_manager.lds.update_rejected"], 1)
        self.assertRegex(self.entry("a")["error_state"]["details"],
                         r"address: cannot bind 127\.0\.0\.1:\d+: Address already in use")
        taken.close()
        self.say(self.listener("a", self.ports[0], "a, again"), self.listener("b", self.ports[1], "b"))
        self.until(self.ports[0], "a, again")

    def test_the_file_is_refused_at_its_place_and_not_at_all_later(self):
        self.say()
        self.start(self.listener("s", self.ports[0], "s"))
        listening(self, self.ports[1])
        self.proxy.write(self.config(self.listener("s", self.ports[0], "new"), self.listener("t", self.ports[1], "t")))
        self.proxy.wait_stat("server.config_reload_failure", 1)
        self.proxy.wait_log(": Address already in use")  # the log is written by a thread of its own
        self.assertRegex(self.proxy.log_text(), r"proxy\.yaml:\d+:\d+: static_resources\.listeners\[1\]\.address: "
                                                r"cannot bind 127\.0\.0\.1:\d+: Address already in use")
        self.assertEqual(self.ask(self.ports[0]), "s")
        self.say(self.listener("d", self.ports[2], "d"))
        self.until(self.ports[2], "d")

    def test_the_first_start_ends_with_a_sentence(self):
        listening(self, self.ports[0])
        proxy = sidecar.Sidecar(self.config(self.listener("s", self.ports[0], "s")))
        self.addCleanup(proxy.stop, check=False)
        self.assertEqual(proxy.wait(), 1)
        self.assertIn(f'listener "s": cannot bind 127.0.0.1:{self.ports[0]}: Address already in use', proxy.log_text())

    # ---- when it takes effect ----

    def lose(self, of_file):
        """A listener that was accepted waits for its routes, and its port is taken before they come."""
        late = self.listener("late", self.ports[0])
        self.say(self.listener("d", self.ports[1], "d"), *([] if of_file else [late]))
        proxy = self.proxy = sidecar.Sidecar(self.config(*([late] if of_file else [])))
        self.addCleanup(proxy.stop)
        self.until(self.ports[1], "d")
        taken = listening(self, self.ports[0])
        self.say_routes()
        proxy.wait_log("a listener waits for its address")
        proxy.wait_ready()  # it does not wait with it
        return taken, late

    def go_on(self, taken, late, of_file):
        # All else goes on, and nobody is told of a name that was not said.
        self.say(self.listener("d", self.ports[1], "d2"), self.listener("e", self.ports[2], "e"),
                 *([] if of_file else [late]))
        self.until(self.ports[1], "d2")
        self.until(self.ports[2], "e")
        stats = self.proxy.stats()
        self.assertEqual(stats["listener_manager.lds.update_rejected"], 0)
        self.assertEqual(stats["server.config_reload_failure"], 0)
        self.assertGreaterEqual(stats["listener_manager.listener_create_failure"], 1)
        self.assertIn("cannot bind", self.proxy.get("/init_dump?format=text")[1])
        self.proxy.wait_stat("listener_manager.listener_create_failure", lambda found: found > 1)
        self.proxy.wait_log("a listener waits for its address")
        self.assertEqual(self.proxy.log_text().count("a listener waits for its address"), 1)
        taken.close()
        self.until(self.ports[0], "late")
        self.assertNotIn("cannot bind", self.proxy.get("/init_dump?format=text")[1])

    def test_a_listener_of_the_control_plane_that_lost_its_address_gets_it_later(self):
        taken, late = self.lose(of_file=False)
        entry = self.entry("late")
        self.assertIn("warming_state", entry)
        self.assertIn("cannot bind", entry["error_state"]["details"])
        self.go_on(taken, late, of_file=False)
        self.assertNotIn("error_state", self.entry("late"))

    def test_a_listener_of_the_file_that_lost_its_address_gets_it_later(self):
        taken, late = self.lose(of_file=True)
        # Nor does a reload fail of it, which has the same listener.
        self.proxy.write(self.config(late, self.listener("s", self.ports[3], "s")))
        self.until(self.ports[3], "s")
        self.go_on(taken, late, of_file=True)

    # ---- among ourselves ----

    def test_addresses_are_swapped_in_one_update(self):
        self.say(self.listener("a", self.ports[0], "a"), self.listener("b", self.ports[1], "b"))
        self.start()
        self.until(self.ports[1], "b")
        self.say(self.listener("a", self.ports[1], "a"), self.listener("b", self.ports[0], "b"))
        self.until(self.ports[0], "b")
        self.until(self.ports[1], "a")
        sidecar.until("one listens on each", lambda: all(
            self.ask(self.ports[i]) == text for i, text in ((0, "b"), (1, "a")) for _ in range(20)))

    def test_an_address_is_not_shared_with_who_has_yet_to_leave_it(self):
        self.say(self.listener("a", self.ports[0], "a"))
        self.start()
        self.say(self.listener("a", self.ports[1]), self.listener("b", self.ports[0], "b"),
                 self.listener("c", self.ports[2], "c"))
        self.until(self.ports[2], "c")
        self.assertEqual({self.ask(self.ports[0]) for _ in range(40)}, {"a"})
        self.say_routes()
        self.until(self.ports[1], "late")
        self.until(self.ports[0], "b")

    def test_an_address_that_cannot_be_shared_is_taken_once_it_was_left(self):
        path = os.path.join(self.folder, "socket")
        pipe = {"address": {"pipe": {"path": path}}}
        self.say(self.listener("a", 0, "a", **pipe))
        self.start()
        self.say(self.listener("b", 0, "b", **pipe))

        def ask():
            with socket.socket(socket.AF_UNIX) as client:
                if client.connect_ex(path) != 0:
                    return b""
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return b"".join(iter(lambda: client.recv(4096), b""))
        sidecar.until(lambda: f"b answers\n{self.proxy.log_tail()}", lambda: ask().endswith(b"\r\n\r\nb"))

    # ---- many ----

    def test_many_that_fail_do_not_hold_up_control(self):
        taken = [listening(self, 0) for _ in range(400)]
        good = [sidecar.free_port() for _ in range(400)]
        self.say()
        self.start(enable_dispatcher_stats=True, stats_flush_interval="1s")
        # Accepted, and lost when they take effect: the ports are free until the routes come.
        bad = [one.getsockname()[1] for one in taken]
        for one in taken:
            one.close()
        self.say(*[self.listener(f"bad-{i}", port) for i, port in enumerate(bad)],
                 *[self.listener(f"good-{i}", port) for i, port in enumerate(good)])
        self.proxy.wait_stat("listener_manager.total_listeners_warming", 800)
        for port in bad:
            listening(self, port)
        self.say_routes()
        self.proxy.wait_stat("listener_manager.total_listeners_active", 400)
        self.until(good[-1], "late")
        self.assertEqual(self.proxy.stats()["listener_manager.lds.update_rejected"], 0)
        if sidecar.sanitized():
            return
        text = self.proxy.get("/stats/prometheus?filter=server.dispatcher")[1]
        counts = [(float(bound), int(count)) for bound, count in re.findall(
            r'server_dispatcher_loop_cpu_us_bucket\{le="([0-9.e+]+)"\} (\d+)', text)]
        self.assertTrue(counts, text)
        longest = min(bound for bound, count in counts if count == counts[-1][1])
        self.assertLessEqual(longest, 50_000)

    # ---- stopped ----

    def test_listeners_that_come_after_drain_listeners_do_not_listen(self):
        self.say(self.listener("a", self.ports[0], "a"), self.listener("out", self.ports[3], "out"))
        self.start()
        self.until(self.ports[0], "a")
        self.assertEqual(self.proxy.post("/drain_listeners")[0], 200)
        sidecar.until("a is closed", lambda: is_refused(self.ports[0]) and is_refused(self.ports[3]))
        self.proxy.wait_stat("listener_manager.listener_stopped", 2)
        self.say(self.listener("a", self.ports[1], "a"), self.listener("b", self.ports[2], "b"))
        self.proxy.wait_log("listener without sockets: listeners were stopped: listener=b")
        for port in self.ports:
            self.assertTrue(is_refused(port), port)
        self.assertEqual(self.proxy.stats()["listener_manager.lds.update_rejected"], 0)
        self.assertEqual(self.proxy.post("/drain_listeners")[0], 200)
        self.proxy.get("/ready")
        self.assertEqual(self.proxy.stats()["listener_manager.listener_stopped"], 2, "nobody listened any more")

    def test_inboundonly_stops_those_alone(self):
        inbound = {"traffic_direction": "INBOUND"}
        self.say(self.listener("in", self.ports[0], "in", **inbound), self.listener("out", self.ports[1], "out"))
        self.start()
        self.until(self.ports[0], "in")
        self.assertEqual(self.proxy.post("/drain_listeners?inboundonly")[0], 200)
        sidecar.until("in is closed", lambda: is_refused(self.ports[0]))
        self.proxy.wait_stat("listener_manager.listener_stopped", 1)
        self.say(self.listener("in", self.ports[2], "in", **inbound), self.listener("out", self.ports[3], "moved"))
        self.until(self.ports[3], "moved")
        self.assertTrue(is_refused(self.ports[2]))


if __name__ == "__main__":
    unittest.main()
