#!/usr/bin/env python3
"""HTTP/2 under attack: a proxy of one worker, an attacker as fast as its sockets take it, and two victims.

The victims (one of HTTP/1.1, one of HTTP/2) send a request every 5 ms throughout.  None of them may fail and the p99 of
each must stay under 50 ms (of an optimized build), counted from when a request was due: a stall counts for every
request that it delays, not once.  The attack must be counted as what it is, its connection ended with the right error,
and the proxy's memory must come back.
"""

import json
import os
import subprocess
import sys
import threading
import time
import unittest

import envoy_config as envoy
import h2_attacks
import programs
import sidecar
from h2_attacks import CLIENT, DATA, END_STREAM, GOAWAY, HEADERS, PREFACE, RST, UPSTREAM, frame, head, request
from peers import connect, get

SECONDS = 1.5 if programs.FULL else 0.6  # of each attack, by one connection and then by ten
# What is asserted by --full, on a machine that does nothing else.  Beside other work nobody can be held to it: there
# the victims' requests must go on, and none may wait for a second.  An unoptimized proxy does the same work in some
# four times the time; what has no bound takes much longer.
P99 = (0.05 if programs.FULL else 1) * (
    20 if sidecar.sanitized() else 4 if os.sep + "debug" + os.sep in sidecar.PILLION else 1)
MEMORY = 24 << 20  # that the proxy may have more than before the first attack, at last
PEAK = 96 << 20    # and at most (500 large responses that nobody takes)
LARGE = 1 << 20
STATUS_200 = b"\x88"  # RFC 7541, appendix A: ":status: 200" of the static table

NGINX = """
daemon off; master_process off; error_log stderr crit; pid nginx.pid; worker_rlimit_nofile 4096;
events {{ worker_connections 4000; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "ok"; }}
    location /large {{ alias large; }}
  }}
}}
"""


class Victim:
    """A request every 5 ms until stop(); their times from when they were due, and what went wrong."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.times = []
        self.failure = None
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        due = time.monotonic()
        try:
            while not self.ends.is_set():
                time.sleep(max(0, due - time.monotonic()))
                self.exchange()
                self.times.append(time.monotonic() - due)
                due += 0.005
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def stop(self):
        self.ends.set()
        self.thread.join()
        if self.failure:
            raise AssertionError(f"a victim's request failed: {self.failure!r}") from self.failure
        return self.times


class H2Client:
    """One request at a time on one connection."""

    def __init__(self, peer):
        self.peer, self.stream = peer, 1
        self.head = request("/victim")
        peer.send(PREFACE + frame(h2_attacks.SETTINGS))

    def exchange(self):
        self.peer.send(head(self.stream, self.head))
        while True:
            opening = self.peer.read(9)
            if len(opening) < 9:
                raise EOFError("the connection ended")
            payload = self.peer.read(int.from_bytes(opening[:3], "big"))
            kind, flags, stream = opening[3], opening[4], int.from_bytes(opening[5:], "big")
            if kind in (RST, GOAWAY):
                raise AssertionError(f"frame {kind}")
            if kind == HEADERS and stream == self.stream and payload[:1] != STATUS_200:
                raise AssertionError(f"not 200: {payload!r}")
            if kind in (DATA, HEADERS) and stream == self.stream and flags & END_STREAM:
                break
        self.stream += 2


def p99(victims):
    """Of the victim that fares worse."""
    return max(sorted(times)[len(times) * 99 // 100] for times in victims)


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        victims, origin = cls.origin(), cls.origin()
        sink = cls.attacker("sink")
        cls.port, cls.evil = sidecar.free_port(), sidecar.free_port()
        routes = [
            {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}},
            envoy.route("sink", "/sink"), envoy.route("evil", "/evil"), envoy.route("large", "/large"),
            envoy.route("victims", "/victim"), envoy.route()]
        cls.proxy = sidecar.start(cls, envoy.bootstrap(
            [envoy.http("in", cls.port, routes, log=False, codec_type="AUTO")],
            [envoy.cluster("victims", [victims]), envoy.cluster(ports=[origin]), envoy.cluster("large", [origin]), envoy.cluster("sink", [int(sink.stdout.readline())]),
             envoy.http_cluster(cls.evil, envoy.EXPLICIT_H2, "evil")]), flags=["--concurrency", "1"])
        cls.quiet = cls.measure(lambda: time.sleep(2))
        cls.rss = cls.proxy.rss()
        print(f"quiet: p99 {p99(cls.quiet) * 1000:.1f} ms of {sum(map(len, cls.quiet))} requests, "
              f"RSS {cls.rss / (1 << 20):.1f} MiB", file=sys.stderr)

    @classmethod
    def origin(cls):
        """A server of its own: what an attack does to the one behind the proxy is another matter."""
        port, directory = sidecar.free_port(), programs.folder(cls)
        with open(os.path.join(directory, "large"), "wb") as large:
            large.write(b"x" * LARGE)
        programs.Program(cls, [programs.find_debian("nginx", "nginx-light"), "-p", directory, "-c",
                               os.path.join(directory, "nginx.conf")],
                         {"nginx.conf": NGINX.format(port=port)}, port, directory)
        return port

    @classmethod
    def attacker(cls, *arguments):
        script = os.path.join(sidecar.ROOT, "tests", "support", "h2_attacks.py")
        process = subprocess.Popen([sys.executable, script, *map(str, arguments)], stdout=subprocess.PIPE, text=True)

        def end():
            process.kill()
            process.wait()
            process.stdout.close()
        cls.addClassCleanup(end)
        return process

    @classmethod
    def measure(cls, during):
        """The times of each victim while `during` runs."""
        h2 = H2Client(connect(cls, cls.port))
        h1 = connect(cls, cls.port)

        def ask_h1():
            answer = h1.exchange(get("/victim"))
            assert answer.status == 200, answer.first
        victims = [Victim(h2.exchange), Victim(ask_h1)]
        try:
            during()
        finally:
            times = [victim.stop() for victim in victims]
            for client in (h1, h2.peer):
                client.close()
        return times

    def attack(self, name, attack, run, prefix=""):
        """`run` is the attack; returns what the attacker saw."""
        before, seen, peak = self.proxy.stats(), {}, []

        def during():
            process = run()
            seen.clear()
            while process.poll() is None:
                peak.append(self.proxy.rss())
                time.sleep(0.1)
            seen.update(json.loads(process.stdout.read()))
        for left in (2, 1, 0):
            times = self.measure(during)
            if p99(times) < P99 or not left:
                break
            # Once more only if the machine is busy with something else: then it is slow without an attack too.
            quiet = p99(self.measure(lambda: time.sleep(0.5)))
            if quiet <= P99 / 2:
                break
            print(f"{name}: p99 {p99(times) * 1000:.1f} ms, but {quiet * 1000:.1f} ms without an attack: once more",
                  file=sys.stderr)
        after = self.proxy.stats()
        counted = {key: after[key] - before[key] for key in after
                   if after[key] != before[key] and ("flood" in key or "premature" in key or "http2.protocol" in key)}
        worst = p99(times)
        line = (f"{name}: p99 {worst * 1000:.1f} ms, max {max(map(max, times)) * 1000:.0f} ms, {sum(map(len, times))} requests, "
                f"{seen.get('connections')} connections, {seen.get('bytes', 0) / 1e6:.1f} MB, peak +"
                f"{(max(peak) - self.rss) / (1 << 20):.0f} MiB, {counted} {seen}")
        print(line, file=sys.stderr)
        self.assertLess(worst, P99, line)
        if not sidecar.sanitized():
            self.assertLess(max(peak) - self.rss, PEAK, line)
        if attack.counters:
            self.assertTrue([key for key in attack.counters if counted.get(prefix + key)], line)
        else:
            self.assertEqual([key for key in counted if key not in [prefix + may for may in attack.may]], [], line)
        return seen

    def settle(self):
        for name in ("http2.streams_active", "http.in.downstream_cx_http2_active", "http.in.downstream_rq_active"):
            self.proxy.wait_stat(name, 0)

    def by_clients(self, name):
        attack = CLIENT[name]
        for count in (1, 10):
            seen = self.attack(f"{name} x{count}", attack,
                               lambda n=count: self.attacker("client", self.port, name, n, SECONDS))
            if attack.counters:
                self.assertGreater(seen.get("ended", 0), 0, seen)
                if attack.reads:
                    codes = {key for key in seen if key.startswith("goaway")}
                    # A reset may overtake the GOAWAY, but not each time.
                    self.assertEqual(codes, {f"goaway {attack.code}"}, seen)
            self.assertGreaterEqual(seen.get("responses", 0), attack.requests, seen)
        self.settle()

    def by_upstream(self, name):
        attack = UPSTREAM[name]

        def run():
            process = self.attacker("upstream", self.evil, name, 2 * SECONDS)
            self.assertEqual(process.stdout.readline(), "listens\n")
            return process
        ends = threading.Event()

        def ask():
            while not ends.is_set():
                client = connect(self, self.port)
                try:
                    client.socket.settimeout(0.3)
                    client.send(get("/evil"))
                    client.read(1 << 16)
                except OSError:
                    pass
                client.close()
                time.sleep(0.02)
        thread = threading.Thread(target=ask)
        thread.start()
        try:
            self.attack("upstream " + name, attack, run, "cluster.evil.http2.")
        finally:
            ends.set()
            thread.join()
        self.settle()
        self.proxy.wait_stat("cluster.evil.http2.streams_active", 0)

    def test_zz_memory_comes_back(self):
        if sidecar.sanitized():
            return
        sidecar.until(lambda: f"RSS back: {self.rss / (1 << 20):.1f} before, {self.proxy.rss() / (1 << 20):.1f} MiB now",
                      lambda: self.proxy.rss() - self.rss < MEMORY)
        print(f"at last: RSS {self.proxy.rss() / (1 << 20):.1f} MiB", file=sys.stderr)


def _add_tests():
    for name in CLIENT:
        setattr(Attacks, f"test_a_client_{name}", lambda self, n=name: self.by_clients(n))
    for name in UPSTREAM:
        setattr(Attacks, f"test_an_upstream_{name}", lambda self, n=name: self.by_upstream(n))


_add_tests()

if __name__ == "__main__":
    unittest.main()
