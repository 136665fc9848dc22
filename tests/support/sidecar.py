"""One Pillion process under test: started with a configuration, watched, asked, and always stopped.

    proxy = sidecar.start(test, envoy_config.bootstrap(...))     # a dict, or YAML text
    proxy.stats()["http.in.downstream_rq_total"]

PILLION names the binary (also one with sanitizers); without it the newest of build/*/pillion is taken.
A proxy that dies by a signal, with an error or with a sanitizer's report fails the test that started it,
with the end of its log.  It never outlives this process: the kernel ends it when its parent dies.
"""

import atexit
import ctypes
import glob
import http.client
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE = 30  # seconds, of every wait
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_running = set()


def find_pillion():
    built = glob.glob(os.path.join(ROOT, "build", "*", "pillion"))
    return os.environ.get("PILLION") or max(built, key=os.path.getmtime, default=None)


PILLION = find_pillion()


def sanitized():
    """Whether the binary is instrumented: then memory and time say nothing."""
    with open(PILLION, "rb") as binary:
        data = binary.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def until(what, condition, seconds=DEADLINE):
    """Waits until condition() is true and returns it; fails with `what` (text, or a function) after the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


_given = set()


def free_port():
    """Below the ephemeral range, so that no client's port collides with it; never one twice in this process, for it may
    not be listened on yet."""
    while True:
        port = random.randrange(11000, 32000)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Sidecar:
    """A process; `flags` go behind `pillion run -c FILE`, `prefix` is a command that runs it (setpriv ...)."""

    def __init__(self, config, flags=(), nofile=None, name="proxy.yaml", directory=None, prefix=(), uid=None):
        self.admin_port = free_port()
        self.dir = directory or tempfile.mkdtemp(prefix="pillion-test-")
        self.own_dir = directory is None
        self.path = os.path.join(self.dir, name)
        self.exit_code = None
        if uid is not None:
            os.chown(self.dir, uid, -1)
        if config is not None:
            self.write(config)
        log = open(os.path.join(self.dir, "log"), "ab")
        command = [*prefix, PILLION, "run", "-c", self.path, "--file-flush-interval-msec", "20", *flags]
        self.process = subprocess.Popen(command, stderr=log, stdout=log, stdin=subprocess.DEVNULL, cwd=self.dir,
                                        preexec_fn=lambda: self._prepare_child(nofile))
        log.close()
        _running.add(self)

    @staticmethod
    def _prepare_child(nofile):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

    def text_of(self, config):
        if isinstance(config, str):
            return config.replace("ADMIN_PORT", str(self.admin_port))
        config = {"admin": {"address": address(self.admin_port)}} | config
        return json.dumps(config, indent=1)

    def write(self, config):
        """Puts a new configuration in place, by rename as editors and tools do."""
        temporary = self.path + ".new"
        with open(temporary, "w") as out:
            out.write(self.text_of(config))
        os.rename(temporary, self.path)

    # ---- the process ----

    def wait_ready(self):
        until(lambda: f"ready; log:\n{self.log_tail()}", self._is_ready)
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"exited with {self.process.returncode} before it was ready:\n{self.log_tail()}")
        try:
            return self.get("/ready")[0] == 200
        except OSError:
            return False

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=DEADLINE):
        self.exit_code = self.process.wait(seconds)
        return self.exit_code

    def stop(self, check=True):
        """Ends the process and says what was wrong with its life."""
        if self not in _running:
            return
        died = self.process.poll()
        try:
            for _ in range(2):
                if self.process.poll() is None:
                    self.process.send_signal(signal.SIGTERM)
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            died = "not ended by two SIGTERM"
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            _running.discard(self)
            log = self.log_text()
            if self.own_dir and not os.environ.get("PILLION_TEST_KEEP"):
                shutil.rmtree(self.dir, ignore_errors=True)
        expected = self.exit_code is not None
        if not check:
            return
        if (died is not None and not expected) or self.process.returncode < 0 or "Sanitizer" in log or (
                self.process.returncode != 0 and not expected):
            raise AssertionError(f"the proxy ended badly (exit {died}, {self.process.returncode}):\n{log[-6000:]}")

    def log_text(self):
        return read(os.path.join(self.dir, "log"))

    def log_tail(self):
        return self.log_text()[-4000:]

    def wait_log(self, text, count=1):
        until(lambda: f"log with {text!r}:\n{self.log_tail()}", lambda: self.log_text().count(text) >= count)

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    # ---- the admin listener ----

    def get(self, path, method="GET"):
        """(status, text)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def post(self, path):
        return self.get(path, "POST")

    def json(self, path):
        return json.loads(self.get(path)[1])

    def stats(self):
        """Counters and gauges by name; 0 for what was never counted."""
        out = Counters()
        for line in self.get("/stats")[1].splitlines():
            name, _, value = line.partition(": ")
            if value.isdigit():
                out[name] = int(value)
        return out

    def wait_stat(self, name, value):
        """Until the counter has this value (or, for a function, satisfies it)."""
        fits = value if callable(value) else lambda found: found == value
        last = {}

        def look():
            last["value"] = self.stats()[name]
            return fits(last["value"])

        until(lambda: f"{name} is {last['value']}, not {value}\n{self.log_tail()}", look)

    # ---- its access log ----

    def access_log(self):
        """The lines so far, as JSON or as text."""
        path = os.path.join(self.dir, "access.log")
        if not os.path.exists(path):
            return []
        return [json.loads(line) if line.startswith("{") else line for line in read(path).split("\n")[:-1]]

    def wait_access_log(self, count):
        until(lambda: f"{count} access log lines, have {self.access_log()}", lambda: len(self.access_log()) >= count)
        return self.access_log()


class Counters(dict):
    def __missing__(self, _):
        return 0


def address(port, host="127.0.0.1"):
    return {"socket_address": {"address": host, "port_value": port}}


def start(test, config, **options):
    """A running, ready proxy; it ends with `test` (a TestCase, or a TestCase class for all its tests)."""
    proxy = Sidecar(config, **options)
    add_cleanup = test.addClassCleanup if isinstance(test, type) else test.addCleanup
    add_cleanup(proxy.stop)
    return proxy.wait_ready()


def explain(proxy, *words):
    """The lines of `pillion explain --admin` about a request to a proxy that runs."""
    run = subprocess.run([PILLION, "explain", "--admin", f"http://127.0.0.1:{proxy.admin_port}", *words],
                         capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        raise AssertionError(run.stdout + run.stderr)
    return run.stdout.splitlines()


@atexit.register
def _stop_all():
    for proxy in list(_running):
        proxy.stop(check=False)
