#!/usr/bin/env python3
"""Exchanges from one body over {HTTP/1.1, HTTP/2} to {HTTP/1.1, HTTP/2}, plain and with mutual TLS: heads, bodies,
interim responses, fields."""

import hashlib
import os
import unittest

import envoy_config as envoy
from matrix import Matrix
from peers import answers, get, reply

BIG = os.urandom(3_000_000)


def chunks(body, size=70_000):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part)
                    for part in (body[i:i + size] for i in range(0, len(body), size)))


class Exchanges(Matrix):
    def test_every_method_arrives_as_it_was_sent(self):
        for way in self.each():
            client = way.client()
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"):
                answer = client.exchange(get(method=method, body=b"" if method == "POST" else None)).json()
                self.assertEqual((answer["method"], answer["target"]), (method, "/"))

    def test_one_connection_serves_many_requests_and_so_does_the_upstream_one(self):
        for way in self.each():
            client = way.client()
            connections = {client.exchange(get(f"/{n}")).json()["connection"] for n in range(20)}
            self.assertEqual(connections, {1})
            self.assertEqual(way.counter("http.downstream_cx_total"), 1)

    def test_requests_that_are_sent_at_once_are_all_answered(self):
        for way in self.each():
            client = way.client()
            for n in range(10):
                client.send(get(f"/{n}", body=b"x" * n, method="PUT"))
            for n in range(10):
                answer = client.read_response().json()
                self.assertEqual((answer["target"], answer["length"]), (f"/{n}", n))

    def test_a_request_with_trailers_arrives_whole(self):
        for way in self.each():
            client = way.client()
            answer = client.exchange(
                get("/", "Transfer-Encoding: chunked", "Trailer: x-sum", method="POST"),
                b"5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 11\r\n\r\n").json()
            self.assertEqual((answer["length"], answer["trailers"]), (11, [["x-sum", "11"]]))
            self.assertEqual(client.exchange(get("/next")).json()["target"], "/next")

    def test_a_response_with_trailers_arrives_whole(self):
        for way in self.each(answers(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: yes\r\n\r\n",
                reply(b"second"))):
            client = way.client()
            first = client.exchange(get())
            self.assertEqual((first.body, first.trailers), (b"abcde", [("x-end", "yes")]))
            self.assertEqual(client.exchange(get()).body, b"second")

    def test_a_response_without_a_length_ends_where_it_ends(self):
        for way in self.each(answers(b"HTTP/1.1 200 OK\r\n\r\nuntil close", then="leave"), answers(reply(b"next"))):
            client = way.client()
            first = client.exchange(get())
            self.assertEqual((first.body, first.complete, first.get("content-length")), (b"until close", True, None))
            self.assertEqual(client.exchange(get()).body, b"next")

    def test_responses_without_a_body_leave_the_connection_usable(self):
        for method, status in (("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")):
            length = b"" if status.startswith("204") else b"Content-Length: 1000\r\n"
            head = f"HTTP/1.1 {status}\r\nEtag: x\r\n".encode() + length + b"\r\n"
            for way in self.each(answers(head, reply(b"next"))):
                client = way.client()
                first = client.exchange(get(method=method), method=method)
                self.assertEqual((first.status, first.body), (int(status[:3]), b""))
                self.assertEqual(first.get("content-length"), "1000" if length else None)
                self.assertIsNone(first.get("transfer-encoding"))
                self.assertEqual(client.exchange(get()).body, b"next")

    def test_a_205_has_no_body(self):
        for way in self.each(answers(reply(b"", status="205 Reset Content"), reply(b"next"))):
            client = way.client()
            first = client.exchange(get())
            self.assertEqual((first.status, first.body, first.get("content-length")), (205, b"", "0"))
            self.assertEqual(client.exchange(get()).body, b"next")

    def test_100_continue_is_the_proxys_own_word_by_default(self):
        def script(peer):
            head = peer.read_head()
            assert head.get("expect") is None, head.raw
            assert peer.read(4) == b"body"
            peer.send(reply(b"done"))
            peer.hang()
        for way in self.each(script):
            client = way.client()
            client.send(get("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
            self.assertEqual(client.read_head().status, 100)
            self.assertEqual(client.exchange(b"body").body, b"done")

    def test_100_continue_comes_from_the_upstream_where_configured(self):
        def script(peer):
            head = peer.read_head()
            assert head.get("expect") == "100-continue", head.raw
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert peer.read(4) == b"body"
            peer.send(reply(b"done"))
            peer.hang()
        for way in self.each(script, proxy_100_continue=True):
            client = way.client()
            client.send(get("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
            self.assertEqual(client.read_head().status, 100)
            self.assertEqual(client.exchange(b"body").body, b"done")

    def test_a_refused_expectation_reaches_the_client_before_its_body(self):
        for way in self.each(lambda peer: (peer.read_head(), peer.send(reply(status="417 Expectation Failed")),
                                           peer.hang()), proxy_100_continue=True):
            answer = way.client().exchange(get("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
            self.assertEqual((answer.status, answer.interim), (417, []))

    def test_early_hints_are_forwarded(self):
        for way in self.each(answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + reply(b"page"))):
            answer = way.client().exchange(get())
            self.assertEqual([(i.status, i.get("link")) for i in answer.interim], [(103, "</a>")] * 2)
            self.assertEqual(answer.body, b"page")

    def test_options_asterisk_is_forwarded_as_such(self):
        for way in self.each(routes=[envoy.route(prefix="*")]):
            answer = way.client().exchange(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").json()
            self.assertEqual((answer["method"], answer["target"]), ("OPTIONS", "*"))

    # ---- bodies ----

    def test_large_bodies_pass_both_ways(self):
        digest = hashlib.blake2b(BIG).hexdigest()

        def script(peer):
            while (request := peer.read_request()) is not None:
                assert hashlib.blake2b(request.body).hexdigest() == digest
                peer.send(reply(request.body))
        for way in self.each(script):
            client = way.client()
            sized = get("/", method="PUT", body=BIG)
            chunked = get("/", "Transfer-Encoding: chunked", method="POST") + chunks(BIG) + b"0\r\n\r\n"
            for request in (sized, chunked):
                answer = client.exchange(request)
                self.assertEqual((answer.complete, hashlib.blake2b(answer.body).hexdigest()), (True, digest))

    def test_a_client_that_takes_nothing_for_a_while_gets_all_of_it(self):
        def script(peer):
            while peer.read_request() is not None:
                peer.send(reply(BIG))
        for way in self.each(script, security=("plain",)):
            slow, other = way.client(receive_buffer=8192), way.client()
            slow.send(get("/slow"))
            if way.server_speaks == "h1":  # a script serves one stream at a time
                self.assertEqual(len(other.exchange(get("/other")).body), len(BIG))
            self.assertEqual(slow.read_response().body, BIG)

    # ---- fields ----

    def seen(self, client, *fields):
        names = {}
        for name, value in client.exchange(get("/", *fields)).json()["fields"]:
            names.setdefault(name.lower(), []).append(value)
        return names

    def test_repeated_fields_keep_their_order_and_number(self):
        for way in self.each():
            seen = self.seen(way.client(), "X-A: 1", "Cookie: a=1; b=2", "X-A: 2", "X-A:")
            self.assertEqual((seen["x-a"], seen["cookie"]), (["1", "2", ""], ["a=1; b=2"]))

    def test_te_and_host_go_on_and_hop_by_hop_fields_do_not(self):
        for way in self.each():
            seen = self.seen(way.client(), "TE: trailers", "Connection: keep-alive", "Keep-Alive: 5")
            self.assertEqual((seen["te"], seen["host"]), (["trailers"], ["app"]))
            for name in ("keep-alive", "transfer-encoding", "upgrade"):
                self.assertNotIn(name, seen)

    def test_the_edge_says_who_the_client_is(self):
        for way in self.each(use_remote_address=True):
            seen = self.seen(way.client(), "X-Forwarded-For: 10.1.1.1", "X-Forwarded-Proto: ftp", "X-Request-Id: mine",
                             "X-Envoy-Upstream-Rq-Timeout-Ms: 1")
            self.assertEqual(seen["x-forwarded-for"], ["10.1.1.1,127.0.0.1"])
            self.assertEqual(seen["x-forwarded-proto"], ["https" if way.security == "mtls" else "http"])
            self.assertRegex(seen["x-request-id"][0], "^[0-9a-f]{8}-[0-9a-f]{4}-4")
            self.assertNotIn("x-envoy-upstream-rq-timeout-ms", seen)

    def test_every_request_gets_an_id_that_the_log_has(self):
        for way in self.each(always_set_request_id_in_response=True):
            client = way.client()
            ids = [client.exchange(get()).get("x-request-id") for _ in range(2)]
            self.assertEqual(len(set(ids)), 2)
            lines = way.log(2)
            self.assertEqual([line["id"] for line in lines], ids)
            self.assertEqual(lines[0]["protocol"], "HTTP/2" if way.client_speaks == "h2" else "HTTP/1.1")

    def test_via_and_server_are_the_proxys(self):
        for way in self.each(lambda peer: [peer.send(reply(b"a", "Server: origin")) for _ in iter(peer.read_request, None)],
                             via="1.1 pillion"):
            answer = way.client().exchange(get("/", "Via: 1.1 first"))
            self.assertEqual((answer.get("via"), answer.all("server")), ("1.1 pillion", ["envoy"]))

    def test_via_is_added_to_what_a_request_says_before(self):
        for way in self.each(via="1.1 pillion"):
            seen = self.seen(way.client(), "Via: 1.1 first")
            self.assertEqual(seen["via"], ["1.1 first, 1.1 pillion"])


if __name__ == "__main__":
    unittest.main()
