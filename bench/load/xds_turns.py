"""How long the turns of a proxy's loops take, by its own histograms (enable_dispatcher_stats), and what its threads use.

    turns = Turns(read)            read(path) is a page of the admin interface
    with turns.phase("quiet"):     what happens in here
        ...
    turns.longest("quiet")         {"worker": 2.5, "worker_cpu": 1, "main": 5, "main_cpu": 5}: milliseconds, upper bounds

A turn's duration counts what others had the core for, its CPU time does not; Envoy tells the former only.
"""

import contextlib
import os
import re
import time

LINE = re.compile(r"^envoy_(listener_manager_worker|server)_dispatcher_loop_(duration|cpu)_us_bucket"
                  r"{(.*)} (\d+)", re.MULTILINE)
FLUSH = 1.5  # what Envoy's threads count is merged once a second, see flushed()


def flushed(config):
    """The bootstrap, with what this module needs."""
    return config | {"enable_dispatcher_stats": True, "stats_flush_interval": "1s"}


class Turns:
    def __init__(self, read):
        self.read = read
        self.phases = {}

    def _counts(self):
        """(row, bound in microseconds) -> turns that took no longer."""
        counts = {}
        for scope, what, labels, value in LINE.findall(self.read("/stats/prometheus?filter=dispatcher")):
            row = ("main" if scope == "server" else "worker") + ("_cpu" if what == "cpu" else "")
            bound = float(re.search(r'le="([^"]*)"', labels).group(1))
            counts[row, bound] = counts.get((row, bound), 0) + int(value)
        return counts

    @contextlib.contextmanager
    def phase(self, name):
        time.sleep(FLUSH)
        before = self._counts()
        yield
        time.sleep(FLUSH)
        after = self._counts()
        self.phases[name] = {key: value - before.get(key, 0) for key, value in after.items()}

    def since_start(self, name):
        time.sleep(FLUSH)
        self.phases[name] = self._counts()

    def longest(self, name):
        """Of each row the bound of the last bucket that has a turn, in milliseconds."""
        out = {}
        counts = self.phases[name]
        for row in {row for row, _ in counts}:
            bounds = sorted(bound for r, bound in counts if r == row)
            total = counts[row, bounds[-1]]
            out[row] = next(bound for bound in bounds if counts[row, bound] == total) / 1000
        return out


def thread_seconds(pid):
    """CPU seconds of workers, and of all other threads that live."""
    out = {"workers": 0.0, "others": 0.0}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/stat") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        fields = text.rpartition(")")[2].split()
        is_worker = name.startswith(("worker-", "wrk:"))
        out["workers" if is_worker else "others"] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return out
