#!/usr/bin/env python3
"""A mesh of 10,000 clusters by xDS: Pillion, and Envoy beside it on the same server.

    bench/run --xds                                   or bench/load/xds_scale.py, alone
    bench/load/xds_scale.py --sizes 1000,5000 --proxies pillion --protocols delta
    ENVOY=PATH bench/load/xds_scale.py                Envoy takes part if it is found

Prints a table for each protocol and writes bench/results/xds.md.  The server is xds-server/ (go-control-plane); see
there what it serves.  Meant for a machine that does nothing else; a quarter of an hour.
"""

import argparse
import datetime
import http.client
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))

import control_plane  # noqa: E402
import programs  # noqa: E402
import sidecar  # noqa: E402
import xds_turns  # noqa: E402

PUSHES = int(os.environ.get("PUSHES", "20"))  # of each kind; the CPU of one is their mean
DEADLINE = int(os.environ.get("DEADLINE", "180"))
TICKS = os.sysconf("SC_CLK_TCK")


def built_server():
    """Compiled once into the cache that the tests use."""
    interop = programs.INTEROP
    programs.INTEROP = os.path.join(ROOT, "bench", "load")
    try:
        return programs.built_go_module("xds-server")
    finally:
        programs.INTEROP = interop


class Origin(threading.Thread):
    """Answers 200; the probe and the readiness go there."""

    def __init__(self):
        super().__init__(daemon=True)
        binary = os.path.join(tempfile.gettempdir(), f"pillion-xds-origin-{os.getuid()}")
        source = os.path.join(ROOT, "bench", "load", "origin.cc")
        if not os.path.exists(binary) or os.path.getmtime(binary) < os.path.getmtime(source):
            subprocess.run(["c++", "-O2", "-std=c++20", "-pthread", "-o", binary, source], check=True)
        self.port = sidecar.free_port()
        self.process = subprocess.Popen([binary, str(self.port)])

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Server:
    """The control plane; lines() of what it has said."""

    def __init__(self, program, origin_port, size, is_linear):
        self.port = sidecar.free_port()
        listeners, chains = size.listeners // 2, size.listeners - size.listeners // 2
        numbers = [origin_port, self.port, size.clusters, size.endpoints, size.tables, size.routes // size.tables,
                   listeners, chains]
        linear = ["linear"] if is_linear else []
        self.process = subprocess.Popen([program, "serve", *map(str, numbers), *linear], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.address = self.wait("listens ").split()[1]

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def wait(self, beginning, since=0):
        def found():
            return next((line for line in self.lines[since:] if line.startswith(beginning)), None)
        return sidecar.until(lambda: f"{beginning!r} among {self.lines[-5:]}", found, DEADLINE)

    def say(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()

    def change(self, what, acknowledged):
        """Says it, and waits until the proxy has taken it."""
        since = len(self.lines)
        self.say(what)
        self.wait(f"ack {acknowledged}", since)

    def nacks(self):
        return [line for line in self.lines if line.startswith("nack ")]

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


class Size:
    """`bare`: clusters and endpoints alone, but for a listener and a table to find the origin by."""

    def __init__(self, clusters, options, bare=False):
        self.clusters, self.endpoints = clusters, options.endpoints
        # Of a table no two name the same cluster.
        self.routes = 1 if bare else min(max(10, options.routes * clusters // max(options.sizes)), 10 * clusters)
        self.listeners = 2 if bare else max(2, options.listeners * clusters // max(options.sizes))
        self.tables = 1 if bare else 10


class Proxy:
    def __init__(self, name, binary, server, delta):
        self.name = name
        self.directory = tempfile.TemporaryDirectory(prefix="xds-scale-")
        self.admin = sidecar.free_port()
        config = control_plane.bootstrap(server.address, fetch_timeout="0s")
        config["admin"] = {"address": sidecar.address(self.admin)}
        config["dynamic_resources"]["ads_config"]["api_type"] = "DELTA_GRPC" if delta else "GRPC"
        path = os.path.join(self.directory.name, "proxy.json")
        with open(path, "w") as file:
            json.dump(xds_turns.flushed(config), file)
        command = [binary, "run", "-c", path] if name == "pillion" else [binary, "-c", path, "--use-dynamic-base-id"]
        self.log = open(os.path.join(self.directory.name, "log"), "wb")
        self.process = subprocess.Popen([*command, "--concurrency", "2", "-l", "warning"], stdout=self.log,
                                        stderr=self.log, preexec_fn=lambda: sidecar.Sidecar._prepare_child(None))

    def get(self, port, path):
        return self.read(port, path)[0]

    def read(self, port, path):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            client.request("GET", path, headers={"host": "any"})
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            client.close()

    def serves(self, port):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended: {sidecar.read(self.log.name)[-2000:]}")
        return self.get(self.admin, "/ready") == 200 and self.get(port, "/") == 200

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", sidecar.read(f"/proc/{self.process.pid}/status")).group(1))

    def cpu(self):
        """Seconds, of threads that have ended too."""
        fields = sidecar.read(f"/proc/{self.process.pid}/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.directory.cleanup()


def settled_rss(proxy):
    """When it does not fall any more, or after some seconds."""
    least, end = proxy.rss_kib(), time.monotonic() + 8
    while time.monotonic() < end:
        time.sleep(0.5)
        least = min(least, proxy.rss_kib())
    return least


class Run:
    """One proxy with one size."""

    def __init__(self, name, binary, program, size, delta, is_linear=False):
        self.origin = Origin()
        self.program = program
        self.size = size
        self.server = Server(program, self.origin.port, size, is_linear)
        self.proxy = Proxy(name, binary, self.server, delta)
        self.turns = xds_turns.Turns(lambda path: self.proxy.read(self.proxy.admin, path)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proxy.stop()
        self.server.stop()
        self.origin.stop()

    def start(self):
        """Seconds from the first byte to serving."""
        def serves():
            if self.server.nacks():
                raise AssertionError(self.server.nacks()[0][:2000])
            if self.origin.process.poll() is not None:
                raise AssertionError("the origin has ended: its port was taken")
            return self.proxy.serves(self.server.port)
        sidecar.until(lambda: f"the proxy serves; it has said {self.server.lines[-5:]}", serves, DEADLINE)
        now = time.time_ns()
        return (now - int(self.server.wait("first ").split()[1])) / 1e9

    def cpu_of(self, what, acknowledged):
        """Milliseconds of the proxy for one such push: of other clusters and endpoints in turn, of one table and of the
        listener that binds."""
        time.sleep(0.5)
        begin = self.proxy.cpu()
        for number in range(PUSHES):
            self.server.change(f"{what} {number % self.size.clusters if what in ('cluster', 'endpoints') else 0}",
                               acknowledged)
        time.sleep(1)
        return (self.proxy.cpu() - begin) * 1000 / PUSHES

    def cpu_in_bulk(self):
        """Microseconds of all threads but workers for one set of endpoints, where many change at once."""
        sets = min(SETS, self.size.clusters)
        begin = xds_turns.thread_seconds(self.proxy.process.pid)["others"]
        for number in range(PUSHES):
            self.server.change(f"sets {sets} {number + 1}", "ClusterLoadAssignment")
        time.sleep(1)
        spent = xds_turns.thread_seconds(self.proxy.process.pid)["others"] - begin
        return spent / (PUSHES * sets) * 1e6

    def latency(self, seconds, during=None):
        probe = subprocess.Popen([self.program, "probe", f"127.0.0.1:{self.server.port}", str(seconds)],
                                 stdout=subprocess.PIPE, text=True)
        if during:
            during(time.monotonic() + seconds - 1)
        return json.loads(probe.communicate()[0]) | {"seconds": seconds}

    def push_for(self, changes):
        def push(end):
            number = 0
            while time.monotonic() < end:
                what, acknowledged = changes[number % len(changes)]
                number += 1
                self.server.change(f"{what} {number % self.size.clusters}", acknowledged)
        return push

    def loaded(self, seconds, updates=0):
        """Under the probe's load, with so many changes of endpoints a second: latencies, and the CPU seconds of the
        proxy's threads in a minute of it."""
        begin, since = xds_turns.thread_seconds(self.proxy.process.pid), len(self.server.lines)
        if updates:
            self.server.say(f"rate {updates} {seconds}")
        out = self.latency(seconds)
        end = xds_turns.thread_seconds(self.proxy.process.pid)
        out["cpu"] = {kind: (end[kind] - begin[kind]) * 60 / seconds for kind in end}
        if updates:
            self.server.wait("done rate", since)
            out["acks"] = sum(line == "ack ClusterLoadAssignment" for line in self.server.lines[since:])
        return out


KINDS = (("cluster", "Cluster"), ("routes", "RouteConfiguration"), ("endpoints", "ClusterLoadAssignment"),
         ("listener", "Listener"), ("add", "ClusterLoadAssignment"))
PHASES = (("quiet", "quiet"), ("small_pushes", "one cluster, one set of endpoints, in turns"),
          ("large_pushes", "everything changes, again and again"))
UPDATES = 100  # changes of endpoints a second
SETS = 1000  # of endpoints, that change at once


def measure_pushes(run, out):
    for what, acknowledged in KINDS:
        out[f"push_ms_{what}"] = run.cpu_of(what, acknowledged)
    with run.turns.phase("quiet"):
        out["quiet"] = run.latency(5)
    with run.turns.phase("small_pushes"):
        out["small_pushes"] = run.latency(10, run.push_for([KINDS[0], KINDS[2]]))
    with run.turns.phase("large_pushes"):
        out["large_pushes"] = run.latency(15, run.push_for([("all", "Cluster")]))


def measure(name, binary, program, options, delta):
    out = {}
    least, most = min(options.sizes), max(options.sizes)
    for clusters in sorted(options.sizes):
        print(f"{name}: {clusters} clusters", file=sys.stderr, flush=True)
        with Run(name, binary, program, Size(clusters, options), delta) as run:
            out[f"serving_s_{clusters}"] = run.start()
            run.turns.since_start("first_load")
            out[f"rss_mib_{clusters}"] = settled_rss(run.proxy) / 1024
            out[f"cpu_s_{clusters}"] = run.proxy.cpu()
            if clusters == most:
                measure_pushes(run, out)
                out["turns"] = {phase: run.turns.longest(phase) for phase in run.turns.phases}
    rss = {}
    for clusters in sorted(options.sizes):
        print(f"{name}: {clusters} clusters and endpoints alone", file=sys.stderr, flush=True)
        with Run(name, binary, program, Size(clusters, options, bare=True), delta) as run:
            run.start()
            rss[clusters] = settled_rss(run.proxy)
    if least != most:
        grown = out[f"rss_mib_{most}"] - out[f"rss_mib_{least}"]
        out["kib_per_cluster"] = grown * 1024 / (most - least)
        out["kib_per_bare_cluster"] = (rss[most] - rss[least]) / (most - least)
    print(f"{name}: {UPDATES} changes of endpoints a second", file=sys.stderr, flush=True)
    with Run(name, binary, program, Size(most, options), delta, is_linear=True) as run:
        run.start()
        time.sleep(1)
        out["us_in_bulk"] = run.cpu_in_bulk()
        out["without_updates"] = run.loaded(options.seconds // 2)
        with run.turns.phase("updates"):
            out["with_updates"] = run.loaded(options.seconds, UPDATES)
        out["turns"]["updates"] = run.turns.longest("updates")
    return out


def rows(options):
    most = max(options.sizes)
    for size in sorted(options.sizes):
        yield f"{size} clusters: first byte to serving", f"serving_s_{size}", "{:.2f} s"
        yield f"{size} clusters: CPU until then, and settled", f"cpu_s_{size}", "{:.2f} s"
        yield f"{size} clusters: RSS", f"rss_mib_{size}", "{:.1f} MiB"
    yield "RSS a cluster (difference), with endpoints, routes and listeners", "kib_per_cluster", "{:.2f} KiB"
    yield "RSS a cluster (difference), with endpoints alone", "kib_per_bare_cluster", "{:.2f} KiB"
    yield f"CPU of a push that changes one cluster of {most}", "push_ms_cluster", "{:.2f} ms"
    yield "CPU of a push that adds one cluster", "push_ms_add", "{:.2f} ms"
    yield f"CPU of a push that changes one of 10 route tables ({options.routes} routes)", "push_ms_routes", "{:.2f} ms"
    yield "CPU of a push that changes one set of endpoints", "push_ms_endpoints", "{:.2f} ms"
    yield f"CPU of a push that changes one filter chain of {options.listeners // 2}", "push_ms_listener", "{:.2f} ms"


def longest(turns, row):
    return f"{turns[row]:g}" if row in turns else "-"


def table(results, options):
    names = list(results)
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]

    def add(label, cell):
        lines.append(f"| {label} | " + " | ".join(cell(results[name]) for name in names) + " |")
    for label, key, form in rows(options):
        add(label, lambda result, key=key, form=form: form.format(result[key]) if key in result else "-")
    for key, label in PHASES:
        add(f"a request, p50 / p99 / worst: {label}", lambda result, key=key:
            "{p50_ms:.2f} / {p99_ms:.2f} / {max_ms:.2f} ms".format(**result[key]))
    for key, label in (("first_load", "first load"), *PHASES, ("updates", f"{UPDATES} changes of endpoints a second")):
        add(f"longest turn of a worker, at most: {label}", lambda result, key=key:
            f"{longest(result['turns'][key], 'worker')} ms ({longest(result['turns'][key], 'worker_cpu')})")
        add(f"longest turn of the main thread, at most: {label}", lambda result, key=key:
            f"{longest(result['turns'][key], 'main')} ms ({longest(result['turns'][key], 'main_cpu')})")
    for key, label in (("without_updates", "no updates"),
                       ("with_updates", f"{UPDATES} changes of endpoints a second")):
        add(f"{label}: p50 / p99 / worst, requests a second", lambda result, key=key:
            "{p50_ms:.2f} / {p99_ms:.2f} / {max_ms:.2f} ms, ".format(**result[key])
            + f"{result[key]['requests'] / result[key]['seconds']:.0f}")
        add(f"{label}: CPU a minute, workers + others", lambda result, key=key:
            "{workers:.1f} + {others:.1f} s".format(**result[key]["cpu"]))
    add("CPU that a change of endpoints adds, without workers, one at a time",
        lambda result: "{:.0f} us".format(added_us(result)))
    add(f"the same, {SETS} at once", lambda result: "{us_in_bulk:.0f} us".format(**result))
    return "\n".join(lines)


# Of workers too little to be told from that of requests, of which fewer come when the machine has more to do.
def added_us(result):
    others = {key: result[key]["cpu"]["others"] for key in ("without_updates", "with_updates")}
    return (others["with_updates"] - others["without_updates"]) / (60 * UPDATES) * 1e6


def find_envoy():
    try:
        return programs.find_envoy()
    except Exception as error:  # noqa: BLE001: without it the table has one column
        print(f"Envoy is left out: {error}", file=sys.stderr)
        return None


def find_pillion():
    built = os.path.join(ROOT, "build", "release", "pillion")
    return os.environ.get("PILLION") or (built if os.path.exists(built) else sidecar.find_pillion())


def run(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[1000, 10000])
    parser.add_argument("--endpoints", type=int, default=10)
    parser.add_argument("--routes", type=int, default=10000)
    parser.add_argument("--listeners", type=int, default=2000, help="half of them filter chains of one")
    parser.add_argument("--protocols", default="sotw,delta")
    parser.add_argument("--seconds", type=int, default=60, help="of updates of endpoints; half as long without")
    parser.add_argument("--proxies", default="pillion,envoy")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "results"))
    options = parser.parse_args(arguments)
    binaries = {"pillion": find_pillion(), "envoy": find_envoy() if "envoy" in options.proxies else None}
    program = built_server()
    text = ""
    for protocol in options.protocols.split(","):
        results = {}
        for name in options.proxies.split(","):
            if binaries[name]:
                results[name] = measure(name, binaries[name], program, options, protocol == "delta")
        title = "Delta" if protocol == "delta" else "State of the world"
        text += f"\n## {title}\n\n{table(results, options)}\n"
    print(text)
    os.makedirs(options.out, exist_ok=True)
    path = os.path.join(options.out, "xds.md")
    with open(path, "w") as file:
        file.write(f"# xDS at the scale of a mesh\n\n{datetime.date.today().isoformat()}; {platform.machine()}, "
                   f"{os.cpu_count()} CPUs, Linux {platform.release()}; go-control-plane's snapshot cache over ADS, two "
                   f"workers, {options.endpoints} endpoints a cluster, {options.routes} routes in 10 tables, "
                   f"{options.listeners // 2} listeners and {options.listeners - options.listeners // 2} filter chains "
                   f"at the largest size.  The changes of endpoints by the second come from its linear cache, and 8 "
                   f"connections with a request a millisecond are the load.  Turns are what the proxies count "
                   f"themselves (enable_dispatcher_stats): how long one lasted, while others had the core too, and in "
                   f"brackets for how long the thread ran; the bound of the histogram's bucket.  By `bench/run "
                   f"--xds`.\n{text}")
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    run()
