#!/usr/bin/env python3
"""A changed configuration: it takes effect, loses nothing, and a bad one changes nothing."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import envoy_config as envoy
import sidecar
from authority import Authority
from peers import Upstream, connect, echo, get, reply


class Load:
    """Clients that call on keep-alive connections, one request after another, until stopped."""

    def __init__(self, test, port, clients=8):
        self.times, self.failures, self.count = [], [], 0
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(test, port)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, test, port):
        client = None
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                client = client or connect(test, port)
                answer = client.exchange(get())
                if answer.status != 200:
                    self.failures.append(answer.raw)
                if answer.get("connection") == "close":
                    client.close()
                    client = None
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))
                client = None
            self.times.append(time.monotonic() - began)
        if client:
            client.close()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def percentile(self, share):
        return sorted(self.times)[int(len(self.times) * share)]


class SilentDns:
    """The resolver of a proxy that is started with `prefix`: it knows nobody, and says so only after answer()."""

    def __init__(self, test):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.socket.bind((host, 53))
        file = tempfile.NamedTemporaryFile("w", prefix="pillion-resolv-")
        test.addCleanup(file.close)
        file.write(f"nameserver {host}\noptions attempts:1\n")
        file.flush()
        self.prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', file.name]
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        test.addCleanup(self._end)

    def _run(self):
        while (question := self.socket.recvfrom(4096))[0]:
            self.asked.set()
            self.may_answer.wait(sidecar.DEADLINE)
            # The header's flags become "response, recursion available, NXDOMAIN"; counts and question stay.
            self.socket.sendto(question[0][:2] + b"\x81\x83" + question[0][4:], question[1])

    def wait_question(self):
        if not self.asked.wait(sidecar.DEADLINE):
            raise AssertionError("no DNS question")

    def answer(self):
        self.may_answer.set()

    def _end(self):
        self.answer()
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


class Reload(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream(self)
        self.port = sidecar.free_port()
        self.reloads = 0

    def start(self, config=None, **options):
        self.proxy = sidecar.start(self, config or self.config(), **options)
        return self.proxy

    def config(self, routes=None, listeners=None, upstream=None):
        return envoy.bootstrap(listeners or [envoy.http("in", self.port, routes)],
                               [envoy.cluster(ports=[(upstream or self.upstream).port])])

    def reload(self, config, how=None):
        before = self.successes()
        (how or self.proxy.write)(config)
        sidecar.until(lambda: f"a reload; log:\n{self.proxy.log_tail()}", lambda: self.successes() > before)

    def successes(self):
        return self.proxy.log_text().count("configuration in force")

    def text(self, text):
        """A configuration whose one route answers with `text`."""
        return self.config([{"match": {"prefix": "/"}, "direct_response": {
            "status": 200, "body": {"inline_string": text}}}])

    @unittest.skipUnless(os.getuid() == 0, "the limit of processes is none for root, and only root can be another")
    def test_a_configuration_is_read_where_no_thread_may_be_made(self):
        as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
        self.start(uid=65534, prefix=as_nobody)

        def limit_threads(most):  # the soft limit alone, by whom it belongs to
            subprocess.run([*as_nobody, "prlimit", f"--pid={self.proxy.process.pid}", f"--nproc={most}:"], check=True)
        limit_threads(0)
        for text in ("one", "two"):
            self.reload(self.text(text))
            client = connect(self, self.port)
            self.assertEqual(client.exchange(get()).body, text.encode())
            client.close()
        limit_threads(1000)  # a sanitizer looks for leaks from a thread
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(self.proxy.wait(), 0)

    def test_200_reloads_under_load_fail_no_request(self):
        rounds = 30 if sidecar.sanitized() else 200
        self.start()
        load = Load(self, self.port)
        try:
            for n in range(rounds):
                # Each changes something: the route's timeout, and in turn the cluster or the listener.
                config = self.config([envoy.route(timeout=f"{n + 10}s")])
                if n % 3 == 1:
                    config["static_resources"]["clusters"][0]["connect_timeout"] = f"{n + 1}s"
                if n % 3 == 2:
                    config["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] = 100000 + n
                self.reload(config)
        finally:
            load.stop()
        print(f"{len(load.times)} requests over {rounds} reloads: p50 {load.percentile(.5) * 1000:.1f} ms, "
              f"p99 {load.percentile(.99) * 1000:.1f} ms, longest {max(load.times) * 1000:.1f} ms", file=sys.stderr)
        self.assertEqual(load.failures[:5], [])
        self.assertGreater(len(load.times), rounds)

    def test_a_request_that_runs_survives_with_its_route(self):
        go_on = threading.Event()

        def slow(peer):
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfour")
            go_on.wait(sidecar.DEADLINE)
            peer.send(b"more")
            peer.hang()
        self.upstream = Upstream(self, slow)
        self.start()
        client = connect(self, self.port)
        client.send(get()).read_until(b"four")
        self.reload(self.text("new"))
        go_on.set()
        self.assertEqual(client.read(4), b"more")
        self.assertEqual(client.exchange(get()).body, b"new")

    def test_a_new_route_takes_effect_on_a_live_connection(self):
        self.start(self.text("old"))
        client = connect(self, self.port)
        self.assertEqual(client.exchange(get()).body, b"old")
        self.reload(self.text("new"))
        self.assertEqual(client.exchange(get()).body, b"new")

    def test_a_bad_file_changes_nothing_and_is_told_everywhere(self):
        self.start(self.text("good"))
        client = connect(self, self.port)
        bad = self.text("bad")
        bad["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = 70000
        self.proxy.write(bad)
        self.proxy.wait_log("port_value: expected")
        self.assertIn("70000", self.proxy.log_text())
        self.assertEqual(client.exchange(get()).body, b"good")
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"good")
        rejected = [n for n, v in self.proxy.stats().items() if "reject" in n or "fail" in n if v == 1]
        self.assertTrue([n for n in rejected if "update_rejected" in n or "reload" in n], rejected)
        self.assertIn("port_value", self.proxy.get("/server_info")[1])
        self.assertIn("port_value", self.proxy.get("/config_dump")[1])
        self.reload(self.text("better"))
        self.assertEqual(client.exchange(get()).body, b"better")
        self.assertNotIn("70000", self.proxy.get("/server_info")[1])

    def test_a_file_that_is_written_in_place_or_touched_by_sighup_is_read(self):
        self.start(self.text("old"))

        def in_place(config):
            with open(self.proxy.path, "w") as out:
                out.write(self.proxy.text_of(config))
        self.reload(self.text("in place"), in_place)
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"in place")
        self.reload(None, lambda _: self.proxy.signal(signal.SIGHUP))
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"in place")

    def test_a_deleted_file_is_told_once_and_changes_nothing(self):
        self.start(self.text("one"))
        os.remove(self.proxy.path)
        gone = "a file of the configuration is gone; the configuration stays in force"
        self.proxy.wait_log(gone)
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"one")
        self.reload(self.text("two"))
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"two")
        lines = [line for line in self.proxy.log_text().splitlines() if gone in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(f"path={self.proxy.path}", lines[0])

    def test_what_waits_for_the_next_start_is_named(self):
        self.start(self.text("one"))
        self.reload(self.text("two"))
        late = "these changes take effect at the next start only: fields="
        self.assertNotIn(late, self.proxy.log_text())
        self.reload(self.text("two") | {"node": {"id": "other"}})
        self.proxy.wait_log(late + "node\n")
        self.reload(self.text("two") | {"stats_config": {"stats_tags": [{"tag_name": "a", "fixed_value": "b"}]}})
        self.proxy.wait_log(late + '"node stats_config"\n')

    def test_a_configmaps_symlink_swap_is_seen(self):
        # As kubelet does: proxy.yaml -> ..data/proxy.yaml, ..data -> ..version_n, and ..data is renamed over.
        folder = tempfile.mkdtemp(prefix="pillion-configmap-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.admin = sidecar.address(sidecar.free_port())

        def publish(version, config):
            os.mkdir(os.path.join(folder, f"..v{version}"))
            with open(os.path.join(folder, f"..v{version}", "proxy.yaml"), "w") as out:
                out.write(sidecar.json.dumps({"admin": {"address": self.admin}} | config))
            os.symlink(f"..v{version}", os.path.join(folder, "..data_tmp"))
            os.rename(os.path.join(folder, "..data_tmp"), os.path.join(folder, "..data"))
        publish(1, self.text("v1"))
        os.symlink("..data/proxy.yaml", os.path.join(folder, "proxy.yaml"))
        self.proxy = sidecar.Sidecar(None, directory=folder)
        self.addCleanup(self.proxy.stop)
        self.proxy.admin_port = self.admin["socket_address"]["port_value"]
        self.proxy.wait_ready()
        for version in (2, 3):
            self.reload(self.text(f"v{version}"), lambda config: publish(version, config))
            self.assertEqual(connect(self, self.port).exchange(get()).body, f"v{version}".encode())

    def test_a_file_that_the_configuration_names_takes_effect_when_it_changes(self):
        folder = tempfile.mkdtemp(prefix="pillion-files-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)

        def publish(text):  # as kubelet does
            version = os.path.join(folder, f"..{text}")
            os.mkdir(version)
            with open(os.path.join(version, "body"), "w") as out:
                out.write(text)
            os.symlink(f"..{text}", os.path.join(folder, "..data_tmp"))
            os.rename(os.path.join(folder, "..data_tmp"), os.path.join(folder, "..data"))
        publish("first")
        os.symlink("..data/body", os.path.join(folder, "body"))
        named = {"filename": os.path.join(folder, "body")}
        self.start(envoy.bootstrap(
            [envoy.http("in", self.port, [{"match": {"prefix": "/body"}, "direct_response": {"status": 200,
                                                                                             "body": named}}],
                        local_reply_config={"mappers": [{"filter": {"status_code_filter": {"comparison": {
                            "op": "EQ", "value": {"default_value": 404, "runtime_key": "x"}}}}, "body": named}]})],
            [envoy.cluster(ports=[self.upstream.port])]))
        client = connect(self, self.port)
        for text in ("first", "second", "third"):
            if text != "first":
                self.reload(text, publish)
            self.assertEqual(client.exchange(get("/body")).body, text.encode())
            self.assertEqual(client.exchange(get("/nothing")).body, text.encode())

    def test_a_file_that_was_missing_is_taken_when_it_comes(self):
        self.start()
        name = os.path.join(self.proxy.dir, "body")
        self.proxy.write(self.config([{"match": {"prefix": "/"}, "direct_response": {
            "status": 200, "body": {"filename": name}}}]))
        self.proxy.wait_log("configuration refused")

        def write(text):
            with open(name, "w") as out:
                out.write(text)
        self.reload("here it is", write)
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"here it is")

    def test_a_certificate_that_changes_in_its_files_is_shown_from_then_on(self):
        ca = Authority(type(self))

        def issue(identity):
            certificate, key, _ = ca.issue(identity)
            for source, target in ((key, "key"), (certificate, "cert")):
                shutil.copy(source, os.path.join(ca.dir, target + ".new"))
                os.rename(os.path.join(ca.dir, target + ".new"), os.path.join(ca.dir, target))
        issue("spiffe://mesh.local/ns/a/sa/first")
        tls = envoy.tls_server((os.path.join(ca.dir, "cert"), os.path.join(ca.dir, "key"), ca.bundle))
        self.start(self.config(listeners=[envoy.http("in", self.port, tls=tls)]))
        self.assertIn("sa/first", self.proxy.get("/certs")[1])
        reloads = self.proxy.stats()["server.config_reload_success"]
        issue("spiffe://mesh.local/ns/a/sa/second")
        sidecar.until("the new certificate", lambda: "sa/second" in self.proxy.get("/certs")[1])
        self.assertNotIn("sa/first", self.proxy.get("/certs")[1])
        self.assertEqual(self.proxy.stats()["server.config_reload_success"], reloads, "no reload is needed for it")

    def test_a_filter_chain_that_goes_is_counted_until_its_last_connection_ends(self):
        def named(name):
            listener = envoy.http("in", self.port)
            listener["filter_chains"][0]["name"] = name
            return self.config(listeners=[listener])

        draining = "listener_manager.total_filter_chains_draining"
        self.start()
        self.reload(named("first"))
        clients = [connect(self, self.port) for _ in range(8)]  # of both workers
        for client in clients:
            self.assertEqual(client.exchange(get()).status, 200)
        self.assertEqual(self.proxy.stats()[draining], 0)
        self.reload(named("second"))
        self.proxy.wait_stat(draining, 1)
        self.assertEqual(connect(self, self.port).exchange(get()).status, 200)
        for client in clients:
            self.assertEqual(self.proxy.stats()[draining], 1)
            self.assertEqual(client.exchange(get()).get("connection"), "close")
        self.proxy.wait_stat(draining, 0)
        self.assertEqual(self.proxy.stats()["listener_manager.total_listeners_draining"], 0)

    def test_listeners_come_move_and_go(self):
        self.start()
        second, third = sidecar.free_port(), sidecar.free_port()
        first = envoy.http("in", self.port)
        self.reload(self.config(listeners=[first, envoy.http("more", second)]))
        client = connect(self, second)
        self.assertEqual(client.exchange(get()).status, 200)
        self.reload(self.config(listeners=[first, envoy.http("more", third)]))
        self.assertEqual(connect(self, third).exchange(get()).status, 200)
        # The connection that is there hears of the end with its next response, and only then closes.
        self.assertEqual(self.proxy.stats()["listener_manager.total_listeners_draining"], 1)
        answer = client.exchange(get())
        self.assertEqual((answer.status, answer.get("connection")), (200, "close"))
        self.assertTrue(client.is_closed())
        self.proxy.wait_stat("listener_manager.total_listeners_draining", 0)
        with self.assertRaises(ConnectionRefusedError):
            connect(self, second)
        self.reload(self.config(listeners=[first]))
        sidecar.until("the port is closed", lambda: self.is_refused(third))
        self.assertEqual(connect(self, self.port).exchange(get()).status, 200)

    def is_refused(self, port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    @unittest.skipUnless(os.geteuid() == 0, "needs root: a resolv.conf of its own in a mount namespace")
    def test_addresses_are_told_at_the_start_and_when_a_listener_comes(self):
        self.start()
        log = self.proxy.log_text()
        self.assertIn(f"listening: listener=in address=127.0.0.1:{self.port}\n", log)
        self.assertIn(f"admin interface listening: address=127.0.0.1:{self.proxy.admin_port}\n", log)
        self.assertLess(log.index("admin interface listening"), log.index("ready: workers="))
        two = envoy.http("two", 0)
        two["additional_addresses"] = [{"address": sidecar.address(0, "127.0.0.2")}]
        unbound = envoy.http("unbound", sidecar.free_port()) | {"bind_to_port": False}
        self.reload(self.config(listeners=[envoy.http("in", self.port), two, unbound]))
        log = self.proxy.log_text()
        self.assertRegex(log, r'listening: listener=two address="127\.0\.0\.1:[1-9]\d+ 127\.0\.0\.2:[1-9]\d+"\n')
        self.assertIn("listener without a socket of its own: listener=unbound address=", log)
        self.assertEqual(log.count("listener=in address="), 1)

    def test_nobody_waits_at_new_sockets_while_their_configuration_warms_up(self):
        dns = SilentDns(self)
        self.start(self.text("old"), prefix=dns.prefix, flags=["--concurrency", "2"])
        # Another backlog means another socket; the cluster is not warm before its name has an answer.
        config = self.slow(self.text("new"))
        config["static_resources"]["listeners"][0]["tcp_backlog_size"] = 100
        self.proxy.write(config)
        self.proxy.wait_log("configuration taken")
        dns.wait_question()
        # The kernel spreads connections over all sockets that listen: with 60 it tries each of them.
        began = time.monotonic()
        bodies = [self.one_request() for _ in range(60)]
        self.assertEqual(set(bodies), {b"old"})
        self.assertNotIn("configuration in force", self.proxy.log_text(), "the test came too late")
        self.assertLess(time.monotonic() - began, 2)
        dns.answer()
        longest, resets = 0, 0
        while b"new" not in bodies[-60:] or b"old" in bodies[-60:]:
            began = time.monotonic()
            self.assertLess(len(bodies), 20000, self.proxy.log_tail())
            try:
                bodies.append(self.one_request())
            except ConnectionResetError:
                resets += 1
            longest = max(longest, time.monotonic() - began)
        self.assertLess(longest, 1)
        # Whose handshake is not over when the former socket closes (net.ipv4.tcp_migrate_req would save it): this
        # client is one after another, so that it meets that moment once per worker at most.
        self.assertLessEqual(resets, 2)
        self.assertEqual(self.proxy.stats()["listener_manager.listener_create_success"], 4)

    @unittest.skipUnless(os.geteuid() == 0, "needs root: a resolv.conf of its own in a mount namespace")
    def test_who_warms_up_has_its_addresses_already(self):
        dns = SilentDns(self)
        path = os.path.join(tempfile.mkdtemp(prefix="pillion-test-"), "socket")
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        config = self.slow(self.config(listeners=[
            envoy.http("in", self.port), envoy.http("unix", 0) | {"address": {"pipe": {"path": path}}}]))
        first = sidecar.Sidecar(config, prefix=dns.prefix)
        self.addCleanup(first.stop)
        dns.wait_question()
        for address in (path, f"127.0.0.1:{self.port}"):
            config["static_resources"]["listeners"].reverse()  # each of them is the first to be refused once
            second = sidecar.Sidecar(config)
            self.addCleanup(second.stop, check=False)
            self.assertEqual(second.wait(), 1)
            self.assertRegex(second.log_text(), f"{re.escape(address)}: Address already in use")
        dns.answer()
        first.wait_ready()
        self.assertEqual(connect(self, self.port).exchange(get()).status, 200)

    def slow(self, config):
        """With a cluster that is not warm before its name has an answer."""
        config["static_resources"]["clusters"].append(envoy.cluster("slow", type="STRICT_DNS", load_assignment={
            "cluster_name": "slow", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": sidecar.address(80, "slow.test")}}]}]}))
        return config

    def one_request(self):
        client = connect(self, self.port)
        body = client.exchange(get()).body
        client.close()
        return body

    def test_an_address_in_use_refuses_the_reload_whole(self):
        self.start(self.text("old"))
        taken = Upstream(self).port
        config = self.text("new")
        config["static_resources"]["listeners"].append(envoy.http("more", taken))
        self.proxy.write(config)
        self.proxy.wait_log("in use")
        self.proxy.wait_stat("server.config_reload_failure", 1)
        self.assertEqual(self.proxy.stats()["listener_manager.total_listeners_active"], 1)
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"old")

    def test_a_cluster_that_moves_takes_its_requests_along(self):
        other = Upstream(self, lambda peer: [peer.send(reply(b"other")) for _ in iter(peer.read_request, None)])
        self.start()
        client = connect(self, self.port)
        self.assertEqual(client.exchange(get()).json()["connection"], 1)
        self.reload(self.config(upstream=other))
        self.assertEqual(client.exchange(get()).body, b"other")
        sidecar.until("the old upstream's connection is closed",
                      lambda: "cluster.app.upstream_cx_active" and self.proxy.stats()[
                          "cluster.app.upstream_cx_active"] == 1)


if __name__ == "__main__":
    unittest.main()
