#!/usr/bin/env python3
"""What is no whole response never looks like one to a client, and the next request gets its own answer."""

import contextlib
import unittest

import desync_responses as corpus
import envoy_config as envoy
import programs
import sidecar
from peers import Upstream, connect, get, reply

CUT_EVERY = 6 if programs.FULL else 24  # of the rows that are sent in two parts, cut at every byte


def rows(*tables):
    return [(table, row[0].decode("latin-1"), *row[1:]) for table in tables for row in getattr(corpus, table)]


class Responses(unittest.TestCase):
    path = "/row"

    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream(cls, cls.serve)
        cls.port = sidecar.free_port()
        routes = [{"match": {"path": "/pace"}, "direct_response": {"status": 200}}, envoy.route()]
        cls.proxy = sidecar.start(cls, envoy.bootstrap(
            [envoy.http("in", cls.port, routes)], [envoy.cluster(ports=[cls.upstream.port])]),
            flags=["--concurrency", "1"])
        cls.parts, cls.then = [], "hang"

    @classmethod
    def serve(cls, peer):
        while (request := peer.read_request()) is not None:
            path = request.first.split(" ")[1]
            if path.startswith("/good"):
                peer.send(reply(path.encode()))
                continue
            for number, part in enumerate(cls.parts):
                if number:
                    cls.pacer.exchange(get("/pace"))  # the worker has read what was sent once this is answered
                peer.send(part)
            if cls.then == "close":
                return

    def answer(self, client, method="GET"):
        """The response, or None for one that did not end."""
        with contextlib.suppress(OSError, EOFError):
            message = client.exchange(get(self.path, method=method), method=method)
            return message if message.complete else None
        return None

    def run_row(self, number, row, cut=None, method="GET"):
        table, _, data, *body = row
        Responses.parts = [data] if cut is None else [data[:cut], data[cut:]]
        Responses.then = "close" if table == "CUT" else "hang"
        client = connect(self, self.port)
        message = self.answer(client, method)
        if table in ("WHOLE", "POISONED"):
            self.assertEqual(message and message.body, body[0] if method == "GET" else b"")
        elif message is not None:
            self.assertEqual((message.status, message.body[:30]), (502 if table == "REFUSED" else message.status,
                                                                   b"upstream connect error or disc"))
            self.assertIn(message.status, (502, 503))
        # Whether or not the connection lives: whoever asks next gets his own answer.
        for next_client in ([client] if message and message.get("connection") != "close" else []) + [connect(self,
            self.port)]:
            answer = next_client.exchange(get(path := f"/good{number}"))
            self.assertEqual((answer.status, answer.body), (200, path.encode()))
            next_client.close()
        client.close()
        return message

    def test_each_row_is_judged_and_the_next_request_gets_its_own_answer(self):
        everything = rows("REFUSED", "BROKEN", "CUT", "WHOLE", "POISONED")
        for number, row in enumerate(everything):
            with self.subTest(row[1], table=row[0]):
                message = self.run_row(number, row)
                if row[0] in ("BROKEN", "REFUSED"):
                    self.assertEqual(message and message.status, None if row[0] == "BROKEN" else 502)

    def test_the_log_tells_them_from_whole_ones(self):
        self.path = "/logged"
        broken = rows("REFUSED", "BROKEN", "CUT")
        for number, row in enumerate(broken):
            with self.subTest(row[1], table=row[0]):
                self.run_row(number, row)

        def logged():
            return [line for line in self.proxy.access_log() if line["path"] == self.path]

        sidecar.until(lambda: f"{len(broken)} lines, have {len(logged())}", lambda: len(logged()) >= len(broken))
        for row, line in zip(broken, logged()):
            with self.subTest(row[1]):
                self.assertIn(line["flags"], ("UPE", "UC"), line)

    def test_a_response_to_head_has_no_body_whatever_it_says(self):
        for number, row in enumerate(rows("WHOLE", "POISONED")):
            with self.subTest(row[1]):
                self.run_row(number, row, method="HEAD")

    def test_the_same_cut_at_every_byte(self):
        Responses.pacer = connect(self, self.port)
        # Not POISONED: what comes after the next request was sent cannot be told from its answer.
        short = [row for row in rows("REFUSED", "BROKEN", "CUT", "WHOLE") if len(row[2]) < 300]
        for number, row in enumerate(short[::CUT_EVERY]):
            for cut in range(1, len(row[2])):
                with self.subTest(row[1], table=row[0], cut=cut):
                    self.run_row(number, row, cut)


if __name__ == "__main__":
    unittest.main()
