#!/usr/bin/env python3
"""How a process begins, ends, and gets along when descriptors run out."""

import os
import select
import signal
import subprocess
import threading
import time
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, connect, echo, get, reply


def slow_script(go_on):
    """Serves requests; the answer to /slow comes in two parts, the second when go_on is set."""
    def script(peer):
        while (request := peer.read_request()) is not None:
            if "/slow" not in request.first:
                peer.send(reply(b"fast"))
                continue
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfour")
            go_on.wait(sidecar.DEADLINE)
            peer.send(b"more")
    return script


class Ending(unittest.TestCase):
    def setUp(self):
        self.go_on = threading.Event()
        self.upstream = Upstream(self, slow_script(self.go_on))
        self.port = sidecar.free_port()

    def start(self, drain=20, listeners=None):
        self.proxy = sidecar.start(self, envoy.bootstrap(
            listeners or [envoy.http("in", self.port)], [envoy.cluster(ports=[self.upstream.port])]),
            flags=["--drain-time-s", str(drain)])
        return connect(self, self.port)

    def test_sigterm_ends_an_idle_process_at_once_and_well(self):
        self.start(drain=600).close()
        self.proxy.wait_stat("http.in.downstream_cx_active", 0)
        began = time.monotonic()
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(self.proxy.wait(), 0)
        self.assertLess(time.monotonic() - began, 5)

    def test_sigterm_lets_what_runs_finish_and_tells_the_rest(self):
        slow, idle = self.start(), connect(self, self.port)
        self.assertIsNone(idle.exchange(get("/")).get("connection"))
        slow.send(get("/slow")).read_until(b"four")
        self.proxy.signal(signal.SIGTERM)
        sidecar.until("not ready", lambda: self.proxy.get("/ready")[0] == 503)
        sidecar.until("the workers know", self.announces_close)  # a moment later
        # Who has not heard yet may still connect, and is told with the response.
        for client in (idle, connect(self, self.port)):
            answer = client.exchange(get("/"))
            self.assertEqual((answer.body, answer.get("connection")), (b"fast", "close"))
            self.assertTrue(client.is_closed())
        self.assertIsNone(self.proxy.process.poll())
        self.go_on.set()
        self.assertEqual(slow.read(4), b"more")
        # Its head had gone out before, so that the next response brings the news.
        self.assertEqual(slow.exchange(get("/")).get("connection"), "close")
        self.assertEqual(self.proxy.wait(10), 0)

    def test_the_drain_time_is_the_end_of_patience(self):
        slow = self.start(drain=1)
        slow.send(get("/slow")).read_until(b"four")
        began = time.monotonic()
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(self.proxy.wait(), 0)
        self.assertTrue(0.9 < time.monotonic() - began < 5)
        self.assertTrue(slow.is_closed())

    def test_a_busy_process_ends_without_cutting_anybody_off(self):
        def unhurried(peer):
            while peer.read_request() is not None:
                time.sleep(0.02)
                peer.send(reply(b"fast"))
        self.upstream = Upstream(self, unhurried)
        self.start(drain=3).close()
        served, cut_off = [], []

        def client():
            while True:
                try:
                    peer = connect(self, self.port)
                except OSError as error:
                    if not isinstance(error, ConnectionRefusedError):
                        cut_off.append(repr(error))
                    return
                try:
                    served.append(peer.exchange(get("/")).body)
                except (OSError, EOFError) as error:
                    cut_off.append(repr(error))
                peer.close()
        clients = [threading.Thread(target=client) for _ in range(8)]
        for each in clients:
            each.start()
        sidecar.until("the clients are at it", lambda: len(served) > 16)
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(self.proxy.wait(10), 0)
        for each in clients:
            each.join()
        self.assertEqual(set(served), {b"fast"})
        # Whose handshake is not over when a worker takes its last and closes is reset; TCP knows no better.
        self.assertLessEqual(len(cut_off), 2, cut_off)

    def test_nobody_waits_for_a_configuration_that_is_still_being_built(self):
        self.start(drain=600).close()
        many = [envoy.cluster(f"c{i}", [self.upstream.port]) for i in range(20_000)]
        began = time.monotonic()
        self.proxy.write(envoy.bootstrap([envoy.http("in", self.port)], [envoy.cluster(ports=[1]), *many]))
        self.proxy.wait_log("reading the configuration again")
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(self.proxy.wait(), 0)
        print(f"{time.monotonic() - began:.1f} s from the new file to the end", flush=True)
        self.assertNotIn("configuration in force", self.proxy.log_text())

    def test_a_second_signal_ends_at_once(self):
        for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)):
            slow = self.start(drain=600)
            slow.send(get("/slow")).read_until(b"four")
            self.proxy.signal(first)
            sidecar.until("draining", lambda: self.proxy.get("/ready")[0] == 503)
            self.proxy.signal(second)
            self.assertEqual(self.proxy.wait(5), 0)

    def test_quitquitquit_is_a_sigterm_and_needs_post(self):
        self.start().close()
        self.assertEqual(self.proxy.get("/quitquitquit")[0], 405)
        self.assertEqual(self.proxy.post("/quitquitquit")[0], 200)
        self.assertEqual(self.proxy.wait(), 0)

    def test_drain_listeners_tells_keep_alive_clients(self):
        client = self.start()
        client.exchange(get("/"))
        self.assertEqual(self.proxy.post("/drain_listeners?graceful")[0], 200)
        sidecar.until("the end is announced", self.announces_close)
        self.assertEqual(client.exchange(get("/")).get("connection"), "close")

    def announces_close(self):
        """Every worker does: the kernel spreads connections over them.  One that hears nothing of an end would stay
        open until the drain's deadline, so each is closed here."""
        for _ in range(16):
            client = connect(self, self.port)
            answer = client.exchange(get("/"))
            client.close()
            if answer.get("connection") != "close":
                return False
        return True

    def test_a_tcp_connection_ends_with_the_drain_time(self):
        self.start(drain=1, listeners=[envoy.tcp("in", self.port)])
        client = connect(self, self.port)
        self.assertEqual(client.exchange(get("/")).body, b"fast")
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(self.proxy.wait(10), 0)
        self.assertTrue(client.is_closed())

    def test_sigusr1_reopens_the_access_log(self):
        client = self.start()
        path = os.path.join(self.proxy.dir, "access.log")
        client.exchange(get("/before"))
        self.proxy.wait_access_log(1)
        os.rename(path, path + ".1")
        client.exchange(get("/between"))
        sidecar.until("the line is in the renamed file", lambda: "/between" in sidecar.read(path + ".1"))
        self.proxy.signal(signal.SIGUSR1)
        sidecar.until("the file is there again", lambda: os.path.exists(path))
        client.exchange(get("/after"))
        self.assertEqual([line["path"] for line in self.proxy.wait_access_log(1)], ["/after"])


class Beginning(unittest.TestCase):
    def fails(self, config):
        proxy = sidecar.Sidecar(config)
        self.addCleanup(proxy.stop)
        self.assertEqual(proxy.wait(), 1)
        lines = proxy.log_text().strip().splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_an_address_in_use_is_a_sentence_and_exit_1(self):
        taken = Upstream(self).port
        line = self.fails(envoy.bootstrap([envoy.http("in", taken)], [envoy.cluster(ports=[1])]))
        self.assertIn(f"127.0.0.1:{taken}", line)
        self.assertIn("in use", line)

    def test_an_admin_address_in_use_is_a_sentence_and_exit_1(self):
        taken = Upstream(self).port
        config = envoy.bootstrap([], [envoy.cluster(ports=[1])])
        line = self.fails(config | {"admin": {"address": sidecar.address(taken)}})
        self.assertIn("in use", line)

    def test_a_port_of_another_pillion_is_in_use_too(self):
        # SO_REUSEPORT must not hide it: two processes would share the clients.
        port = sidecar.free_port()
        config = envoy.bootstrap([envoy.http("in", port)], [envoy.cluster(ports=[1])])
        sidecar.start(self, config)
        self.assertIn("in use", self.fails(config))

    def test_a_missing_file_is_a_sentence_and_exit_1(self):
        result = subprocess.run([sidecar.PILLION, "run", "-c", "/nonexistent/mesh.yaml"], capture_output=True,
                                text=True, timeout=30)
        self.assertEqual((result.returncode, len(result.stderr.splitlines())), (1, 1), result.stderr)
        self.assertIn("/nonexistent/mesh.yaml", result.stderr)


class Descriptors(unittest.TestCase):
    def test_without_descriptors_accepting_pauses_and_all_else_goes_on(self):
        upstream = Upstream(self, echo)
        port = sidecar.free_port()
        proxy = sidecar.start(self, envoy.bootstrap([envoy.http("in", port)], [envoy.cluster(ports=[upstream.port])]),
                              nofile=96, flags=["--concurrency", "1"])
        working = connect(self, port)
        self.assertEqual(working.exchange(get()).status, 200)
        crowd = [connect(self, port) for _ in range(150)]
        for client in crowd:
            client.send(get())
        proxy.wait_stat("server.accept_paused", lambda n: n > 0)
        # Admin answers, and so do those who are in.
        self.assertEqual(proxy.get("/ready")[0], 200)
        self.assertEqual(working.exchange(get("/in")).status, 200)
        accepted = proxy.stats()["http.in.downstream_cx_active"] - 1
        served = sidecar.until(f"{accepted} responses", lambda: self.answered(crowd, accepted))
        for client in served:
            self.assertEqual(client.read_response().status, 200)
            client.close()
        # The rest come in as others leave.
        waiting = [client for client in crowd if client not in served]
        for client in waiting:
            self.assertEqual(client.read_response().status, 200)
            client.close()
        self.assertEqual(connect(self, port).exchange(get("/again")).status, 200)

    @staticmethod
    def answered(crowd, count):
        """Those of whom a response waits, if there are that many."""
        sockets = {client.socket: client for client in crowd}
        readable, _, _ = select.select(list(sockets), [], [], 0.1)
        return 0 < len(readable) == count < len(crowd) and [sockets[s] for s in readable]


if __name__ == "__main__":
    unittest.main()
