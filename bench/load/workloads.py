"""What the proxies are asked to do.  The figures are the same for each of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    name: str
    what: str
    kind: str = "requests"   # requests, mixed, bulk
    mode: str = "http"       # of the proxy: http, tcp, mtls (mutual TLS to the upstream)
    path: str = "/b/1024"
    connections: int = 64
    post: int = 0            # bytes of body
    close: bool = False      # a connection per request


ALL = [
    Workload("small", "GET of 1 KB, 64 keep-alive connections"),
    Workload("post", "POST of 4 KB, 1 KB back, 64 keep-alive connections", path="/post", post=4096),
    Workload("large", "GET of 100 KB, 64 keep-alive connections", path="/b/102400"),
    Workload("connect", "a new connection for each GET of 1 KB, 32 at once", connections=32, close=True),
    Workload("mtls", "GET of 1 KB, mutual TLS 1.3 towards the upstream, 64 keep-alive connections", mode="mtls"),
    Workload("mixed", "GET of 1 KB on 32 connections while 4 others take 10 MB each; latency is that of the small ones",
             kind="mixed", connections=32),
    Workload("bulk", "bytes through a TCP proxy, 4 connections", kind="bulk", mode="tcp", path="/b/1099511627776", connections=4),
]
BY_NAME = {w.name: w for w in ALL}
