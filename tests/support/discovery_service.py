"""discovery_server.py beside a test: a control plane that is not go-control-plane.

    service = DiscoveryService(test)
    service.say("node", "1", [{"@type": ..., "name": ...}, ...])
    service.wait("ack node RouteConfiguration 1")

encoded(resources) gives the bytes of an Any for each, for servers that speak bytes.
"""

import json
import os
import subprocess
import threading

import programs
import sidecar

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "discovery_server.py")


def encoded(resources):
    made = subprocess.run([programs.find_xds_python(), SERVER, "encode"], input=json.dumps(resources), text=True,
                          capture_output=True)
    if made.returncode:
        raise AssertionError(f"resources cannot be encoded: {made.stderr[-2000:]}")
    return [bytes.fromhex(line) for line in made.stdout.split()]


class DiscoveryService:
    def __init__(self, test):
        self.address = f"127.0.0.1:{sidecar.free_port()}"
        self.lines = []
        self.process = subprocess.Popen([programs.find_xds_python(), SERVER, self.address], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.stop)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        sidecar.until("the discovery service listens", lambda: "listens" in self.lines)

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, node, version, resources):
        heard = len(self.lines)
        self.process.stdin.write(json.dumps({"node": node, "version": version, "resources": resources}) + "\n")
        self.process.stdin.flush()
        sidecar.until("the service takes what it is told", lambda: f"ok {version}" in self.lines[heard:])

    def heard(self, start):
        return [line for line in self.lines if line.startswith(start)]

    def wait(self, line):
        sidecar.until(lambda: f"{line!r} among {self.lines[-8:]}", lambda: line in self.lines)

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
