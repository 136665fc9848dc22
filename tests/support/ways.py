"""Ways from a client to a server: through one sidecar, and through two with mutual TLS between them.

    ways = Ways(cls, {"node": (server.port, envoy.EXPLICIT_H2)})
    ways.one["node"], ways.two["node"]        # ports, in clear text, of any HTTP
    ways.tls["node"]                          # one sidecar that speaks TLS to its clients too
    ways.mtls["node"], ways.customer          # one that demands certificates, and files of a client that has them
    ways.settle()                             # all has ended, and nothing failed
    ways.end()                                # and no connection is left
"""

import re

import envoy_config as envoy
import sidecar
from authority import CUSTOMER, USERS, Authority

ALPN = ["h2", "http/1.1"]
RUNNING = re.compile(r"(downstream_rq_active|upgrades_active|upstream_rq_(pending_)?active|streams_active"
                     r"|bytes_buffered)$")
CONNECTED = re.compile(r"downstream_(pre_)?cx_(http1_|http2_|ssl_)?active$")
FAILED = re.compile(r"(_5xx|protocol_error|messaging_error|malformed|overflow|flood|connect_fail|connection_error"
                    r"|too_many_premature_resets)$")


class Ways:
    """`servers`: name -> (port, HttpProtocolOptions, TLS of that cluster or nothing); `between`: HttpProtocolOptions
    from the outer to the inner sidecar; `manager`: more fields of each HttpConnectionManager; `cluster`: fields of every
    cluster.  Ends with `test`, a TestCase or a class."""

    def __init__(self, test, servers, between=envoy.AUTO, manager=None, cluster=None):
        self.manager, fields = manager or {}, cluster or {}
        authority = Authority(test)
        users, self.customer = authority.issue(USERS), authority.issue(CUSTOMER)
        self.one, self.two, self.tls, self.mtls = (
            {name: sidecar.free_port() for name in servers} for _ in range(4))
        self.inner = self._start(test, [
            self._listener(name, port, envoy.tls_server(users)) for name, port in self.mtls.items()], [
            envoy.http_cluster(port, options, name, *tls, **fields) for name, (port, options, *tls) in servers.items()])
        to_inner = envoy.tls_client(self.customer, ["spiffe://mesh.local/"])
        self.outer = self._start(test, [
            *(self._listener(name, port) for name, port in self.one.items()),
            *(self._listener(name, port, envoy.tls_server(users, require=False)) for name, port in self.tls.items()),
            *(self._listener(name, port, cluster="inner " + name) for name, port in self.two.items())], [
            *(envoy.http_cluster(port, options, name, *tls, **fields)
              for name, (port, options, *tls) in servers.items()),
            *(envoy.http_cluster(port, between, "inner " + name, to_inner, **fields)
              for name, port in self.mtls.items())])

    @staticmethod
    def _start(test, listeners, clusters):
        return sidecar.start(test, envoy.bootstrap(listeners, clusters), flags=["--concurrency", "2"])

    def _listener(self, name, port, tls=None, cluster=None):
        if tls:
            tls["typed_config"]["common_tls_context"]["alpn_protocols"] = ALPN
        return envoy.http(f"{name}_{port}", port, [envoy.route(cluster or name)], tls=tls, codec_type="AUTO", log=False,
                          **self.manager)

    def all(self):
        """(name, port in clear text) through one and through two sidecars."""
        return [(f"{name} by {count}", port) for count, ports in (("one", self.one), ("two", self.two))
                for name, port in ports.items()]

    def settle(self, but=None):
        """Waits until no request and no connection of a client is left; then no counter may tell of a failure, `but`
        those that this pattern finds."""
        # The inner sidecar's clients are the pools of the outer one, which keep their connections.
        for proxy, pattern in ((self.outer, CONNECTED), (self.outer, RUNNING), (self.inner, RUNNING)):
            none_is_left(proxy, pattern)
        for proxy in (self.outer, self.inner):
            failed = {name: n for name, n in matching(proxy, FAILED).items() if not (but and re.search(but, name))}
            if failed:
                raise AssertionError(f"failures are counted: {failed}\n{proxy.log_tail()}")

    def end(self):
        self.outer.stop()
        none_is_left(self.inner, CONNECTED)
        self.inner.stop()


def none_is_left(proxy, pattern):
    sidecar.until(lambda: f"at rest; still {matching(proxy, pattern)}", lambda: not matching(proxy, pattern))


def matching(proxy, pattern):
    """Its counters and gauges of these names that are not 0."""
    return {name: value for name, value in proxy.stats().items() if value and pattern.search(name)}
