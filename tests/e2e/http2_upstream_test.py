#!/usr/bin/env python3
"""HTTP/2 towards upstreams: the same requests behind every protocol give the same answers, in clear text and
TLS; what a pool does when an upstream resets, refuses, goes away or allows little."""

import hashlib
import json
import os
import threading
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import Authority
from peers import connect, get

SERVER = "spiffe://mesh.local/ns/shop/sa/server"


class Same(unittest.TestCase):
    """One body of tests over the protocols of the upstream."""

    @classmethod
    def setUpClass(cls):
        authority = Authority(cls)
        certificate, key, bundle = authority.issue(SERVER)
        client = envoy.tls_client((None, None, bundle), ["spiffe://mesh.local/"])
        servers = {
            "http1": (programs.echo_server(cls, "http1"), envoy.EXPLICIT_H1, None, "1.1"),
            "h2c": (programs.echo_server(cls, "h2c"), envoy.EXPLICIT_H2, None, "2.0"),
            "tls": (programs.echo_server(cls, "tls", certificate, key), envoy.EXPLICIT_H2, client, "2.0"),
            "auto": (programs.echo_server(cls, "tls", certificate, key), envoy.AUTO, client, "2.0"),
            "auto1": (programs.echo_server(cls, "tls1", certificate, key), envoy.AUTO, client, "1.1"),
            "same": (programs.echo_server(cls, "http1"), {"use_downstream_protocol_config": {}}, None, "1.1"),
        }
        cls.ports = {name: sidecar.free_port() for name in servers}
        cls.protocols = {name: row[3] for name, row in servers.items()}
        listeners = [envoy.http(name, port, [envoy.route(name)]) for name, port in cls.ports.items()]
        clusters = [envoy.http_cluster(server.port, options, name, tls)
                    for name, (server, options, tls, _) in servers.items()]
        cls.proxy = sidecar.start(cls, envoy.bootstrap(listeners, clusters))

    def each(self):
        return [(name, connect(self, port)) for name, port in self.ports.items()]

    def test_a_request_arrives_whole(self):
        for name, client in self.each():
            answer = client.exchange(get("/a?b=c", "X-One: 1", "Cookie: a=1", "TE: trailers", "Connection: x-gone",
                                         "X-Gone: 1", method="POST", body=b"hello"))
            self.assertEqual(answer.status, 200)
            seen = answer.json()
            self.assertEqual(seen["protocol"], self.protocols[name])
            self.assertEqual((seen["method"], seen["path"], seen["authority"]), ("POST", "/a?b=c", "app"))
            self.assertEqual((seen["length"], seen["digest"]), (5, hashlib.sha256(b"hello").hexdigest()))
            self.assertEqual(seen["fields"]["x-one"], "1")
            self.assertEqual(seen["fields"]["cookie"], "a=1")
            self.assertEqual(seen["fields"]["content-length"], "5")
            self.assertEqual(seen["fields"]["te"], "trailers")
            self.assertNotIn("x-gone", seen["fields"])
            self.assertEqual(answer.all("x-from") in (["one", "two"], ["one, two"]), True, answer.fields)

    def test_answers_without_a_body_end_at_their_head(self):
        for _, client in self.each():
            for method, path, status in (("HEAD", "/?sized", 200), ("GET", "/?status=204", 204),
                                         ("GET", "/?status=304", 304), ("HEAD", "/?early", 200)):
                self.assertEqual(client.exchange(get(path, method=method), method=method).status, status)
            self.assertEqual(client.exchange(get("/next")).json()["path"], "/next")

    def test_bodies_of_any_length_and_framing(self):
        body = os.urandom(3_000_000)
        for _, client in self.each():
            for path in ("/?size=0&sized", "/?size=1", "/?size=3000000", "/?size=3000000&sized"):
                answer = client.exchange(get(path))
                size = int(path.split("=")[1].split("&")[0])
                self.assertEqual((len(answer.body), answer.complete), (size, True))
                if "sized" in path:
                    self.assertEqual(answer.get("content-length"), str(size))
            seen = client.exchange(get("/", method="PUT", body=body)).json()
            self.assertEqual(seen["digest"], hashlib.sha256(body).hexdigest())
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part)
                              for part in (body[i:i + 70_000] for i in range(0, 1_000_000, 70_000)))
            client.send(get("/", "Transfer-Encoding: chunked", method="POST"), chunks, b"0\r\n\r\n")
            sent = b"".join(body[i:i + 70_000] for i in range(0, 1_000_000, 70_000))
            self.assertEqual(client.read_response().json()["digest"], hashlib.sha256(sent).hexdigest())

    def test_trailers_both_ways(self):
        for _, client in self.each():
            client.send(get("/?trailer", "Transfer-Encoding: chunked", "Trailer: x-end", method="POST"),
                        b"3\r\nabc\r\n0\r\nX-End: 7\r\n\r\n")
            answer = client.read_response()
            self.assertEqual(answer.json()["trailers"], {"x-end": "7"})
            self.assertEqual(dict(answer.trailers), {"x-sum": str(len(answer.body))})

    def test_an_answer_that_is_cut_off_is_not_complete(self):
        for _, client in self.each():
            with self.assertRaises((EOFError, ConnectionResetError, ValueError, AssertionError)):
                if client.exchange(get("/?cut&size=1000")).complete:
                    self.fail("complete")
                raise EOFError

    def test_many_at_a_time(self):
        for name, port in self.ports.items():
            with self.subTest(name):
                wrong = []

                def work(port=port, wrong=wrong):
                    client = connect(self, port)
                    for i in range(20):
                        answer = client.exchange(get(f"/{i}?size=10000"))
                        if answer.status != 200 or len(answer.body) != 10000:
                            wrong.append(answer.first)
                threads = [threading.Thread(target=work) for _ in range(30)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(wrong, [])
                stats = self.proxy.stats()
                if self.protocols[name] == "2.0":
                    self.assertLess(stats[f"cluster.{name}.upstream_cx_total"], 30)
                    self.assertEqual(stats[f"cluster.{name}.upstream_cx_http1_total"], 0)
                else:
                    self.assertEqual(stats[f"cluster.{name}.upstream_cx_http2_total"], 0)


class Endings(unittest.TestCase):
    def proxy(self, kind="h2c", **fields):
        self.server = programs.echo_server(self, kind)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port)],
            [envoy.http_cluster(self.server.port, envoy.EXPLICIT_H2, **fields)]), flags=["--concurrency", "1"])
        return connect(self, self.port)

    def flags(self):
        return sidecar.until("a line of the log", lambda: sidecar.read(os.path.join(self.sidecar.dir, "access.log")))

    def test_a_reset_stream_is_a_503_and_the_connection_stays(self):
        client = self.proxy()
        self.assertEqual(client.exchange(get("/")).status, 200)
        answer = client.exchange(get("/?reset=2", method="POST", body=b"x"))
        self.assertEqual((answer.status, answer.body),
                         (503, b"upstream connect error or disconnect/reset before headers. reset reason: remote reset"))
        self.assertEqual(client.exchange(get("/")).status, 200)
        stats = self.sidecar.stats()
        self.assertEqual(stats["cluster.app.upstream_cx_total"], 1)
        self.assertEqual(stats["cluster.app.http2.rx_reset"], 1)
        rows = [json.loads(line) for line in self.flags().splitlines()]
        self.assertEqual(rows[1]["flags"], "UR")

    def test_a_refused_stream_is_tried_again_whatever_its_method_is(self):
        client = self.proxy()
        answer = client.exchange(get("/?reset=7", method="POST", body=b"x"))
        self.assertEqual(answer.status, 503)
        self.assertIn(b"remote refused stream reset", answer.body)
        self.assertEqual(self.sidecar.stats()["cluster.app.http2.stream_refused_errors"], 3)

    def test_a_connection_that_dies_takes_its_streams_along(self):
        client = self.proxy()
        self.assertEqual(client.exchange(get("/")).status, 200)
        answer = client.exchange(get("/?die", method="POST", body=b"x"))
        self.assertEqual(answer.status, 503)
        self.assertEqual(client.exchange(get("/")).status, 200)

    def test_an_upgrade_is_refused(self):
        client = self.proxy()
        answer = client.exchange(get("/", "Upgrade: websocket", "Connection: upgrade"))
        self.assertEqual(answer.status, 403)

    def test_another_server(self):
        port = sidecar.free_port()
        backend = programs.nghttpd(self, {"file": b"x" * 1_000_000}, "--no-tls")
        sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", port)], [envoy.http_cluster(backend.port, envoy.EXPLICIT_H2)]))
        client = connect(self, port)
        answer = client.exchange(get("/file"))
        self.assertEqual((answer.status, len(answer.body), answer.complete), (200, 1_000_000, True))
        self.assertEqual(client.exchange(get("/none")).status, 404)
        self.assertEqual(client.exchange(get("/file", method="HEAD"), method="HEAD").status, 200)


if __name__ == "__main__":
    unittest.main()
