#!/usr/bin/env python3
"""The same requests over {HTTP/1.1, HTTP/2} from the client and {HTTP/1.1, HTTP/2} to the server get the same
answers: in clear text and by ALPN, through one sidecar and through two.  The client is curl, the server Node."""

import hashlib
import itertools
import json
import os
import subprocess
import unittest

import envoy_config as envoy
import programs
import sidecar
from clients import PRIOR
from ways import Ways

# What curl offers, and what it then speaks.  That it may go on in HTTP/2 (Upgrade: h2c) is not taken up.
CLEAR = {("--http1.1",): "HTTP/1.1", (PRIOR,): "HTTP/2", ("--http2",): "HTTP/1.1"}
TLS = {("-k", "--http1.1"): "HTTP/1.1", ("-k", "--http2"): "HTTP/2"}
# What a protocol may say in its own way, or not at all.
OWN = {"date", "content-length", "transfer-encoding", "x-envoy-upstream-service-time", "connection", "keep-alive", "trailer"}
REQUESTS = [
    ("a GET", ["/a?b=c", "-H", "X-One: 1", "-H", "Cookie: a=1; b=2"]),
    ("a HEAD", ["/?sized", "--head"]),
    ("204", ["/?status=204"]),
    ("304", ["/?status=304"]),
    ("404", ["/?status=404"]),
    ("500", ["/?status=500"]),
    ("no body", ["/?size=0&sized"]),
    ("a long answer", ["/?size=3000000"]),
    ("a long answer with its length", ["/?size=3000000&sized"]),
    ("a POST", ["/", "--data-binary", "hello"]),
    ("an empty POST", ["/", "--data-binary", ""]),
    ("a long PUT", ["/", "-X", "PUT", "--data-binary", "@long"]),
    ("an upload of unknown length", ["/", "-T", "-"]),
    ("trailers", ["/?trailer&size=10000"]),
    ("an answer before the end of the upload", ["/?early", "-X", "POST", "--data-binary", "@long"]),
    ("a reset", ["/?reset=2", "--data-binary", "x"]),
]


class Both(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ways = Ways(cls, {"http1": (programs.echo_server(cls, "http1").port, envoy.EXPLICIT_H1),
                              "h2c": (programs.echo_server(cls, "h2c").port, envoy.EXPLICIT_H2)})
        clear, tls = (itertools.product(ways, clients.items()) for ways, clients in (
            ([(way, f"http://127.0.0.1:{port}") for way, port in cls.ways.all()], CLEAR),
            ([(way, f"https://127.0.0.1:{port}") for way, port in cls.ways.tls.items()], TLS)))
        cls.pairs = [*clear, *tls]
        cls.dir = programs.folder(cls)
        cls.long = os.urandom(2_000_000)
        with open(os.path.join(cls.dir, "long"), "wb") as out:
            out.write(cls.long)

    def ask(self, url, options, spoken, arguments):
        """(status, fields, body) of an answer, without what belongs to its protocol."""
        command = [programs.find_debian("curl"), "-s", "--noproxy", "*", "-D", "head", "-o", "body", "--max-time", "30",
                   "-H", "Expect:", "-H", "Host: app", *options, *arguments[1:], url + arguments[0]]
        with open(os.path.join(self.dir, "body"), "wb"):
            pass  # curl makes none for an answer without a body
        result = subprocess.run(command, cwd=self.dir, input=b"from stdin" * 1000, capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        # Trailers follow the head, as curl writes it.
        head, _, trailers = sidecar.read(os.path.join(self.dir, "head")).replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        lines += ["trailer-" + line for line in trailers.strip().split("\n") if line]
        with open(os.path.join(self.dir, "body"), "rb") as file:
            body = b"" if "--head" in arguments else file.read()  # curl writes the head there
        version, status = first.split(" ")[:2]
        self.assertEqual(version, spoken)
        fields = sorted(tuple(line.lower().split(": ", 1)) for line in lines)
        return int(status), [field for field in fields if field[0] not in OWN], body

    def comparable(self, status, fields, body):
        if body.startswith(b"{"):
            seen = json.loads(body)
            del seen["protocol"]
            for key in ("host", "x-request-id", "x-envoy-expected-rq-timeout-ms", "connection", "content-length",
                        "transfer-encoding", "x-forwarded-proto"):
                seen["fields"].pop(key, None)
            body = json.dumps(seen, sort_keys=True)
        joined = {}
        for name, value in fields:  # two fields of a name are one with a comma
            joined[name] = joined[name] + ", " + value if name in joined else value
        return status, joined, body if len(body) < 5000 else hashlib.sha256(body).hexdigest()

    def test_all_give_the_same(self):
        for what, arguments in REQUESTS:
            with self.subTest(what):
                answers = {(way, options): self.comparable(*self.ask(url, options, spoken, arguments))
                           for (way, url), (options, spoken) in self.pairs}
                first = next(iter(answers.values()))
                for pair, answer in answers.items():
                    # An HTTP/1 server resets by closing: its failure has another name.
                    if what == "a reset":
                        answer, first = answer[0], 503
                    self.assertEqual(answer, first, pair)


if __name__ == "__main__":
    unittest.main()
