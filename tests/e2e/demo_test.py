#!/usr/bin/env python3
"""The demo of deploy/quickstart, as a user runs it: its story, its ends, and that nothing is left.

PILLION names the binary; without it the newest of build/*/pillion is taken.  One demo can run at a
time on a machine.
"""

import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import prometheus
from sidecar import until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUICKSTART = os.path.join(ROOT, "deploy", "quickstart")
DEADLINE = 180  # seconds; a run takes about twenty


def find_pillion():
    built = glob.glob(os.path.join(ROOT, "build", "*", "pillion"))
    return os.environ.get("PILLION") or max(built, key=os.path.getmtime, default=None)


PILLION = find_pillion()


def have_namespaces():
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        return False
    name = f"demo-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    return made


def heed_control_c():
    """Who is started in the background by a script inherits that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        # Beneath a folder that every user may enter: services and sidecars are not root.
        self.above = tempfile.mkdtemp(dir="/var/tmp")
        os.chmod(self.above, 0o755)
        self.dir = os.path.join(self.above, "run")
        self.addCleanup(shutil.rmtree, self.above, ignore_errors=True)
        self.addCleanup(self.quickstart, "--stop", check=False)

    def environment(self, **more):
        return os.environ | {"PILLION": PILLION or "", "PILLION_DEMO_DIR": self.dir} | more

    def quickstart(self, *arguments, check=True, **environment):
        result = subprocess.run([QUICKSTART, *arguments], capture_output=True, text=True,
                                timeout=DEADLINE, env=self.environment(**environment))
        if check:
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def begin(self, *arguments, until):
        """A run in the background, once it has printed `until`."""
        process = subprocess.Popen([QUICKSTART, *arguments], stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.STDOUT, env=self.environment(),
                                   start_new_session=True, preexec_fn=heed_control_c)
        self.addCleanup(process.stdout.close)
        for line in process.stdout:
            if until in line:
                return process
        self.fail(f"it never said {until!r}")

    def namespaces(self):
        if not shutil.which("ip"):
            return []
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True)
        return [line.split()[0] for line in listed.stdout.splitlines()
                if line.startswith("pillion-")]

    def processes(self):
        """Those that name a file of this run on their command line."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    if self.dir.encode() in file.read():
                        found.append(path)
            except OSError:
                pass  # ended meanwhile
        return found

    def assert_nothing_is_left(self):
        self.assertEqual(self.namespaces(), [])
        self.assertEqual(self.processes(), [])
        self.assertFalse(os.path.exists(self.dir))
        self.assertFalse(os.path.exists("/etc/netns/pillion-customer"))

    def assert_story(self, told):
        for part in ('"name": "Grace"',
                     "URI=spiffe://mesh.local/ns/shop/sa/customer",
                     '"discount_percent"',
                     "users client: GET inbound|app 200",
                     "Refused: users' sidecar wants TLS.",
                     "cause=consecutive_5xx",
                     "ejected host is back: cluster=users",
                     "32 200",
                     "8 503",
                     "users-2 is back.",
                     "Taken without a lost request.",
                     "did you mean",
                     'envoy_cluster_name="users"',
                     "== That was Pillion",
                     "Cleaned up."):
            self.assertIn(part, told)
        loads = [line for line in told.splitlines() if '"answers"' in line]
        self.assertEqual(len(loads), 7)  # an ejection, a death, a change, after it; 10 % canary, 50 %, a fault
        for load in loads[:6]:
            self.assertIn('"errors": 0', load)
        self.assertIn("users-3", loads[2])
        self.assertNotIn("users-3", loads[3])
        self.assertIn("users-3", loads[5])
        self.assertIn("418 fault filter abort", loads[6])


class Story(Demo):
    @unittest.skipUnless(have_namespaces(), "needs root, ip, nft and network namespaces")
    def test_in_namespaces_it_is_as_told_and_nothing_is_left(self):
        told = self.quickstart().stdout
        self.assert_story(told)
        self.assertIn("Namespaces pillion-net", told)
        self.assert_nothing_is_left()

    def test_on_loopback_it_is_as_told_and_nothing_is_left_and_prometheus_saw_it(self):
        customer, users = "127.0.0.1:15190", "127.0.0.1:15290"  # their metrics, in loopback.sh
        watcher = prometheus.start(self, [customer, users])
        told = self.quickstart("--loopback").stdout
        self.assert_story(told)
        self.assert_nothing_is_left()
        self.assertEqual(watcher.query("max_over_time(up[10m])"), {customer: 1, users: 1})
        seen = {name: watcher.query(f'max_over_time({name}{{envoy_cluster_name="users"}}[10m])')[customer]
                for name in ("envoy_cluster_upstream_rq_total", "envoy_cluster_outlier_detection_ejections_active",
                             "envoy_cluster_upstream_rq_active_overflow", "envoy_cluster_ssl_handshake")}
        self.assertGreater(seen["envoy_cluster_upstream_rq_total"], 1000)
        self.assertGreater(seen["envoy_cluster_ssl_handshake"], 0)
        self.assertGreaterEqual(seen["envoy_cluster_outlier_detection_ejections_active"], 1)
        self.assertEqual(seen["envoy_cluster_upstream_rq_active_overflow"], 8)
        until("the sidecars are gone", lambda: watcher.query("up") == {customer: 0, users: 0})


class Ends(Demo):
    def test_a_kept_one_can_be_called_until_it_is_stopped(self):
        told = self.quickstart("--loopback", "--keep").stdout
        command = next(line for line in told.splitlines() if "/customers/7/profile" in line
                       and line.startswith("  curl")).split()
        self.assertIn('"served_by": "customer"', subprocess.check_output(command, text=True))

        again = self.quickstart("--loopback", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertEqual(again.stderr, "quickstart: it is running already "
                                       "(end it with deploy/quickstart --stop)\n")

        self.assertEqual(self.quickstart("--stop").stdout, "Stopped.\n")
        self.assert_nothing_is_left()

    def test_control_c_in_the_middle_cleans_up(self):
        process = self.begin(until="A replica dies under load")
        while process.poll() is None:  # an impatient user: again, while it cleans up
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.1)
        rest = process.stdout.read()
        self.assertEqual(process.wait(DEADLINE), 130)
        self.assertTrue(rest.endswith("Cleaned up.\n"), rest)
        self.assert_nothing_is_left()

    def test_what_a_killed_run_left_is_cleaned_up_by_the_next(self):
        process = self.begin(until="A call through both sidecars")
        process.kill()
        process.wait()
        self.assertNotEqual(self.processes(), [])
        self.assert_story(self.quickstart().stdout)
        self.assert_nothing_is_left()

    def test_a_second_run_at_the_same_time_is_refused(self):
        process = self.begin(until="A call through both sidecars")
        second = self.quickstart(check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"another quickstart is running (process {process.pid})", second.stderr)
        process.terminate()
        process.stdout.read()
        self.assertEqual(process.wait(DEADLINE), 143)
        self.assert_nothing_is_left()


class Errors(Demo):
    def test_what_is_wrong_is_one_line(self):
        for arguments, environment, said in (
                (["--kept"], {}, "quickstart: unknown option --kept (see --help)\n"),
                (["--stop"], {}, "quickstart: nothing is running\n"),
                ([], {"PILLION": "/no/such"}, "quickstart: PILLION=/no/such is no program\n")):
            with self.subTest(arguments=arguments):
                result = self.quickstart(*arguments, check=False, **environment)
                self.assertEqual((result.returncode, result.stderr), (1, said))

    def test_where_its_folder_cannot_be_made_nothing_is_said_to_be_cleaned_up(self):
        result = self.quickstart("--loopback", check=False, PILLION_DEMO_DIR="/proc/no-such")
        self.assertEqual(result.returncode, 1)
        self.assertIn("PILLION_DEMO_DIR", result.stderr)
        self.assertNotIn("Cleaned up.", result.stdout)


def setUpModule():
    if not PILLION:
        raise unittest.SkipTest("no pillion binary: build one, or name it in PILLION")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
