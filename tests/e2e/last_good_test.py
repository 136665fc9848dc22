#!/usr/bin/env python3
"""A process that is started again while its control plane is away serves what it was told last; what the control plane
then says takes over, and no request is lost by it."""

import os
import stat
import unittest

import programs
import sidecar
from control_plane import ControlPlane, bootstrap
from peers import Upstream, answers, connect, get, reply


class LastGood(unittest.TestCase):
    def setUp(self):
        self.apps = [Upstream(self, answers(*[reply(f"app-{i}".encode())] * 1000)) for i in range(2)]
        self.port = sidecar.free_port()
        self.path = os.path.join(programs.folder(self), "last-good")
        self.plane = ControlPlane(self)
        self.address = self.plane.address
        self.say(self.plane, "1", 0)

    def say(self, plane, version, app, **more):
        clusters = {"app": f"eds:{self.apps[app].port}", "gone": f"eds:{self.apps[app].port}"} | more
        plane.say(version, {name: where for name, where in clusters.items() if where}, {"r": "app"},
                  {"in": {"port": self.port, "routes": "r"}})

    def start(self):
        proxy = sidecar.Sidecar(bootstrap(self.address, fetch_timeout="0s"), flags=["--last-good-cache", self.path])
        self.addCleanup(proxy.stop)
        return proxy

    def ask(self):
        return connect(self, self.port).exchange(get()).body

    def first_run(self):
        proxy = self.start().wait_ready()
        self.assertEqual(self.ask(), b"app-0")
        self.assertFalse(os.path.exists(self.path), "it is not written with each word")
        proxy.stop()
        self.plane.stop()

    def test_the_process_begins_from_what_it_was_told_last(self):
        self.first_run()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        proxy = self.start()
        proxy.wait_log("beginning from what it said last")
        proxy.wait_ready()
        self.assertEqual(self.ask(), b"app-0")
        self.assertEqual(proxy.stats()["control_plane.connected_state"], 0)
        plane = ControlPlane(self, "tcp", self.address)
        self.say(plane, "2", 1, gone=None)
        sidecar.until("what is said now", lambda: self.ask() == b"app-1")
        proxy.wait_stat("cluster_manager.active_clusters", 2)  # with that of the control plane

    def test_a_control_plane_that_answers_is_believed_at_once(self):
        self.first_run()
        plane = ControlPlane(self, "tcp", self.address)
        self.say(plane, "2", 1)
        proxy = self.start().wait_ready()
        self.assertEqual(self.ask(), b"app-1")
        self.assertNotIn("beginning from what it said last", proxy.log_text())

    def test_a_damaged_file_is_not_used(self):
        self.first_run()
        with open(self.path, "r+b") as out:
            out.seek(-1, os.SEEK_END)
            out.write(b"!")
        proxy = self.start()
        proxy.wait_log("the last good state cannot be used")
        proxy.wait_log("its hash is wrong")
        self.assertEqual(proxy.get("/ready")[0], 503)


if __name__ == "__main__":
    unittest.main()
