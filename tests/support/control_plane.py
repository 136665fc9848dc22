"""go-control-plane as the control plane of a test.

    plane = ControlPlane(test)
    plane.say("1", clusters={"a": "eds:8080"}, routes={"r": "a"}, listeners={"in": {"port": 80, "routes": "r"}})
    plane.wait("ack RouteConfiguration 1")

bootstrap() is the configuration of a sidecar that asks it for everything.
"""

import json
import subprocess
import threading

import programs
from sidecar import until


class ControlPlane:
    def __init__(self, test, *address):
        """`address`: network and address ("tcp", "127.0.0.1:80" or "unix", path); a free port without."""
        self.lines = []
        self.process = subprocess.Popen([programs.built_go_module("go-xds"), *address], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        programs.cleanup(test)(self.stop)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        until("the control plane listens", lambda: self.lines and self.lines[0].startswith("listens "))
        self.address = self.lines[0].split()[1]

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, version, clusters, routes, listeners, per_route=None, secrets=()):
        self.process.stdin.write(json.dumps({"version": version, "clusters": clusters, "routes": routes,
                                             "listeners": listeners, "per_route": per_route or {},
                                             "secrets": list(secrets)}) + "\n")
        self.process.stdin.flush()
        self.wait(f"ok {version}")

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


def bootstrap(address, fetch_timeout="15s"):
    """`address`: host:port, or the path of a socket."""
    host, _, port = address.rpartition(":")
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": fetch_timeout}
    http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}
    where = {"socket_address": {"address": host, "port_value": int(port)}} if host else {"pipe": {"path": address}}
    endpoint = {"endpoint": {"address": where}}
    return {
        "node": {"id": "test", "cluster": "test"},
        "dynamic_resources": {
            "ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {
                "cluster_name": "xds", "retry_policy": {
                    "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"}}}}]},
            "cds_config": ads, "lds_config": ads},
        "static_resources": {"clusters": [{
            "name": "xds", "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]}}]}}
