#!/usr/bin/env python3
"""No two readers of one byte stream: the requests that a backend sees are those that Pillion logs as forwarded.

desync_corpus.py goes through Pillion to each of the servers and proxies that stand behind sidecars.  Each
backend logs every whole request; before nginx, haproxy and Envoy that is done by an origin behind them.
"""

import contextlib
import re
import socket
import threading
import unittest

import desync_corpus as corpus
import envoy_config as envoy
import programs
import sidecar
from peers import Upstream, connect, get, reply

CLOSE = "Connection: close"
TABLES = ("REFUSED", "BROKEN_BODY", "ACCEPTED", "LAST", "UNFINISHED")
CUT_EVERY = 6 if programs.FULL else 18  # of the rows that are cut at every byte


def rows():
    """(name, table, bytes, follower's path): all of the corpus, its marks replaced by paths of its own."""
    number = 0
    for table in TABLES:
        for name, data in getattr(corpus, table):
            number += 1
            data = data.replace(b"/@", b"/c%04d" % number).replace(b"/#", b"/h%04d" % number)
            yield name.decode("latin-1"), table, data, "/f%04d" % number


class Origin(Upstream):
    """Answers and remembers every whole request."""

    def __init__(self, test):
        self.requests = []
        self.lock = threading.Lock()
        super().__init__(test, self.serve)

    def serve(self, peer):
        while (request := peer.read_request()) is not None and request.complete:
            method, path, _ = request.first.split(" ")
            with self.lock:
                self.requests.append((method, path, len(request.body)))
            peer.send(reply(b"" if method == "HEAD" else b"ok"))

    def seen(self):
        return list(self.requests)

    def drop_connections(self):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Behind:
    """An origin and a proxy before it, as one backend."""

    def __init__(self, test, start):
        self.origin = Origin(test)
        self.port = start(test, self.origin.port).port
        self.seen = self.origin.seen


def envoy_before(test, upstream):
    port = sidecar.free_port()
    return programs.envoy(test, envoy.bootstrap([envoy.http("in", port)], [envoy.cluster(ports=[upstream])]), port)


class Requests:
    """The test of one backend; `start(test)` makes it."""

    # Rows that Pillion forwards and this backend refuses, with its status: they reach nothing behind it.
    refuses = {}
    ends = 0
    names = {"/c" + follower[2:]: name for name, _, _, follower in rows()}

    @classmethod
    def setUpClass(cls):
        cls.backend = cls.start(cls)
        cls.port = sidecar.free_port()
        routes = [{"match": {"path": "/pace"}, "direct_response": {"status": 200}}, envoy.route()]
        # One worker: its log has the order of the requests.
        cls.proxy = sidecar.start(cls, envoy.bootstrap(
            [envoy.http("in", cls.port, routes)], [envoy.cluster(ports=[cls.backend.port])]),
            flags=["--concurrency", "1"])

    def run_row(self, row, cut=None, pacer=None):
        name, table, data, follower = row
        data += b"" if table == "UNFINISHED" else get(follower, CLOSE)
        client = connect(self, self.port)
        try:
            if cut is not None:
                client.send(data[:cut])
                pacer.exchange(get("/pace"))  # the worker has read the first part once this is answered
            client.send(data[cut:])
            if table == "UNFINISHED":
                client.finish()
            answer = client.read_all()
        except ConnectionResetError:
            answer = b""
        except OSError as failure:
            self.fail(f"{name} ({table}), cut at {cut}: {failure}; {self.proxy.log_tail()}")
        finally:
            client.close()
        return answer

    def logged(self):
        """What Pillion's log has up to now, as lines of requests that reached the backend."""
        Requests.ends += 1
        connect(self, self.port).exchange(get(last := f"/end{Requests.ends}"))
        lines = sidecar.until("the last request in the log", lambda: [
            line for lines in [self.proxy.access_log()] if lines and lines[-1]["path"] == last for line in lines])
        return [line for line in lines if line["host"] not in (None, "-")]

    def check(self, mark):
        """Compares since `mark` = (lines, requests) and returns the lines that were forwarded."""
        forwarded = self.logged()[mark[0]:]
        seen = self.backend.seen()[mark[1]:]
        whole = [line for line in forwarded if line["flags"] in (None, "-")]
        passed = [line for line in whole if line["status"] == 200]
        refused = {line["path"]: line["status"] for line in whole if line["status"] != 200}
        self.assertEqual(seen, [(line["method"], line["path"], int(line["received"])) for line in passed])
        self.assertEqual(refused, {path: self.refuses.get(self.names.get(path[:6])) for path in refused})
        hidden = [line["path"] for line in forwarded if line["path"].startswith("/h")]
        self.assertEqual(hidden, [])
        return passed

    def mark(self):
        return len(self.logged()), len(self.backend.seen())

    def test_the_backend_sees_what_the_proxy_logs(self):
        mark = self.mark()
        answers = [(row, self.run_row(row)) for row in rows()]
        paths = {line["path"] for line in self.check(mark)}
        for (name, table, _, follower), answer in answers:
            with self.subTest(name, table=table):
                forwarded = any(path.startswith("/c" + follower[2:]) for path in paths)
                if name not in self.refuses:
                    self.assertEqual(forwarded, table in ("ACCEPTED", "LAST"), answer)
                self.assertEqual(follower in paths, table == "ACCEPTED", answer)
                if table in ("REFUSED", "BROKEN_BODY"):
                    self.assertRegex(answer, rb"\AHTTP/1.1 (400|403|404|414|417|426|431|501|505) ")
                    self.assertEqual(answer.count(b"HTTP/1.1 "), 1 + answer.count(b"HTTP/1.1 100"))

    def test_the_same_cut_at_every_byte(self):
        if not self.cut:
            return
        mark = self.mark()
        pacer = connect(self, self.port)
        expected = 0
        for row in [row for row in rows() if len(row[2]) < 300][::CUT_EVERY]:
            for cut in range(1, len(row[2]) + 1):
                self.run_row(row, cut, pacer)
            if row[0] not in self.refuses:
                expected += {"ACCEPTED": 2, "LAST": 1}.get(row[1], 0) * len(row[2])
        passed = [line for line in self.check(mark) if not line["path"].startswith("/end")]
        self.assertEqual(len(passed), expected)


class ToAnOrigin(Requests, unittest.TestCase):
    start = Origin
    cut = True

    def test_a_backend_that_reads_otherwise_is_noticed(self):
        # As this comparison would be worth nothing if it could not fail.
        def careless(peer):
            while peer.fill():
                for method, path in re.findall(rb"(GET|POST) (/\S*) HTTP", peer.take(len(peer.buffer))):
                    self.backend.requests.append((method.decode(), path.decode(), 0))
                    peer.send(reply())
        for name in ("a hidden request as a chunk", "a hidden request as a body by length"):
            with self.subTest(name):
                row = next(row for row in rows() if row[0] == name)
                mark = self.mark()
                self.backend.scripts = (careless,)
                self.addCleanup(setattr, self.backend, "scripts", (self.backend.serve,))
                self.backend.drop_connections()
                self.run_row(row)
                with self.assertRaisesRegex(AssertionError, "/h"):
                    self.check(mark)


class ToNginx(Requests, unittest.TestCase):
    refuses = {"dots and escapes": 400}
    cut = programs.FULL

    def start(self):
        return Behind(self, programs.nginx)


class ToHaproxy(Requests, unittest.TestCase):
    cut = programs.FULL

    def start(self):
        return Behind(self, programs.haproxy)


class ToEnvoy(Requests, unittest.TestCase):
    cut = programs.FULL

    def start(self):
        return Behind(self, envoy_before)


class ToNode(Requests, unittest.TestCase):
    start = programs.node_server
    cut = programs.FULL


class ToGo(Requests, unittest.TestCase):
    start = programs.go_server
    cut = programs.FULL


class ToPython(Requests, unittest.TestCase):
    start = programs.python_server
    cut = programs.FULL


if __name__ == "__main__":
    unittest.main()
