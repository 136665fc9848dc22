"""discovery_server.py beside a test: a control plane that is not go-control-plane.

    service = DiscoveryService(test)
    service.say("node", "1", [{"@type": ..., "name": ...}, ...])
    service.wait("ack node RouteConfiguration 1")

encoded(resources) gives the bytes of an Any for each, for servers that speak bytes.
"""

import json
import os
import subprocess

import programs
import sidecar
from line_process import LineProcess

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "discovery_server.py")


def encoded(resources):
    made = subprocess.run([programs.find_xds_python(), SERVER, "encode"], input=json.dumps(resources), text=True,
                          capture_output=True)
    if made.returncode:
        raise AssertionError(f"resources cannot be encoded: {made.stderr[-2000:]}")
    return [bytes.fromhex(line) for line in made.stdout.split()]


class DiscoveryService(LineProcess):
    def __init__(self, test):
        super().__init__()
        self.address = f"127.0.0.1:{sidecar.free_port()}"
        self.launch(test, [programs.find_xds_python(), SERVER, self.address])
        sidecar.until("the discovery service listens", lambda: "listens" in self.lines)

    def say(self, node, version, resources):
        heard = len(self.lines)
        self.tell(node=node, version=version, resources=resources)
        sidecar.until("the service takes what it is told", lambda: f"ok {version}" in self.lines[heard:])

    def wait(self, line):  # the whole line, for versions begin alike
        sidecar.until(lambda: f"{line!r} among {self.lines[-8:]}", lambda: line in self.lines)
