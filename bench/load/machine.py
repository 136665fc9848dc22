"""Processes, CPU time, ports, and what one run of a load generator says."""

import os
import re
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_sets():
    """(CPUs of the proxy, CPUs of the rest): apart if the machine has two."""
    cpus = sorted(os.sched_getaffinity(0))
    return ({cpus[0]}, set(cpus[1:])) if len(cpus) > 1 else (set(cpus), set(cpus))


class Process:
    """A child, in a session of its own so that its whole tree ends with it."""

    def __init__(self, command, directory, cpus=None, environment=None):
        self.log_path = os.path.join(directory, os.path.basename(command[0]) + ".log")
        self.log = open(self.log_path, "ab")
        pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=directory,
                                      start_new_session=True, preexec_fn=pin, env=environment)

    def tree(self):
        """Ids of the process and its descendants."""
        parents = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parents.setdefault(int(stat.read().rpartition(")")[2].split()[1]), []).append(int(entry))
            except OSError:
                continue
        found = [self.child.pid]
        for pid in found:
            found.extend(parents.get(pid, []))
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.tree():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
            except OSError:
                continue
        return ticks / TICK

    def wait_port(self, port, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.child.args[0]} ended: {self.log_text()[-800:]}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return self
            time.sleep(0.02)
        raise RuntimeError(f"{self.child.args[0]} does not listen on {port}: {self.log_text()[-800:]}")

    def log_text(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def stop(self, seconds=10):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.child.poll() is None:
                try:
                    os.killpg(self.child.pid, number)
                    self.child.wait(seconds)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
        self.log.close()


_UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * _UNITS[unit]


def wrk(url, connections, seconds, script=None, headers=(), cpus=None):
    """A running wrk; wrk_result() waits for it."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    if script:
        command += ["-s", script]
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    return subprocess.Popen(command + [url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=pin)


def wrk_result(process):
    text = process.communicate()[0]
    requests = re.search(r"(\d+) requests in ([\d.]+\w+)", text)
    if not requests:
        raise RuntimeError(f"wrk said: {text.strip()}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    quantile = lambda percent: microseconds(re.search(rf"^\s+{percent}%\s+(\S+)", text, re.M).group(1))
    return {
        "requests": int(requests.group(1)), "seconds": microseconds(requests.group(2)) / 1e6,
        "p50_us": quantile(50), "p99_us": quantile(99),
        "failed": int(bad.group(1) if bad else 0), "socket_errors": sum(map(int, errors.groups())) if errors else 0,
    }


def h2load(url, connections, seconds, options=("--h1",), cpus=None):
    command = ["h2load", "-t1", f"-c{connections}", "-D", str(seconds), *options]
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    text = subprocess.run(command + [url], capture_output=True, text=True, preexec_fn=pin, check=True).stdout
    found = re.search(r"(\d+) succeeded, (\d+) failed", text)
    if not found or not int(found.group(1)):
        raise RuntimeError(f"h2load said: {text.strip()[-500:]}")
    return {"requests": int(found.group(1)), "failed": int(found.group(2)), "seconds": float(seconds)}


def drain_bytes(port, path, connections, seconds):
    """TCP bulk: takes all that comes and drops it in the kernel; (bytes, seconds)."""
    sockets = []
    for _ in range(connections):
        peer = socket.create_connection(("127.0.0.1", port))
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: bulk\r\n\r\n".encode())
        peer.setblocking(False)
        sockets.append(peer)
    begin, total, room = time.monotonic(), 0, bytearray(1 << 20)
    while (now := time.monotonic()) - begin < seconds:
        for peer in sockets:
            try:
                total += peer.recv_into(room, 0, socket.MSG_TRUNC)
            except BlockingIOError:
                pass
    for peer in sockets:
        peer.close()
    return total, now - begin
