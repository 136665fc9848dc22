#!/usr/bin/env python3
"""Upstream connections: reused, never when they are stale, and no request is repeated that may not be."""

import threading
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, echo, get, reply


class Pools(unittest.TestCase):
    def proxy(self, *scripts, cluster=None, **hcm):
        self.upstream = Upstream(self, *scripts)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", self.port, **hcm)], [envoy.cluster(ports=[self.upstream.port], **(cluster or {}))]),
            flags=["--concurrency", "1"])
        return connect(self, self.port)

    def test_an_upstream_that_closed_its_idle_connection_costs_nothing(self):
        client = self.proxy(answers(reply(b"first"), then="close"), echo)
        self.assertEqual(client.exchange(get()).body, b"first")
        # Whether the proxy has read of the end by now is chance: both must do.
        self.assertEqual(client.exchange(get("/next")).json()["target"], "/next")

    def test_a_connection_that_dies_as_the_next_request_arrives_costs_get_no_error(self):
        # The upstream closes exactly when it has the request: the proxy cannot have known.
        seen = []

        def dies(peer):
            peer.read_request()
            peer.send(reply(b"first"))
            seen.append(peer.read_request().first)
            peer.close()
        client = self.proxy(dies, echo)
        self.assertEqual(client.exchange(get("/1")).body, b"first")
        answer = client.exchange(get("/2"))
        self.assertEqual((answer.status, answer.json()["target"]), (200, "/2"))
        self.assertEqual(seen, ["GET /2 HTTP/1.1"])

    def test_a_put_with_its_body_is_repeated_on_a_fresh_connection(self):
        def dies(peer):
            peer.read_request()
            peer.send(reply(b"first"))
            peer.read_request()
            peer.reset()
        client = self.proxy(dies, echo)
        client.exchange(get("/1"))
        answer = client.exchange(get("/2", method="PUT", body=b"x" * 1000))
        self.assertEqual((answer.status, answer.json()["length"]), (200, 1000))

    def test_a_post_is_never_sent_twice(self):
        seen = []

        def dies(peer):
            peer.read_request()
            peer.send(reply(b"first"))
            seen.append(peer.read_request().first)
            peer.close()

        def counts(peer):
            while (request := peer.read_request()) is not None:
                seen.append(request.first)
                peer.send(reply(b"counted"))
        client = self.proxy(dies, counts)
        client.exchange(get("/1"))
        answer = client.exchange(get("/pay", method="POST", body=b"10"))
        self.assertEqual(answer.status, 503)
        self.assertEqual(client.exchange(get("/after")).body, b"counted")
        self.assertEqual(seen, ["POST /pay HTTP/1.1", "GET /after HTTP/1.1"])

    def test_a_fresh_connection_that_dies_is_not_tried_again(self):
        client = self.proxy(lambda peer: (peer.read_request(), peer.close()), echo)
        self.assertEqual(client.exchange(get()).status, 503)
        self.assertEqual(self.upstream.count, 1)

    def test_after_part_of_a_response_nothing_is_repeated(self):
        def dies(peer):
            peer.read_request()
            peer.send(reply(b"first"))
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Len")
            peer.close()
        client = self.proxy(dies, echo)
        client.exchange(get("/1"))
        self.assertIn(client.exchange(get("/2")).status, (502, 503))
        self.assertEqual(self.upstream.count, 1)

    def test_connection_close_of_an_upstream_is_obeyed(self):
        client = self.proxy(answers(reply(b"one", "Connection: close")), answers(reply(b"two")))
        self.assertEqual(client.exchange(get()).body, b"one")
        self.assertEqual(client.exchange(get()).body, b"two")
        self.assertEqual(self.upstream.count, 2)

    def test_max_requests_per_connection(self):
        client = self.proxy(echo, cluster={"protocol": {"max_requests_per_connection": 2}})
        connections = [client.exchange(get()).json()["connection"] for _ in range(6)]
        self.assertEqual(connections, [1, 1, 2, 2, 3, 3])
        self.assertEqual(self.sidecar.stats()["cluster.app.upstream_cx_max_requests"], 3)

    def test_idle_connections_end(self):
        client = self.proxy(echo, cluster={"protocol": {"idle_timeout": "0.2s"}})
        client.exchange(get())
        self.sidecar.wait_stat("cluster.app.upstream_cx_active", 0)
        self.assertEqual(self.sidecar.stats()["cluster.app.upstream_cx_idle_timeout"], 1)
        self.assertEqual(client.exchange(get()).json()["connection"], 2)

    def test_connections_come_from_the_configured_source(self):
        source = {"upstream_bind_config": {"source_address": {"address": "127.0.0.2", "port_value": 0}}}
        seen = []

        def looks(peer):
            seen.append(peer.socket.getpeername()[0])
            echo(peer)
        self.assertEqual(self.proxy(looks, cluster=source).exchange(get()).status, 200)
        self.assertEqual(seen, ["127.0.0.2"])

    def test_a_source_that_is_nobodys_is_counted_and_named(self):
        source = {"upstream_bind_config": {"source_address": {"address": "192.0.2.1", "port_value": 0}}}
        self.assertEqual(self.proxy(cluster=source).exchange(get()).status, 503)
        stats = self.sidecar.stats()
        self.assertEqual((stats["cluster.app.bind_errors"], stats["cluster.app.upstream_cx_connect_fail"]), (1, 1))
        self.sidecar.wait_log("Cannot assign requested address")

    def test_an_early_response_reaches_a_client_that_still_uploads(self):
        def refuses(peer):
            peer.read_head()
            peer.send(reply(b"too much", "Connection: close", status="413 Payload Too Large"))
            peer.finish()
            peer.hang()
        client = self.proxy(refuses, answers(reply(b"fine")))
        client.send(get("/", f"Content-Length: {50 << 20}", method="POST"))
        stop = threading.Event()

        def upload():
            try:
                while not stop.is_set():
                    client.socket.send(b"x" * 65536)
            except OSError:
                pass
        thread = threading.Thread(target=upload)
        thread.start()
        try:
            answer = client.read_response()
            self.assertEqual((answer.status, answer.body, answer.complete), (413, b"too much", True))
            self.assertEqual(answer.get("connection"), "close")
        finally:
            stop.set()
            client.close()
            thread.join()
        self.assertEqual(connect(self, self.port).exchange(get()).body, b"fine")


if __name__ == "__main__":
    unittest.main()
