#!/usr/bin/env python3
"""Log files: the operational log's own, and what is counted when a file refuses its lines."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, connect, get


class LogFiles(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pillion-log-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    @staticmethod
    def read(path):
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def start_with_log_path(self, log):
        process = subprocess.Popen(
            [sidecar.PILLION, "run", "--log-path", log, "--config-yaml",
             f"{{ outbound: {{ listen: 127.0.0.1:{sidecar.free_port()}, capture: off }}, "
             f"admin: {{ listen: 127.0.0.1:{sidecar.free_port()} }} }}"], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        sidecar.until("ready", lambda: "ready: workers=" in self.read(log))
        return process

    def test_the_operational_log_goes_to_the_file_of_log_path(self):
        process = self.start_with_log_path(os.path.join(self.dir, "pillion.log"))
        process.terminate()
        self.assertEqual(process.communicate(timeout=30)[1], "")

    def test_sigusr1_reopens_the_operational_log(self):
        log = os.path.join(self.dir, "pillion.log")
        process = self.start_with_log_path(log)
        os.rename(log, log + ".1")
        process.send_signal(signal.SIGUSR1)
        sidecar.until("the file is there again", lambda: os.path.exists(log))
        process.terminate()
        self.assertEqual(process.communicate(timeout=30)[1], "")
        self.assertIn("draining", self.read(log))
        self.assertNotIn("draining", self.read(log + ".1"))

    def test_trace_tells_of_connections_and_of_what_a_reload_changes(self):
        port, other = sidecar.free_port(), sidecar.free_port()
        upstream = Upstream(self)

        def config(listeners, clusters):
            return envoy.bootstrap([envoy.http(name, port) for name, port in listeners],
                                   [envoy.cluster(name, [upstream.port]) for name in clusters])

        proxy = sidecar.start(self, config([("in", port)], ["app"]), flags=("-l", "trace"))
        client = connect(self, port)
        self.assertEqual(client.exchange(get()).status, 200)
        client.close()
        for line in ("[debug][config] listener added: listener=in\n", "[debug][config] cluster added: cluster=app\n",
                     "[debug][upstream] hosts changed: cluster=app added=1 removed=0 hosts=1\n",
                     "[trace][conn_handler] accepted: listener=in peer=127.0.0.1:",
                     "[trace][pool] connected: cluster=app host=127.0.0.1:",
                     "[trace][conn_handler] closed: listener=in peer=127.0.0.1:"):
            proxy.wait_log(line)
        proxy.write(config([("out", other)], ["app", "more"]))
        for line in ("listener removed: listener=in\n", "listener added: listener=out\n",
                     "cluster added: cluster=more\n", "listener takes no further connections: listener=in worker=0",
                     "configuration in force"):
            proxy.wait_log(line)
        before = proxy.log_text().count("[trace]")
        self.assertEqual(proxy.post("/logging?level=info")[0], 200)
        self.assertEqual(connect(self, other).exchange(get()).status, 200)
        self.assertEqual(proxy.log_text().count("[trace]"), before)

    def test_loggers_without_lines_are_not_listed(self):
        proxy = sidecar.start(self, envoy.bootstrap([], []), flags=("--component-log-level", "misc:error,io:debug"))
        names = [line.split(":")[0].strip() for line in proxy.post("/logging")[1].splitlines()[1:] if line]
        self.assertEqual(names, ["admin", "config", "conn_handler", "dns", "file", "io", "main", "pool", "tls",
                                 "tracing", "upstream"])
        self.assertEqual(proxy.post("/logging?misc=debug")[0], 400)

    def test_a_log_path_that_cannot_be_opened_ends_the_start(self):
        result = subprocess.run(
            [sidecar.PILLION, "run", "--log-path", "no/such/folder", "--config-yaml", "{ outbound: {} }"],
            cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stderr),
                         (1, 'pillion: --log-path: cannot open "no/such/folder" for writing: No such file or directory '
                             "(does its directory exist?)\n"))

    def test_lines_that_a_full_device_refuses_are_counted(self):
        port = sidecar.free_port()
        proxy = sidecar.start(self, f"{{ outbound: {{ listen: 127.0.0.1:{port}, capture: off }}, "
                                    "telemetry: { access_log: { path: /dev/full } }, "
                                    "admin: { listen: 127.0.0.1:ADMIN_PORT } }")
        self.assertEqual(connect(self, port).exchange(get()).status, 502)
        sidecar.until("a lost line", lambda: proxy.stats()["filesystem.write_lost"] >= 1)
        self.assertGreaterEqual(proxy.stats()["filesystem.write_failed"], 1)
        self.assertEqual(proxy.stats()["filesystem.write_dropped"], 0)


if __name__ == "__main__":
    unittest.main()
