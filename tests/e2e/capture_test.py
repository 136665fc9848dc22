#!/usr/bin/env python3
"""`pillion capture` in real network namespaces: who is redirected, who is left alone, what is left.

Two namespaces, a pod and a peer, joined by a veth pair with IPv4 and IPv6.  Sockets are made inside
them from this one process: the thread enters a namespace, makes the socket and comes back.
PILLION names the binary; without it the newest of build/*/pillion is taken.  Needs root.
"""

import contextlib
import ctypes
import glob
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SO_ORIGINAL_DST = 80  # the same number in linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h

POD, PEER = f"plc{os.getpid()}-pod", f"plc{os.getpid()}-peer"
ADDRESS = {
    POD: {socket.AF_INET: "10.99.0.1", socket.AF_INET6: "fd99::1"},
    PEER: {socket.AF_INET: "10.99.0.2", socket.AF_INET6: "fd99::2"},
}
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
APP_UID, SIDECAR_UID = 1000, 1337
INBOUND, OUTBOUND, APP, METRICS = 15006, 15001, 8080, 15090
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def find_pillion():
    built = glob.glob(os.path.join(ROOT, "build", "*", "pillion"))
    return os.environ.get("PILLION") or max(built, key=os.path.getmtime, default=None)


PILLION = find_pillion()


def run(*command, check=True, **options):
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result


def in_pod(*command, **options):
    return run("ip", "netns", "exec", POD, *command, **options)


def capture(*arguments, **options):
    return in_pod(PILLION, "capture", *arguments, **options)


@contextlib.contextmanager
def namespace(name):
    """This thread works inside network namespace `name`."""
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{name}") as there:
        if LIBC.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            LIBC.setns(home.fileno(), CLONE_NEWNET)


@contextlib.contextmanager
def user(uid):
    """Sockets made here belong to `uid`: what the rules ask about."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def original_destination(connection):
    """Where the client meant to go, as the sidecar will ask."""
    if connection.family == socket.AF_INET:
        raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
        port, packed = struct.unpack("!2xH4s8x", raw)
    else:
        raw = connection.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        port, packed = struct.unpack("!2xH4x16s4x", raw)
    return str(ipaddress.ip_address(packed)), port


class Namespaces(unittest.TestCase):
    def setUp(self):
        self.addCleanup(self.drop_namespaces)
        run("ip", "netns", "add", POD)
        run("ip", "netns", "add", PEER)
        run("ip", "-n", POD, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
            "netns", PEER)
        for name in (POD, PEER):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "address", "add", ADDRESS[name][socket.AF_INET] + "/24",
                "dev", "eth0")
            run("ip", "-n", name, "address", "add", ADDRESS[name][socket.AF_INET6] + "/64",
                "dev", "eth0", "nodad")

    @staticmethod
    def drop_namespaces():
        for name in (POD, PEER):
            run("ip", "netns", "delete", name, check=False)

    def listen(self, name, family, address, port):
        with namespace(name):
            listener = socket.socket(family)
        self.addCleanup(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen()
        listener.settimeout(5)
        return listener

    def connect(self, name, family, to, uid=APP_UID, source=None):
        with namespace(name), user(uid):
            client = socket.socket(family)
        self.addCleanup(client.close)
        client.settimeout(5)
        if source:
            client.bind((source, 0))
        client.connect(to)
        return client

    def assert_arrives(self, listener, client):
        """`client` is talking to `listener`, and to nobody else."""
        connection, peer = listener.accept()
        self.addCleanup(connection.close)
        self.assertEqual(peer[:2], client.getsockname()[:2])
        return connection


class CaptureRules:
    """Who goes where; run once with each tool."""

    def setUp(self):
        super().setUp()
        capture("apply", "--tool", self.tool)

    def test_outbound_goes_to_the_sidecar_which_learns_the_destination(self):
        for family in FAMILIES:
            with self.subTest(family=family.name):
                sidecar = self.listen(POD, family, LOOPBACK[family], OUTBOUND)
                meant = (ADDRESS[PEER][family], APP)
                client = self.connect(POD, family, meant)
                connection = self.assert_arrives(sidecar, client)
                self.assertEqual(original_destination(connection), meant)

    def test_inbound_goes_to_the_sidecar_which_learns_the_destination(self):
        for family in FAMILIES:
            with self.subTest(family=family.name):
                sidecar = self.listen(POD, family, ANY[family], INBOUND)
                self.listen(POD, family, ANY[family], APP)  # the app listens too, and is not asked
                meant = (ADDRESS[POD][family], APP)
                client = self.connect(PEER, family, meant)
                connection = self.assert_arrives(sidecar, client)
                self.assertEqual(original_destination(connection), meant)

    def test_the_sidecars_own_calls_leave_the_pod(self):
        for family in FAMILIES:
            with self.subTest(family=family.name):
                server = self.listen(PEER, family, ANY[family], APP)
                self.listen(POD, family, LOOPBACK[family], OUTBOUND)
                client = self.connect(POD, family, (ADDRESS[PEER][family], APP), uid=SIDECAR_UID)
                self.assert_arrives(server, client)

    def test_the_sidecars_own_ports_are_not_redirected(self):
        for family in FAMILIES:
            with self.subTest(family=family.name):
                metrics = self.listen(POD, family, ANY[family], METRICS)
                self.listen(POD, family, ANY[family], INBOUND)
                client = self.connect(PEER, family, (ADDRESS[POD][family], METRICS))
                self.assert_arrives(metrics, client)

    def test_loopback_stays_loopback_for_app_and_sidecar(self):
        for family in FAMILIES:
            app = self.listen(POD, family, LOOPBACK[family], APP)
            for uid in (APP_UID, SIDECAR_UID):
                with self.subTest(family=family.name, uid=uid):
                    client = self.connect(POD, family, (LOOPBACK[family], APP), uid=uid)
                    self.assert_arrives(app, client)

    def test_the_app_calls_its_own_pod_directly(self):
        for family in FAMILIES:
            with self.subTest(family=family.name):
                app = self.listen(POD, family, ANY[family], APP)
                client = self.connect(POD, family, (ADDRESS[POD][family], APP))
                self.assert_arrives(app, client)

    def test_the_sidecar_reaches_its_own_pod_through_its_inbound_side(self):
        # It balanced onto its own pod: the caller's side of mutual TLS needs a peer.
        for family in FAMILIES:
            with self.subTest(family=family.name):
                sidecar = self.listen(POD, family, LOOPBACK[family], INBOUND)
                self.listen(POD, family, ADDRESS[POD][family], APP)
                meant = (ADDRESS[POD][family], APP)
                client = self.connect(POD, family, meant, uid=SIDECAR_UID)
                connection = self.assert_arrives(sidecar, client)
                self.assertEqual(original_destination(connection), meant)

    def test_the_last_hop_has_source_addresses_that_reach_the_app(self):
        for family, source in ((socket.AF_INET, "127.0.0.6"), (socket.AF_INET6, "::6")):
            with self.subTest(family=family.name):
                app = self.listen(POD, family, ADDRESS[POD][family], APP)
                client = self.connect(POD, family, (ADDRESS[POD][family], APP), uid=SIDECAR_UID,
                                      source=source)
                self.assert_arrives(app, client)

    def test_applying_twice_leaves_one_set_and_removal_leaves_none(self):
        once = self.ruleset()
        capture("apply", "--tool", self.tool)
        self.assertEqual(self.ruleset(), once)
        self.assertIn("15001", once)

        capture("remove", "--tool", self.tool)
        self.assertNotIn("15001", self.ruleset())
        self.assertNotIn("PILLION", self.ruleset())
        capture("remove", "--tool", self.tool)  # nothing to remove is no error
        self.assertNotIn("::6", in_pod("ip", "address", "show", "lo").stdout)
        server = self.listen(PEER, socket.AF_INET, "0.0.0.0", APP)
        client = self.connect(POD, socket.AF_INET, (ADDRESS[PEER][socket.AF_INET], APP))
        self.assert_arrives(server, client)

    def test_another_uid_can_be_the_sidecars(self):
        capture("apply", "--tool", self.tool, "--uid", "2102")
        server = self.listen(PEER, socket.AF_INET, "0.0.0.0", APP)
        sidecar = self.listen(POD, socket.AF_INET, "127.0.0.1", OUTBOUND)
        there = (ADDRESS[PEER][socket.AF_INET], APP)
        self.assert_arrives(server, self.connect(POD, socket.AF_INET, there, uid=2102))
        self.assert_arrives(sidecar, self.connect(POD, socket.AF_INET, there, uid=SIDECAR_UID))


class NftCapture(CaptureRules, Namespaces):
    tool = "nft"

    @staticmethod
    def ruleset():
        return in_pod("nft", "list", "ruleset").stdout

    def test_what_print_shows_is_what_apply_does(self):
        applied = self.ruleset()
        capture("remove")
        printed = capture("print").stdout
        in_pod("nft", "-f", "-", input=printed)
        self.assertEqual(self.ruleset(), applied)

    def test_the_rules_of_others_stay(self):
        in_pod("nft", "add table inet someone")
        capture("apply")
        capture("remove")
        self.assertEqual(self.ruleset().split(), ["table", "inet", "someone", "{", "}"])


@unittest.skipUnless(shutil.which("iptables"), "iptables is not installed")
class IptablesCapture(CaptureRules, Namespaces):
    tool = "iptables"

    @staticmethod
    def ruleset():
        """Both families, without the packet counters."""
        return "".join(in_pod(f"{tool}-save", "-t", "nat").stdout.split("*nat")[-1].split("#")[0]
                       for tool in ("iptables", "ip6tables"))

    def ruleset_lines(self):
        return [line for line in self.ruleset().splitlines() if line.startswith("-A")]

    def test_a_lost_hook_is_put_back_once(self):
        before = self.ruleset_lines()
        in_pod("iptables", "-t", "nat", "-D", "OUTPUT", "-p", "tcp", "-j", "PILLION_OUTPUT")
        capture("apply", "--tool", self.tool)
        self.assertEqual(sorted(self.ruleset_lines()), sorted(before))


class CaptureErrors(Namespaces):
    def assert_one_line_error(self, result, text):
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn(text, result.stderr)

    def test_without_permission_it_says_so(self):
        result = in_pod("setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set=-all",
                        PILLION, "capture", "apply", check=False)
        self.assert_one_line_error(result, "no permission (run as root, or with CAP_NET_ADMIN)")

    def test_without_nft_and_iptables_it_says_what_to_install(self):
        # Hides the tools from this one command: an empty folder over the system's.
        hide = "for d in /usr/sbin /sbin; do mount -t tmpfs none $d; done; PATH=/usr/bin exec \"$@\""
        result = in_pod("unshare", "--mount", "sh", "-c", hide, "sh", PILLION, "capture", "apply",
                        check=False)
        self.assert_one_line_error(result, "neither nft nor iptables is installed")

    def test_print_needs_no_permission_and_changes_nothing(self):
        printed = in_pod("setpriv", "--reuid", "65534", "--clear-groups", PILLION, "capture",
                         "print").stdout
        self.assertIn("redirect to :15006", printed)
        self.assertEqual(in_pod("nft", "list", "ruleset").stdout, "")


def cannot_run():
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not PILLION:
        return "no pillion binary: build one, or name it in PILLION"
    if not shutil.which("ip") or not shutil.which("nft"):
        return "needs iproute2 and nftables"
    probe = run("ip", "netns", "add", POD, check=False)
    run("ip", "netns", "delete", POD, check=False)
    return f"no network namespaces here: {probe.stderr.strip()}" if probe.returncode else None


def setUpModule():
    if reason := cannot_run():
        raise unittest.SkipTest(reason)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
