"""A discovery service beside a test (ads_server.py), and what it says of routes.

    service = AdsService(test)
    service.say(ROUTES, "r", "1", routes("r", host("all", ["*"], "hello")))
    service.wait("ack RouteConfiguration 1")
"""

import os

import programs
from line_process import LineProcess
from protobuf_wire import field

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ads_server.py")
ROUTES = "envoy.config.route.v3.RouteConfiguration"
SCOPES = "envoy.config.route.v3.ScopedRouteConfiguration"
HOSTS = "envoy.config.route.v3.VirtualHost"
ADS = {"ads": {}, "resource_api_version": "V3"}


class AdsService(LineProcess):
    """On a Unix socket at `path`; with `tls` (certificate, key and maybe the CA of clients: files) on `port`."""

    def __init__(self, test, tls=()):
        super().__init__()
        self.path = os.path.join(programs.folder(test), "ads.sock")
        self.command = [programs.find_grpc_python(), SERVER, "127.0.0.1:0" if tls else "unix:" + self.path, *tls]
        self.start(test)

    def start(self, test=None):
        """Also again, after stop(): it knows nothing then."""
        starts = len(self.heard("listens "))
        self.launch(test, self.command)
        self.wait("listens ", starts + 1)
        self.port = int(self.heard("listens ")[-1].split()[1])

    def say(self, kind, name, version, message, aliases=(), quiet=False, ttl=0):
        """`quiet`: only to who asks for the name; `ttl`: it holds for so many seconds, 0 is for ever."""
        self.tell(type=kind, name=name, version=version, resource=message.hex(), aliases=list(aliases), quiet=quiet,
                  ttl=int(ttl * 1000))

    def heartbeat(self, kind, name):
        """What ends holds for its time anew."""
        self.tell(type=kind, name=name, heartbeat=True)

    def say_nothing(self, kind, name, version):
        """An answer without the resource."""
        self.tell(type=kind, name=name, version=version)

    def take_back(self, kind, name):
        self.tell(type=kind, name=name)


def host(name, domains, body):
    """A VirtualHost that answers every request with that body."""
    answer = field(1, field(1, "/")) + field(7, field(1, 200) + field(2, field(3, body)))
    return field(1, name) + b"".join(field(2, domain) for domain in domains) + field(3, answer)


def routes(name, *hosts, vhds=False, vhds_of="", patience=0.3):
    """A RouteConfiguration; with VHDS, by ads or of that cluster, it waits so many seconds at most for its first hosts."""
    whole = int(patience)
    fetch_timeout = field(1, whole) + field(2, int((patience - whole) * 1_000_000_000))
    grpc = field(4, field(1, field(1, vhds_of))) + field(1, 3) + field(8, 2)  # DELTA_GRPC, V3
    how = field(2, grpc) if vhds_of else field(3, b"")
    source = field(9, field(1, how + field(4, fetch_timeout) + field(6, 2))) if vhds or vhds_of else b""
    return field(1, name) + b"".join(field(2, each) for each in hosts) + source


def scope(name, key, table, on_demand=False):
    """A ScopedRouteConfiguration."""
    fragment = field(3, field(1, field(1, key)))
    return field(1, name) + field(2, table) + fragment + (field(4, 1) if on_demand else b"")


def cluster(path, name="xds"):
    """The cluster that asks the service at a socket."""
    http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}
    endpoint = {"endpoint": {"address": {"pipe": {"path": path}}}}
    return {"name": name, "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def api_config_source(name="xds", api_type="GRPC"):
    """How that cluster is asked."""
    return {"api_type": api_type, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {
        "cluster_name": name, "retry_policy": {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"}}}}]}


def bootstrap(path, port, route_source, filters=(), api_type="GRPC"):
    """A sidecar with one listener, whose connection manager has that member of route_specifier."""
    router = {"name": "router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
    manager = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
                        "HttpConnectionManager",
               "stat_prefix": "in", **route_source, "http_filters": [*filters, router]}
    return {
        "node": {"id": "test", "cluster": "test"},
        "dynamic_resources": {"ads_config": api_config_source(api_type=api_type)},
        "static_resources": {
            "listeners": [{"name": "in",
                           "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                           "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}],
            "clusters": [cluster(path)]}}
