"""What the proxies are asked to do.  The figures are the same for each of them."""

from dataclasses import dataclass

import guards


@dataclass(frozen=True)
class Workload:
    name: str
    what: str
    kind: str = "requests"   # requests, mixed, bulk, h2load
    mode: str = "http"       # of the proxy: http, tcp, mtls (mutual TLS to the upstream)
    path: str = "/b/1024"
    connections: int = 64
    down: str = "h1"         # protocol of the client
    up: str = "h1"           # protocol of the upstream
    streams: int = 1         # HTTP/2: at a time, on each connection
    grpc: bool = False
    post: int = 0            # bytes of body
    close: bool = False      # a connection per request
    guard: str = ""          # of guards.py: a filter, and what is sent to it
    base: str = ""           # the workload without the filter: the difference is what the filter costs


ALL = [
    Workload("small", "GET of 1 KB, 64 keep-alive connections"),
    Workload("post", "POST of 4 KB, 1 KB back, 64 keep-alive connections", path="/post", post=4096),
    Workload("large", "GET of 100 KB, 64 keep-alive connections", path="/b/102400"),
    Workload("connect", "a new connection for each GET of 1 KB, 32 at once", connections=32, close=True),
    Workload("mtls", "GET of 1 KB, mutual TLS 1.3 towards the upstream, 64 keep-alive connections", mode="mtls"),
    Workload("h2", "HTTP/2 to HTTP/2: GET of 1 KB, 4 connections of 25 streams", kind="h2load", down="h2", up="h2", connections=4, streams=25),
    Workload("h2-to-h1", "HTTP/2 to HTTP/1.1: GET of 1 KB, 4 connections of 25 streams", kind="h2load", down="h2", connections=4, streams=25),
    Workload("h1-to-h2", "HTTP/1.1 to HTTP/2: GET of 1 KB, 64 keep-alive connections", up="h2"),
    Workload("grpc", "gRPC unary over HTTP/2: messages of 128 bytes, trailers, 4 connections of 25 streams", kind="h2load",
             down="h2", up="h2", connections=4, streams=25, path="/bench.Echo/Unary", post=132, grpc=True),
    Workload("mixed", "GET of 1 KB on 32 connections while 4 others take 10 MB each; latency is that of the small ones",
             kind="mixed", connections=32),
    Workload("bulk", "bytes through a TCP proxy, 4 connections", kind="bulk", mode="tcp", path="/b/1099511627776", connections=4),
    Workload("rbac-none", "GET of 1 KB, 64 keep-alive connections: the base of the next two", path=guards.LAST, guard="rbac-none"),
    Workload("rbac-1000", "the same, RBAC of 1,000 policies, each of one path and one client; the last one matches",
             path=guards.LAST, guard="rbac-exact", base="rbac-none"),
    Workload("rbac-1000-prefix", "the same with prefixes instead of exact texts, which no hash finds",
             path=guards.LAST, guard="rbac-prefix", base="rbac-none"),
    Workload("jwt-none", "GET of 1 KB with a token, nobody looks at it: the base of the next two", guard="jwt-none"),
    Workload("jwt-es256", f"the same, each token verified (ES256; {guards.TOKENS:,} of them in turn, no cache)",
             guard="jwt", base="jwt-none"),
    Workload("jwt-es256-cached", f"the same, {guards.CACHED_TOKENS} tokens in turn, in the filter's cache",
             guard="jwt-cached", base="jwt-none"),
]
BY_NAME = {w.name: w for w in ALL}


def named(names):
    """The workloads of these names, each base in front of the first that wants it."""
    chosen = {}
    for workload in (BY_NAME[name] for name in names):
        if workload.base:
            chosen[workload.base] = BY_NAME[workload.base]
        chosen[workload.name] = workload
    return list(chosen.values())
