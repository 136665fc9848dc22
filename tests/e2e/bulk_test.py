#!/usr/bin/env python3
"""Large bodies: every byte arrives, and whoever is slow stalls the other side instead of filling memory."""

import hashlib
import socket
import threading
import unittest

import envoy_config as envoy
import sidecar
from peers import CRLF, Upstream, connect, echo, get

LARGE = 100 << 20
BLOCK = bytes(range(256)) * 256  # 64 KiB
SLACK = 24 << 20  # what a stalled transfer may cost, kernel buffers apart


def digest_of(size):
    digest = hashlib.blake2b()
    for _ in range(size // len(BLOCK)):
        digest.update(BLOCK)
    return digest.hexdigest()


def send_body(peer, size=LARGE):
    for _ in range(size // len(BLOCK)):
        peer.socket.sendall(BLOCK)


def send_chunks(peer, size=LARGE):
    for _ in range(size // len(BLOCK)):
        peer.socket.sendall(b"%x\r\n" % len(BLOCK) + BLOCK + CRLF)
    peer.send(b"0\r\n\r\n")


def download(peer):
    peer.read_request()
    peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")
    send_body(peer)
    peer.hang()


def download_chunked(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    send_chunks(peer)
    peer.hang()


class Bulk(unittest.TestCase):
    def proxy(self, script, listener=envoy.http):
        self.upstream = Upstream(self, script)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [listener("in", self.port)], [envoy.cluster(ports=[self.upstream.port])]))
        return connect(self, self.port)

    def test_100_mb_down_by_length(self):
        client = self.proxy(download)
        head = client.send(get()).read_head()
        self.assertEqual(head.get("content-length"), str(LARGE))
        self.assertEqual(client.read_hash(LARGE), (LARGE, digest_of(LARGE)))
        self.assertEqual(int(self.sidecar.wait_access_log(1)[0]["sent"]), LARGE)

    def test_100_mb_down_in_chunks(self):
        client = self.proxy(download_chunked)
        answer = client.exchange(get())
        self.assertEqual((len(answer.body), hashlib.blake2b(answer.body).hexdigest()), (LARGE, digest_of(LARGE)))

    def test_100_mb_up_by_length_and_in_chunks(self):
        client = self.proxy(echo)
        client.send(get("/", f"Content-Length: {LARGE}", method="POST"))
        send_body(client)
        answer = client.read_response().json()
        self.assertEqual((answer["length"], answer["digest"]), (LARGE, digest_of(LARGE)))
        client.send(get("/", "Transfer-Encoding: chunked", method="POST"))
        send_chunks(client)
        answer = client.read_response().json()
        self.assertEqual((answer["length"], answer["digest"]), (LARGE, digest_of(LARGE)))

    def test_a_client_that_stops_reading_stalls_its_upstream(self):
        stalled = Stall()
        client = self.proxy(lambda peer: (peer.read_request(), peer.send(
            f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"), stalled.send_until_stuck(peer, LARGE)))
        before = self.sidecar.rss()
        client.send(get())
        client.read_head()
        sidecar.until("the upstream is stuck", stalled.stuck.is_set)
        if not sidecar.sanitized():
            self.assertLess(self.sidecar.rss() - before, SLACK)
        self.assertEqual(client.read_hash(LARGE), (LARGE, digest_of(LARGE)))

    def test_an_upstream_that_stops_reading_stalls_the_client(self):
        go_on = threading.Event()

        def slow(peer):
            peer.read_head()
            go_on.wait(sidecar.DEADLINE)
            self.assertEqual(peer.read_hash(LARGE), (LARGE, digest_of(LARGE)))
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            peer.hang()
        client = self.proxy(slow)
        before = self.sidecar.rss()
        client.send(get("/", f"Content-Length: {LARGE}", method="PUT"))
        stalled = Stall()
        sender = threading.Thread(target=stalled.send_until_stuck, args=(client, LARGE))
        sender.start()
        sidecar.until("the client is stuck", stalled.stuck.is_set)
        if not sidecar.sanitized():
            self.assertLess(self.sidecar.rss() - before, SLACK)
        go_on.set()
        sender.join()
        self.assertEqual(client.read_response().status, 200)


class Stall:
    """Sends a body, and notices when the other side takes nothing any more."""

    def __init__(self):
        self.stuck = threading.Event()

    def send_until_stuck(self, peer, size):
        peer.socket.settimeout(0.5)
        left = size
        while left:
            part = BLOCK[(size - left) % len(BLOCK):]
            try:
                left -= peer.socket.send(part)
            except socket.timeout:
                self.stuck.set()
        peer.socket.settimeout(sidecar.DEADLINE)
        self.stuck.set()
        return left == 0


if __name__ == "__main__":
    unittest.main()
