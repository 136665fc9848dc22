"""One measurement: an origin, a proxy in front of it, a load, and what the proxy paid."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

import guards
import machine
import proxies

HERE = os.path.dirname(os.path.abspath(__file__))
SPIFFE = "spiffe://mesh.local/ns/shop/sa/"


@dataclass
class Ports:
    proxy: int
    upstream: int
    down: str = "h1"   # what clients speak to `proxy`
    up: str = "h1"     # what `upstream` speaks
    filters: str = ""  # of HTTP, in front of the router: Envoy's configuration


class World:
    """The origin, certificates and a folder for files, for as long as a `with` block."""

    def __init__(self, pillion):
        self.pillion = pillion
        self.proxy_cpus, self.other_cpus = machine.cpu_sets()
        self.processes = []

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="pillion-bench-")
        os.chmod(self.dir, 0o755)  # workers of nginx are another user
        self.origin_port = machine.free_port()
        binary = os.path.join(self.dir, "origin")
        compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("clang++")
        subprocess.run([compiler, "-std=c++20", "-O2", os.path.join(HERE, "origin.cc"), "-o", binary], check=True)
        self.start([binary, str(self.origin_port)], self.origin_port)
        self.certificates = self.make_certificates()
        self.tls_port = None
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, command, port, cpus=None):
        process = machine.Process(command, self.dir, cpus or self.other_cpus)
        self.processes.append(process)
        return process.wait_port(port)

    def make_certificates(self):
        ca = os.path.join(self.dir, "ca")
        file = lambda name: os.path.join(self.dir, name)
        run = lambda *a: subprocess.run([self.pillion, "ca", *a], check=True, capture_output=True)
        run("init", "--dir", ca, "--trust-domain", "mesh.local")
        for name in ("users", "customer"):
            run("issue", "--dir", ca, "--spiffe", SPIFFE + name, "--dns", f"{name}.shop",
                "--out-cert", file(f"{name}.crt"), "--out-key", file(f"{name}.key"))
        with open(file("customer.pem"), "w") as pem:
            for part in ("customer.crt", "customer.key"):
                with open(file(part)) as source:
                    pem.write(source.read())
        return {"ca": os.path.join(ca, "ca.crt"), "crt": file("customer.crt"), "key": file("customer.key"),
                "pem": file("customer.pem")}

    def tls_upstream(self):
        """A port that asks for a certificate and forwards to the origin: Pillion's inbound side."""
        if self.tls_port is None:
            self.tls_port = machine.free_port()
            config = (f"workload: {{ name: users, namespace: shop, trust_domain: mesh.local, certificates: {{ files: {{ cert: users.crt,"
                      f" key: users.key, ca: ca/ca.crt }} }} }}\ninbound: {{ listen: '127.0.0.1:{self.tls_port}', capture: off,"
                      f" mtls: strict, app: '127.0.0.1:{self.origin_port}' }}\n")
            path = proxies.write(self.dir, "upstream.yaml", config)
            self.start([self.pillion, "run", "-c", path, "--concurrency", "1", "-l", "warning"], self.tls_port)
        return self.tls_port

    def start_proxy(self, name, binary, workload, filters=""):
        mode = workload.mode
        ports = Ports(machine.free_port(), self.tls_upstream() if mode == "mtls" else self.origin_port, workload.down, workload.up,
                      filters)
        directory = os.path.join(self.dir, name)
        os.makedirs(directory, exist_ok=True)
        process = machine.Process(proxies.ALL[name](binary, mode, ports, self.certificates, directory), directory, self.proxy_cpus)
        self.processes.append(process)
        return process.wait_port(ports.proxy), ports


def by_h2load(world, process, url, workload, seconds):
    options = [f"-m{workload.streams}"]
    if workload.post:
        options += ["-d", proxies.write(world.dir, "message", "\0\0\0\0\x7f" + "m" * (workload.post - 5))]
    if workload.grpc:
        options += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    load = lambda time: machine.h2load(url + workload.path, workload.connections, time, options, world.other_cpus)
    load(1)  # warm
    before = process.cpu_seconds()
    result = load(seconds)
    cpu = process.cpu_seconds() - before
    return {"cpu_us": cpu * 1e6 / result["requests"], "requests_per_second": result["requests"] / result["seconds"],
            "failed": result["failed"]}


def measure(world, name, binary, workload, seconds):
    if reason := proxies.cannot(name, workload):
        raise RuntimeError(reason)
    guard = guards.ALL[workload.guard]() if workload.guard else None
    process, ports = world.start_proxy(name, binary, workload, guard.filters if guard else "")
    try:
        if guard:
            guards.check(guard, ports.proxy, workload.path)
        url = f"http://127.0.0.1:{ports.proxy}"
        if workload.kind == "h2load":
            return by_h2load(world, process, url, workload, seconds)
        if workload.kind == "bulk":
            before = process.cpu_seconds()
            total, took = machine.drain_bytes(ports.proxy, workload.path, workload.connections, seconds)
            cpu = process.cpu_seconds() - before
            return {"gbit_per_cpu_second": total * 8 / 1e9 / max(cpu, 1 / machine.TICK), "gbit_per_second": total * 8 / 1e9 / took}
        script = None
        if workload.post:
            script = proxies.write(world.dir, "post.lua",
                                   f'wrk.method = "POST"\nwrk.body = string.rep("p", {workload.post})\n')
        if guard:
            script = proxies.write(world.dir, "headers.lua", guards.script(guard, os.path.join(world.dir, "headers.txt")))
        headers = ["Connection: close"] if workload.close else []
        load = lambda path, connections, time, use=None: machine.wrk(url + path, connections, time, use, headers, world.other_cpus)
        machine.wrk_result(load(workload.path, workload.connections, 1, script))  # warm
        big = load("/b/10485760", 4, seconds + 1) if workload.kind == "mixed" else None
        before = process.cpu_seconds()
        result = machine.wrk_result(load(workload.path, workload.connections, seconds, script))
        cpu = process.cpu_seconds() - before
        if big:
            result["large_per_second"] = machine.wrk_result(big)["requests"] / (seconds + 1)
        else:
            result["cpu_us"] = cpu * 1e6 / max(result["requests"], 1)
        result["requests_per_second"] = result["requests"] / result["seconds"]
        if shutil.which("h2load") and workload.name == "small":
            other = machine.h2load(url + workload.path, workload.connections, seconds, cpus=world.other_cpus)
            result["h2load_requests_per_second"] = other["requests"] / other["seconds"]
            result["failed"] += other["failed"]
        return result
    finally:
        process.stop()
