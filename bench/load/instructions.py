"""Instructions per request by callgrind: the same on a busy machine as on an idle one.

A scenario runs twice, with few and with many requests; the difference is free of what starting and
ending cost.  One request at a time on one connection, so no request profits from another's wake-up.
"""

import os
import re
import shutil
import socket
import subprocess

import bench
import callgrind
import frames
import machine
import proxies

FEW, MANY = 300, 1300

LOGGED = ("          access_log: [ { name: f, typed_config: { '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog,"
          " path: /dev/null } } ]\n")

GET_1K = "GET /b/1024 HTTP/1.1\r\nHost: a\r\n\r\n"

# Name, what it is, mode of the proxy, request, connections: one, or one a request; access log.  Of HTTP/2 the request is what
# makes its client.
SCENARIOS = [
    ("small", "GET, 1 KB back", "http", GET_1K, False, False),
    ("small, access log", "the same with the default line to a file", "http", GET_1K, False, True),
    ("post", "POST of 4 KB, 1 KB back", "http", f"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n\r\n{'p' * 4096}", False, False),
    ("large", "GET, 100 KB back", "http", "GET /b/102400 HTTP/1.1\r\nHost: a\r\n\r\n", False, False),
    ("connect", "a connection for each GET of 1 KB", "http", "GET /b/1024 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", True, False),
    ("mtls", "GET, 1 KB back, mutual TLS towards the upstream", "mtls", GET_1K, False, False),
    ("h2", "GET, 1 KB back, HTTP/2 on both sides", "http", frames.get, False, False),
    ("h2-to-h1", "GET, 1 KB back, HTTP/2 to HTTP/1.1", "http", frames.get, False, False),
    ("h1-to-h2", "GET, 1 KB back, HTTP/1.1 to HTTP/2", "http", GET_1K, False, False),
    ("grpc", "gRPC unary, messages of 128 bytes, trailers", "http", frames.grpc_call, False, False),
]
UPSTREAMS_OF_HTTP2 = ("h2", "h1-to-h2", "grpc")


def receive_message(peer):
    text = b""
    while (end := text.find(b"\r\n\r\n")) < 0:
        text += receive(peer)
    size = end + 4 + int(re.search(rb"content-length: (\d+)", text[:end], re.I).group(1))
    while len(text) < size:
        text += receive(peer)
    if not text.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"answered {text[:80]!r}")


def receive(peer):
    data = peer.recv(1 << 18)
    if not data:
        raise RuntimeError("the proxy closed the connection")
    return data


def exchange(port, request, count, connect_each):
    if callable(request):
        client = request(port)
        for _ in range(count):
            client.exchange()
        return client.close()
    request = request.encode()
    peer = None
    for _ in range(count):
        if peer is None:
            peer = socket.create_connection(("127.0.0.1", port))
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(request)
        receive_message(peer)
        if connect_each:
            peer.close()
            peer = None
    if peer:
        peer.close()


def total_of(world, scenario, count):
    """All instructions of a process that served so many requests, and how often each ran that locks a cache line."""
    name, _, mode, request, connect_each, logged = scenario
    port = machine.free_port()
    ports = bench.Ports(port, world.tls_upstream() if mode == "mtls" else world.origin_port, "h2" if callable(request) else "h1",
                        "h2" if name in UPSTREAMS_OF_HTTP2 else "h1")
    config = proxies.envoy_yaml(mode, ports, world.certificates)
    if logged:
        config = config.replace("          codec_type: HTTP1\n", "          codec_type: HTTP1\n" + LOGGED)
    path = proxies.write(world.dir, "instructions.yaml", config)
    out = os.path.join(world.dir, "callgrind.out")
    process = machine.Process(["valgrind", "--tool=callgrind", "--dump-instr=yes", f"--callgrind-out-file={out}", world.pillion,
                               "run", "-c", path, "--concurrency", "1", "-l", "warning"], world.dir)
    world.processes.append(process)
    process.wait_port(port, 120)
    exchange(port, request, count, connect_each)
    process.stop(120)
    return callgrind.count(out, world.pillion)


def per_request(few, many):
    """Of a request: instructions, and those that lock a line.  Spinning while threads start and end is no part of it: its
    count does not grow with the requests."""
    grows = lambda address: abs(many[1][address] * FEW / (few[1].get(address, 0) * MANY + 1) - 1) < 0.05
    return (many[0] - few[0]) / (MANY - FEW), sum(times for address, times in many[1].items() if grows(address)) / MANY


def run(world, directory, names=None):
    if not shutil.which("valgrind"):
        raise SystemExit("bench/run --instructions needs valgrind")
    version = subprocess.run([world.pillion, "--version"], capture_output=True, text=True).stdout.strip().splitlines()[0]
    lines = []
    for scenario in (s for s in SCENARIOS if not names or s[0] in names):
        lines.append((*scenario[:2], *per_request(*(total_of(world, scenario, count) for count in (FEW, MANY)))))
        print("{:20} {:>10.0f} instructions per request, {:.0f} lock a line".format(scenario[0], *lines[-1][2:]), flush=True)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "instructions.md"), "w") as file:
        file.write("# Instructions per request\n\nWritten by `bench/run --instructions`: user-space instructions of the whole process as\n"
                   "callgrind counts them, from two runs whose number of requests differs.  They only go down.  The last column is how many\n"
                   "of them lock a cache line (prefix `lock`, `xchg` with memory).\n\n"
                   f"Of: {version}\n\n| scenario | what | instructions | of them locking |\n| --- | --- | ---: | ---: |\n")
        for line in lines:
            file.write("| {} | {} | {:.0f} | {:.0f} |\n".format(*line))
