#!/usr/bin/env python3
"""The demo's `users` sidecar when nobody calls it: what it weighs, and that it sleeps."""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import sidecar

RETAIL = os.path.join(sidecar.ROOT, "deploy", "examples", "retail")
SETTLED = 10         # seconds from ready to the measurement of memory
WATCHED = 3          # seconds in which nothing may happen
MOST_PSS = 7 << 20   # bytes (issue 3, section 10)
MOST_CPU = 0.0002    # share of one CPU


def make_certificates(directory):
    """As the demo has them: by `pillion ca`, beside the configuration."""
    certs = os.path.join(directory, "certs")
    ca = [sidecar.PILLION, "ca"]
    run = lambda *arguments: subprocess.run(ca + list(arguments), check=True, capture_output=True, timeout=30)
    run("init", "--dir", certs, "--trust-domain", "mesh.local")
    run("issue", "--dir", certs, "--spiffe", "spiffe://mesh.local/ns/shop/sa/users",
        "--out-cert", os.path.join(certs, "workload.crt"), "--out-key", os.path.join(certs, "workload.key"))


def users_config():
    """deploy/examples/retail/users.yaml with ports that are free, and without the capture rules of a pod."""
    with open(os.path.join(RETAIL, "users.yaml")) as file:
        text = file.read()
    text = text.replace("capture: redirect", "capture: off").replace("127.0.0.1:15000", "127.0.0.1:ADMIN_PORT")
    for port in ("0.0.0.0:15006", "0.0.0.0:15090", "127.0.0.1:8080"):
        text = text.replace(port, f"127.0.0.1:{sidecar.free_port()}")
    return text


def rollup(pid):
    """Fields of smaps_rollup in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return {name: int(kb) * 1024 for name, kb in re.findall(r"^(\w+): +(\d+) kB", file.read(), re.M)}


def wake_ups(pid):
    """Thread name -> how often it went to sleep, and so woke, of its own."""
    counts = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            status = dict(line.split(":", 1) for line in file.read().splitlines())
        counts[f"{status['Name'].strip()}-{task}"] = int(status["voluntary_ctxt_switches"])
    return counts


def cpu_seconds(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


class Idle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if sidecar.sanitized():
            raise unittest.SkipTest("a sanitizer has memory and a thread of its own")
        directory = tempfile.mkdtemp(prefix="pillion-idle-")
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        make_certificates(directory)
        cls.proxy = sidecar.start(cls, users_config(), directory=directory, flags=["--concurrency", "1"])
        cls.pid = cls.proxy.process.pid
        # That nothing happens can only be watched for a while.
        time.sleep(SETTLED)

    def test_memory_ten_seconds_after_ready(self):
        memory = rollup(self.pid)
        print(f"idle sidecar: PSS {memory['Pss'] / 2**20:.2f} MiB, RSS {memory['Rss'] / 2**20:.2f} MiB, "
              f"dirty {memory['Private_Dirty'] / 2**20:.2f} MiB")
        self.assertLessEqual(memory["Pss"], MOST_PSS)

    def test_nothing_wakes_an_idle_process(self):
        before, cpu = wake_ups(self.pid), cpu_seconds(self.pid)
        time.sleep(WATCHED)
        after, cpu = wake_ups(self.pid), cpu_seconds(self.pid) - cpu
        woken = {name: after[name] - before[name] for name in before if after[name] != before[name]}
        self.assertEqual(woken, {})
        self.assertLessEqual(cpu / WATCHED, MOST_CPU)

    def test_it_sleeps_again_after_a_scrape(self):
        # What a scrape sets going (caches, date, timers of its connection) ends.
        self.proxy.stats()
        sidecar.until("asleep again", lambda: self.is_quiet_for(1))

    def is_quiet_for(self, seconds):
        before = wake_ups(self.pid)
        time.sleep(seconds)
        return wake_ups(self.pid) == before


if __name__ == "__main__":
    unittest.main(verbosity=2)
