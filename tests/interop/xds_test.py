#!/usr/bin/env python3
"""go-control-plane says what is routed where: what it says is in force when it is acknowledged, a bad part is
refused by name, and no request is lost meanwhile."""

import http.client
import http.server
import os
import random
import threading
import unittest

import programs
import sidecar
from control_plane import ControlPlane, bootstrap

CHANGES = int(os.environ.get("CHANGES", "200"))
SEED = int(os.environ.get("SEED", "1"))


class Origin(http.server.ThreadingHTTPServer):
    """Answers with its name."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, test, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece

            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        test.addCleanup(self.server_close)
        test.addCleanup(self.shutdown)

    @property
    def port(self):
        return self.server_address[1]


def get(port):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=sidecar.DEADLINE)
    try:
        client.request("GET", "/")
        answer = client.getresponse()
        return answer.status, answer.read().decode()
    finally:
        client.close()


class Load:
    """Requests on connections that stay; whatever is not 200 is a failure."""

    def __init__(self, port, clients=4):
        self.failures, self.count = [], 0
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=sidecar.DEADLINE)
        while not self.stopped.is_set():
            try:
                client.request("GET", "/")
                answer = client.getresponse()
                body = answer.read()
                self.count += 1
                if answer.status != 200:
                    self.failures.append((answer.status, body))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                client.close()
        client.close()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


class Wanted:
    """A random state of the control plane, and its next."""

    def __init__(self, origins):
        self.origins = origins
        self.random = random.Random(SEED)
        self.version = 0
        self.clusters = {"c0": 0}  # name -> index of its origin
        self.is_eds = {"c0": True}
        self.route = "c0"
        self.route_name = "r0"
        self.second = None  # port of a listener that comes and goes

    def change(self):
        self.version += 1
        kind = self.random.choice(["endpoints", "cluster", "route", "route", "type", "rename", "listener", "drop"])
        if kind == "endpoints":
            name = self.random.choice(sorted(self.clusters))
            self.clusters[name] = self.random.randrange(len(self.origins))
        elif kind in ("cluster", "route"):
            name = f"c{self.random.randrange(6)}"
            self.clusters.setdefault(name, self.random.randrange(len(self.origins)))
            self.is_eds.setdefault(name, self.random.random() < 0.7)
            if kind == "route":
                self.route = name
        elif kind == "type":
            name = self.random.choice(sorted(self.clusters))
            self.is_eds[name] = not self.is_eds[name]
        elif kind == "rename":
            self.route_name = f"r{self.version}"
        elif kind == "listener":
            self.second = None if self.second else sidecar.free_port()
        elif kind == "drop":
            for name in set(self.clusters) - {self.route}:
                del self.clusters[name], self.is_eds[name]
        return kind

    def say(self, plane, port, bad=False):
        clusters = {name: ("eds:" if self.is_eds[name] else "") + str(self.origins[index].port)
                    for name, index in self.clusters.items()}
        listeners = {"in": {"port": port, "routes": self.route_name}}
        if self.second:
            listeners["second"] = {"port": self.second, "routes": self.route_name}
        if bad:
            listeners["bad"] = {"port": sidecar.free_port(), "routes": self.route_name, "bad": True}
        plane.say(str(self.version), clusters, {self.route_name: self.route}, listeners)

    def answer(self):
        return self.origins[self.clusters[self.route]].name


class XdsTest(unittest.TestCase):
    def setUp(self):
        self.origins = [Origin(self, f"origin-{i}") for i in range(4)]
        self.plane = ControlPlane(self)
        self.port = sidecar.free_port()
        self.wanted = Wanted(self.origins)
        self.wanted.say(self.plane, self.port)
        self.proxy = sidecar.start(self, bootstrap(self.plane.address))

    def expect(self, port, kind):
        answer = self.wanted.answer()
        sidecar.until(lambda: f"change {self.wanted.version} ({kind}): {answer}, got {get(port)}\n"
                              f"{self.plane.lines[-8:]}", lambda: get(port) == (200, answer))

    def test_random_changes_lose_no_request(self):
        self.expect(self.port, "start")
        load = Load(self.port)
        try:
            for _ in range(CHANGES):
                kind = self.wanted.change()
                self.wanted.say(self.plane, self.port)
                self.expect(self.port, kind)
                if self.wanted.second:
                    sidecar.until(f"change {self.wanted.version}: the second listener",
                                  lambda: self.second_answers(self.wanted.answer()))
        finally:
            load.stop()
        self.assertEqual(load.failures, [])
        self.assertGreater(load.count, CHANGES)
        print(f"{load.count} requests over {CHANGES} changes", flush=True)
        self.assertEqual(self.plane.nacks(), [])
        self.assertEqual(self.proxy.stats()["listener_manager.lds.update_rejected"], 0)

    def second_answers(self, answer):
        try:
            return get(self.wanted.second) == (200, answer)
        except OSError:
            return False

    def test_a_bad_listener_is_refused_by_name_and_the_good_ones_apply(self):
        self.expect(self.port, "start")
        self.wanted.change()
        self.wanted.second = sidecar.free_port()
        self.wanted.say(self.plane, self.port, bad=True)
        sidecar.until("a NACK", self.plane.nacks)
        self.assertRegex(self.plane.nacks()[0], r"^nack Listener lds/bad: .*http_filters")
        sidecar.until("the good listener", lambda: self.second_answers(self.wanted.answer()))
        dump = self.proxy.json("/config_dump?resource=dynamic_listeners")
        self.assertIn("error_state", {key for entry in dump["configs"] for key in entry})

    def test_the_last_state_serves_while_the_control_plane_is_away(self):
        self.expect(self.port, "start")
        load = Load(self.port)
        address = self.plane.address
        self.plane.stop()
        self.proxy.wait_stat("control_plane.connected_state", 0)
        self.assertEqual(get(self.port), (200, self.wanted.answer()))
        # It comes back and knows something else.
        self.plane = ControlPlane(self, "tcp", address)
        self.wanted.clusters["c0"] = 3
        self.wanted.version += 1
        self.wanted.say(self.plane, self.port)
        self.expect(self.port, "come back")
        load.stop()
        self.assertEqual(load.failures, [])

    def test_the_control_plane_may_listen_on_a_unix_socket(self):
        path = os.path.join(programs.folder(self), "xds.sock")
        plane = ControlPlane(self, "unix", path)
        port = sidecar.free_port()
        self.wanted.say(plane, port)
        sidecar.start(self, bootstrap(path))
        self.expect(port, "unix")


if __name__ == "__main__":
    unittest.main()
