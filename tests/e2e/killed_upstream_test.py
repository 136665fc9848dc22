#!/usr/bin/env python3
"""A server that is killed ends its TLS connections without close_notify.  Where it had sent nothing of a response
the request is asked again, as on a plain connection; where it had begun one the client must not take it for whole."""

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

import envoy_config as envoy
import sidecar
from peers import connect, get

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CUT = b"HTTP/1.1 200 OK\r\ncontent-le"
IDENTITY = "spiffe://mesh.local/ns/shop/sa/users"


class KilledUpstream(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pillion-killed-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.certificates = [os.path.join(self.dir, name) for name in ("w.crt", "w.key", "ca.crt")]
        for arguments in (["init", "--trust-domain", "mesh.local"],
                          ["issue", "--spiffe", IDENTITY, "--out-cert", self.certificates[0],
                           "--out-key", self.certificates[1]]):
            subprocess.run([sidecar.PILLION, "ca", *arguments[:1], "--dir", self.dir, *arguments[1:]], check=True,
                           capture_output=True, timeout=30)

    def serve(self, *last_words):
        """Each connection answers one request and dies at the second, after its last words."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificates[:2])
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)

        def run():
            for words in [*last_words, b""]:
                try:
                    raw, _ = listening.accept()
                    raw.settimeout(sidecar.DEADLINE)
                    peer = context.wrap_socket(raw, server_side=True)
                    peer.recv(65536)
                    peer.sendall(OK)
                    if peer.recv(65536) and words:
                        peer.sendall(words)
                    peer.close()  # TCP's end without TLS's
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        return listening.getsockname()[1]

    def client_of(self, upstream):
        port = sidecar.free_port()
        cluster = envoy.cluster(ports=[upstream], transport_socket=envoy.tls_client(self.certificates, [IDENTITY]))
        sidecar.start(self, envoy.bootstrap([envoy.http("in", port)], [cluster]), flags=["--concurrency", "1"])
        return connect(self, port)

    def test_a_request_without_a_byte_of_answer_is_asked_again(self):
        client = self.client_of(self.serve(b""))
        self.assertEqual([client.exchange(get()).status for _ in range(2)], [200, 200])

    def test_a_response_that_had_begun_is_an_error(self):
        client = self.client_of(self.serve(CUT))
        self.assertEqual([client.exchange(get()).status for _ in range(2)], [200, 502])


if __name__ == "__main__":
    unittest.main()
