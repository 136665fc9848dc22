#!/usr/bin/env python3
"""What is not HTTP: refused with the right status and a closed connection, and never passed on as whole."""

import threading
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, get, reply

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = (
    ("TE with CL", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    ("CL with TE", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("TE of two codings", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("TE identity", POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    ("TE twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    ("TE with a vertical tab", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", (400, 501)),
    ("two lengths", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("a list of lengths", POST + b"Content-Length: 3, 4\r\n\r\nabcd", 400),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\n", 400),
    ("a length with a sign", POST + b"Content-Length: +3\r\n\r\nabc", 400),
    ("a length in hexadecimal", POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    ("a length beyond 64 bits", POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    ("an empty length", POST + b"Content-Length:\r\n\r\n", 400),
    ("a bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("a bare LF after a field", HEAD + b"X: 1\n\r\n", 400),
    ("a bare CR in a value", HEAD + b"X: 1\r2\r\n\r\n", 400),
    ("a NUL in a value", HEAD + b"X: \x00\r\n\r\n", 400),
    ("a control character in a value", HEAD + b"X: \x01\r\n\r\n", 400),
    ("a folded line", HEAD + b"X: 1\r\n 2\r\n\r\n", 400),
    ("a field before the first name", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("a space before the colon", HEAD + b"X : 1\r\n\r\n", 400),
    ("an empty name", HEAD + b": 1\r\n\r\n", 400),
    ("a line without a colon", HEAD + b"nonsense\r\n\r\n", 400),
    ("a bad character in a name", HEAD + b"X@: 1\r\n\r\n", 400),
    ("a bad method", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a relative target", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", (400, 505)),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", (400, 505)),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", HEAD + b"Host: b\r\n\r\n", 400),
    ("a Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("a Host that contradicts the target", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a bad chunk size", CHUNKED + b"g\r\n", 400),
    ("a chunk size with a sign", CHUNKED + b"-1\r\n", 400),
    ("a chunk size with 0x", CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", 400),
    ("a chunk size beyond 64 bits", CHUNKED + b"fffffffffffffffff\r\n", 400),
    ("a chunk size with a bare LF", CHUNKED + b"1\na\r\n0\r\n\r\n", 400),
    ("a chunk longer than its size", CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400),
    ("a chunk extension with a bare CR", CHUNKED + b"1;a\rb\r\na\r\n0\r\n\r\n", 400),
    ("a trailer that frames", CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n", 400),
    ("a long request line", b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("a long field", HEAD + b"X: " + b"a" * 70000 + b"\r\n\r\n", 431),
    ("many long fields", HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(90)) + b"\r\n", 431),
    ("many fields", HEAD + b"X: 1\r\n" * 101 + b"\r\n", 431),
    ("another expectation", POST + b"Expect: tea\r\nContent-Length: 0\r\n\r\n", 417),
)

TRUNCATED = (
    ("within the length", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
    ("within a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
    ("after a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ("before the end of the trailers", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n"),
    ("by a bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"),
)

NOT_RESPONSES = (
    ("noise", b"\x00\x01\x02 not http at all\r\n\r\n"),
    ("no version", b"200 OK\r\n\r\n"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("TE with CL", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a bare LF", b"HTTP/1.1 200 OK\r\nX: 1\nY: 2\r\nContent-Length: 0\r\n\r\n"),
    ("a folded line", b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 0\r\n\r\n"),
    ("an unasked upgrade", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ("an endless head", b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 100_000),
)


def begin(owner, *scripts, **how):
    """Gives a test, or a class of them, an upstream that plays `scripts` and a proxy in front of it."""
    owner.upstream = Upstream(owner, *scripts)
    owner.port = sidecar.free_port()
    owner.proxy = sidecar.start(owner, envoy.bootstrap(
        [envoy.http("in", owner.port)], [envoy.cluster(ports=[owner.upstream.port])]), **how)


class MalformedRequests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        begin(cls)

    def test_each_is_refused_counted_and_its_connection_closed(self):
        for name, request, status in MALFORMED:
            with self.subTest(name):
                before = self.proxy.stats()
                client = connect(self, self.port)
                answer = client.exchange(request)
                self.assertIn(answer.status, status if isinstance(status, tuple) else (status,))
                self.assertEqual(answer.get("connection"), "close")
                self.assertTrue(answer.complete)
                # What comes next is not looked at: it may be anything.
                try:
                    client.send(get("/smuggled"))
                except OSError:
                    pass
                self.assertTrue(client.is_closed())
                changed = {k: v - before[k] for k, v in self.proxy.stats().items() if v != before[k]}
                counters = [k for k in changed if "error" in k or "rejected" in k or "too_large" in k]
                self.assertTrue(counters, changed)

    def test_the_access_log_names_the_reason(self):
        connect(self, self.port).exchange(b"GET /reason HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n")
        # Lines of other tests may still be on their way, from another worker.
        line = sidecar.until("the line", lambda: [x for x in self.proxy.access_log() if x["path"] == "/reason"])[0]
        self.assertEqual((line["status"], line["flags"]), (400, "DPE"))
        self.assertTrue(line["details"].startswith("http1."), line)

    def test_a_request_cut_short_is_no_request(self):
        count = self.upstream.count
        client = connect(self, self.port)
        client.send(HEAD)
        client.finish()
        client.is_closed()
        self.assertEqual(self.upstream.count, count)


class MalformedResponses(unittest.TestCase):
    def play(self, *scripts):
        begin(self, *scripts, flags=("--concurrency", "1"))  # one worker: its log lines are in order

    def test_a_response_cut_short_never_looks_complete(self):
        scripts = [answers(response, then="close") for _, response in TRUNCATED]
        self.play(*scripts, answers(reply(b"fine")))
        for name, _ in TRUNCATED:
            with self.subTest(name):
                client = connect(self, self.port)
                try:
                    self.assertFalse(client.exchange(get()).complete)
                except (ConnectionResetError, EOFError):
                    pass  # as it should be
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"fine")
        for line in self.proxy.wait_access_log(len(TRUNCATED))[:len(TRUNCATED)]:
            self.assertNotEqual(line["flags"], "-", line)

    def test_an_http10_client_sees_a_reset_when_a_response_is_cut_short(self):
        # Its only sign of the end is the end of the connection, which must not look orderly.
        self.play(answers(TRUNCATED[1][1], then="close"))
        client = connect(self, self.port)
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        with self.assertRaises(ConnectionResetError):
            client.read_all()

    def test_what_is_no_response_becomes_502(self):
        self.play(*[answers(response) for _, response in NOT_RESPONSES], answers(reply(b"fine")))
        client = connect(self, self.port)
        for name, _ in NOT_RESPONSES:
            with self.subTest(name):
                answer = client.exchange(get())
                self.assertEqual((answer.status, answer.body[:30]), (502, b"upstream connect error or disc"))
        self.assertEqual(client.exchange(get()).body, b"fine")
        line = self.proxy.wait_access_log(1)[0]
        self.assertEqual((line["flags"], line["details"]),
                         ("UPE", "upstream_reset_before_response_started{protocol_error}"))

    def test_bytes_after_a_response_answer_nobody(self):
        def chatty(peer):
            peer.read_request()
            peer.send(reply(b"mine") + reply(b"poison"))
            peer.hang()
        self.play(chatty, answers(reply(b"fresh")))
        client = connect(self, self.port)
        self.assertEqual(client.exchange(get()).body, b"mine")
        self.assertEqual(client.exchange(get()).body, b"fresh")

    def test_bytes_on_an_idle_connection_end_it(self):
        talk = threading.Event()

        def late(peer):
            peer.read_request()
            peer.send(reply(b"mine"))
            talk.wait(10)
            peer.send(reply(b"poison"))
            peer.hang()
        self.play(late, answers(reply(b"fresh")))
        client = connect(self, self.port)
        self.assertEqual(client.exchange(get()).body, b"mine")
        talk.set()
        self.proxy.wait_stat("cluster.app.upstream_cx_active", 0)
        self.assertEqual(client.exchange(get()).body, b"fresh")


if __name__ == "__main__":
    unittest.main()
