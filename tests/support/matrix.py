"""One body of a test over {HTTP/1.1, HTTP/2} from the client x {HTTP/1.1, HTTP/2} to the server x {plain, mutual TLS}.

    class Exchanges(Matrix):
        def test_x(self):
            for way in self.each(script):           # one sidecar has them all; a failure names its way
                self.assertEqual(way.client().exchange(get()).status, 200)

Clients and scripts are those of peers.py, whatever they speak.
"""

import functools
import json
import os
import ssl
import unittest

import envoy_config as envoy
import http2_peers
import peers
import sidecar
from authority import CUSTOMER, USERS, Authority

SECURITY = ("plain", "mtls")
PROTOCOLS = ("h1", "h2")
OPTIONS = {"h1": envoy.EXPLICIT_H1, "h2": envoy.EXPLICIT_H2}


class Way:
    """`test`: whose each() made it."""

    def __init__(self, test, client, server, security):
        self.test, self.client_speaks, self.server_speaks, self.security = test, client, server, security
        self.name = f"{client}_{server}_{security}"
        self.port = sidecar.free_port()
        self.log_path = self.name + ".log"

    def client(self, receive_buffer=None):
        """A connected client, closed with the test."""
        raw = peers.connect(self.test, self.port, receive_buffer).socket
        if self.security == "mtls":
            raw = self.test.tls_client(self.client_speaks, raw)
            self.test.addCleanup(raw.close)
        return http2_peers.Client(raw) if self.client_speaks == "h2" else peers.Peer(raw)

    def make_server(self, connection):
        if self.security == "mtls":
            connection = self.test.tls_server(self.server_speaks, connection)
        return http2_peers.Server(connection) if self.server_speaks == "h2" else peers.Peer(connection)

    def counter(self, name):
        """Of "http." or "cluster." of this way: counter("cluster.upstream_cx_total")."""
        kind, _, rest = name.partition(".")
        return self.test.sidecar.stats()[f"{kind}.{self.name}.{rest}"]

    def wait_counter(self, name, value):
        kind, _, rest = name.partition(".")
        self.test.sidecar.wait_stat(f"{kind}.{self.name}.{rest}", value)

    def log(self, count=1):
        """The lines of its access log, once there are so many."""
        path = os.path.join(self.test.sidecar.dir, self.log_path)

        def lines():
            if not os.path.exists(path):
                return []
            return [json.loads(line) for line in sidecar.read(path).split("\n")[:-1]]
        sidecar.until(lambda: f"{count} lines, have {lines()}", lambda: len(lines()) >= count)
        return lines()

    def cluster(self, ports, protocol=None, **fields):
        made = envoy.http_cluster(None, OPTIONS[self.server_speaks], self.name,
                                  self.test.to_server() if self.security == "mtls" else None, **fields)
        made["load_assignment"] = envoy.cluster(self.name, ports)["load_assignment"]
        if protocol:
            options = made["typed_extension_protocol_options"]
            next(iter(options.values()))["common_http_protocol_options"] = protocol
        return made

    def listener(self, routes=None, **hcm):
        routes = [self._mine(route) for route in routes or [envoy.route()]]
        tls = self.test.from_client() if self.security == "mtls" else None
        if tls:
            tls["typed_config"]["common_tls_context"]["alpn_protocols"] = ["h2", "http/1.1"]
        hcm.setdefault("codec_type", "AUTO")
        return envoy.http(self.name, self.port, routes, log=False, tls=tls,
                          access_log=envoy.access_log(self.log_path), **hcm)

    def _mine(self, route):
        """The route, to the cluster of this way."""
        action = route.get("route")
        return route | {"route": action | {"cluster": self.name}} if action and "cluster" in action else route


def says_way(method):
    """The test, which names the way on which it fails."""
    @functools.wraps(method)
    def run(self):
        try:
            method(self)
        except BaseException as failure:
            failure.add_note(f"on the way {self.way.name}" if self.way else "before any way")
            raise
    return run


class Matrix(unittest.TestCase):
    way = None

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        for name, method in list(vars(cls).items()):
            if name.startswith("test_"):
                setattr(cls, name, says_way(method))

    @classmethod
    def setUpClass(cls):
        authority = Authority(cls)
        cls.users, cls.customer = authority.issue(USERS), authority.issue(CUSTOMER)

    def tls_client(self, protocol, raw):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(*self.customer[:2])
        context.set_alpn_protocols(["h2" if protocol == "h2" else "http/1.1"])
        return context.wrap_socket(raw, suppress_ragged_eofs=True)

    def tls_server(self, protocol, raw):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.users[:2])
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.users[2])
        context.set_alpn_protocols(["h2" if protocol == "h2" else "http/1.1"])
        raw.settimeout(sidecar.DEADLINE)
        return context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=True)

    def to_server(self):
        return envoy.tls_client(self.customer, ["spiffe://mesh.local/"])

    def from_client(self):
        return envoy.tls_server(self.users)

    def each(self, *scripts, cluster=None, ports=None, more_ports=(), clients=PROTOCOLS, upstreams=PROTOCOLS,
             security=SECURITY, **hcm):
        """Yields the ways in turn, each with an `upstream` that plays `scripts`.  `cluster`: fields of the clusters;
        `ports`: their hosts, instead of the upstream, or `more_ports`, too; `hcm`: fields of the connection managers."""
        ways = [Way(self, client, server, how) for how in security for client in clients for server in upstreams]
        for way in ways:
            way.upstream = peers.Upstream(self, *scripts, make=way.make_server) if ports is None else None
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [way.listener(**hcm) for way in ways],
            [way.cluster(ports if ports is not None else [way.upstream.port, *more_ports], **(cluster or {})) for way in ways]),
            flags=["--concurrency", "1"])
        for self.way in ways:
            yield self.way
