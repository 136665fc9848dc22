"""go-control-plane as the control plane of a test.

    plane = ControlPlane(test)
    plane.say("1", clusters={"a": "eds:8080"}, routes={"r": "a"}, listeners={"in": {"port": 80, "routes": "r"}})
    plane.wait("ack RouteConfiguration 1")
    plane.say_resources("2", [{"@type": ..., "name": ...}, ...])     # all that there is, in protobuf's JSON
    plane.do("restart")                                             # silence, speak, end: see go-xds/main.go
    plane.ask_load(clusters=["a"], load_reporting_interval="1s")     # of all nodes, by LRS
    plane.loads("test")                                             # what was reported: [LoadStatsRequest]

bootstrap() is the configuration of a sidecar that asks it for everything.
"""

import json
import subprocess
import threading

import programs
from sidecar import free_port, until


class ControlPlane:
    def __init__(self, test, *address, cache="snapshot", ordered=True, nodes=("test",)):
        """`address`: network and address ("tcp", "127.0.0.1:80" or "unix", path); a free port without.  `cache`, of
        go-control-plane: snapshot, linear or mux."""
        # Not one of the kernel's choice: a proxy that calls again while nobody listens may be given it for its own end.
        address = address or ("tcp", f"127.0.0.1:{free_port()}")
        self.lines = []
        self.process = subprocess.Popen(
            [programs.built_go_module("go-xds"), "-cache", cache, f"-ordered={str(ordered).lower()}", "-nodes",
             ",".join(nodes), *address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        programs.cleanup(test)(self.stop)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        until("the control plane listens", lambda: self.lines and self.lines[0].startswith("listens "))
        self.address = self.lines[0].split()[1]

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _command(self, **command):
        heard = len(self.lines)
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        name = command.get("do") or command["version"]
        answers = (f"ok {name}", f"bad {name} ")
        answer = until(lambda: f"an answer to {name} among {self.lines[-8:]}", lambda: next(
            (line for line in self.lines[heard:] if line == answers[0] or line.startswith(answers[1])), None))
        if answer != answers[0]:
            raise AssertionError(answer)

    def say(self, version, clusters, routes, listeners, per_route=None, secrets=(), node=""):
        self._command(version=version, clusters=clusters, routes=routes, listeners=listeners,
                      per_route=per_route or {}, secrets=list(secrets), node=node)

    def say_resources(self, version, resources, node=""):
        self._command(version=version, resources=resources, node=node)

    def do(self, what):
        self._command(do=what)

    def ask_load(self, **fields):
        self._command(do="load", load=fields)

    def loads(self, node):
        start = f"load {node} "
        return [json.loads(line.removeprefix(start)) for line in list(self.lines) if line.startswith(start)]

    def wait(self, line):
        until(lambda: f"{line!r} among {self.lines[-8:]}", lambda: line in self.lines)

    def nacks(self):
        return [line for line in self.lines if line.startswith("nack ")]

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


def api_config_source(delta=False):
    """How the cluster `xds` of bootstrap() is asked."""
    return {"api_type": "DELTA_GRPC" if delta else "GRPC", "transport_api_version": "V3", "grpc_services": [{
        "envoy_grpc": {"cluster_name": "xds", "retry_policy": {
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"}}}}]}


ADS = {"ads": {}, "resource_api_version": "V3"}


def typed_source(delta=False):
    """A ConfigSource by a stream of one type."""
    return {"api_config_source": api_config_source(delta), "resource_api_version": "V3"}


def bootstrap(address, fetch_timeout="15s", delta=False, typed=False, node="test"):
    """`address`: host:port, or the path of a socket.  `typed`: clusters and listeners come by streams of their own."""
    host, _, port = address.rpartition(":")
    source = (typed_source(delta) if typed else ADS) | {"initial_fetch_timeout": fetch_timeout}
    http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}
    where = {"socket_address": {"address": host, "port_value": int(port)}} if host else {"pipe": {"path": address}}
    endpoint = {"endpoint": {"address": where}}
    return {
        "node": {"id": node, "cluster": "test"},
        "dynamic_resources": {"cds_config": source, "lds_config": source} | (
            {} if typed else {"ads_config": api_config_source(delta)}),
        "static_resources": {"clusters": [{
            "name": "xds", "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]}}]}}
