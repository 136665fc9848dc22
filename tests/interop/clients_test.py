#!/usr/bin/env python3
"""Clients that people really use, each with the same cases, through Pillion to an origin.

The origin says what it saw: method, length and framing of the body, trailers.
"""

import concurrent.futures
import hashlib
import http.client
import json
import os
import re
import subprocess
import unittest

import envoy_config as envoy
import programs
import sidecar
from clients import run_cases
from peers import Upstream, reply

CASES = ["get", "post with a length", "post in chunks", "trailers", "expect", "head", "large", "keep-alive",
         "concurrent"]
LARGE = 8 << 20


def origin(peer):
    """/trailers answers with trailers, /bytes/N with N bytes, the rest with what the request was."""
    while (request := peer.read_request()) is not None:
        method, path, _ = request.first.split(" ")
        body = json.dumps({
            "method": method, "length": len(request.body), "digest": hashlib.sha256(request.body).hexdigest(),
            "chunked": request.get("transfer-encoding") == "chunked", "trailers": request.trailers,
            "connection": peer.number}).encode()
        if path.startswith("/bytes/"):
            body = b"x" * int(path[7:])
        if path == "/trailers":
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
            peer.send(head, b"%x\r\n%s\r\n0\r\nX-End: yes\r\n\r\n" % (len(body), body))
            continue
        head = reply(body, "Content-Type: application/json")
        peer.send(head[:len(head) - len(body)] if method == "HEAD" else head)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream(cls, origin)
        cls.port = sidecar.free_port()
        routes = [{"match": {"path": "/direct"},
                   "direct_response": {"status": 200, "body": {"inline_string": "direct"}}},
                  envoy.route()]
        cls.proxy = sidecar.start(cls, envoy.bootstrap(
            [envoy.http("in", cls.port, routes)], [envoy.cluster(ports=[cls.upstream.port], circuit_breakers={
                "thresholds": [{"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}]})]))
        cls.base = f"http://127.0.0.1:{cls.port}"

    def test_go(self):
        run_cases(CASES, programs.built_go("client"), self.base)

    def test_node(self):
        run_cases(CASES, *programs.node("client.js"), self.base)


class Curl(Clients):
    test_go = test_node = None

    def curl(self, *arguments, data=None):
        """(output, what -w says at its end)"""
        command = [programs.find_debian("curl"), "-sS", "--noproxy", "*", "--max-time", "60", *arguments]
        result = subprocess.run(command, input=data, capture_output=True, timeout=90)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout, result.stderr.decode()

    def echoed(self, *arguments, data=None):
        return json.loads(self.curl(*arguments, data=data)[0])

    def test_get(self):
        self.assertEqual(self.echoed(self.base + "/get")["method"], "GET")

    def test_post_with_a_length(self):
        seen = self.echoed("--data-binary", "hello", self.base + "/post")
        self.assertEqual((seen["method"], seen["length"], seen["chunked"]), ("POST", 5, False))

    def test_post_in_chunks(self):
        data = os.urandom(100_000)
        seen = self.echoed("-H", "Transfer-Encoding: chunked", "--data-binary", "@-", self.base + "/post", data=data)
        self.assertEqual((seen["length"], seen["chunked"], seen["digest"]),
                         (100_000, True, hashlib.sha256(data).hexdigest()))

    def test_chunks_with_trailers(self):
        # Its --data cannot send trailers; it reads them, and prints them with -i after the body.
        out, _ = self.curl("-i", "--raw", self.base + "/trailers")
        self.assertTrue(out.lower().endswith(b"\r\n0\r\nx-end: yes\r\n\r\n"), out)
        out, log = self.curl("-v", self.base + "/trailers")
        self.assertEqual(json.loads(out)["method"], "GET")
        self.assertRegex(log.lower(), r"< x-end: yes|left intact")

    def test_expect(self):
        data = os.urandom(2 << 20)
        out, log = self.curl("-v", "-H", "Expect: 100-continue", "--expect100-timeout", "30", "--data-binary", "@-",
                             self.base + "/expect", data=data)
        self.assertEqual(json.loads(out)["digest"], hashlib.sha256(data).hexdigest())
        self.assertIn("< HTTP/1.1 100 Continue", log)

    def test_head(self):
        out, _ = self.curl("-I", self.base + "/head")
        self.assertRegex(out.decode().lower(), r"\Ahttp/1.1 200 ok\r\n(.*\r\n)*content-length: [1-9]")

    def test_large(self):
        data = os.urandom(LARGE)
        seen = self.echoed("-T", "-", "-H", f"Content-Length: {LARGE}", "-H", "Transfer-Encoding:",
                           self.base + "/put", data=data)
        self.assertEqual((seen["method"], seen["digest"]), ("PUT", hashlib.sha256(data).hexdigest()))
        self.assertEqual(len(self.curl(f"{self.base}/bytes/{LARGE}")[0]), LARGE)

    def test_keep_alive(self):
        _, log = self.curl("-v", *[f"{self.base}/get"] * 20)
        self.assertEqual(log.count("Re-using existing connection"), 19, log[-2000:])

    def test_concurrent(self):
        out, _ = self.curl("-Z", "--parallel-max", "32", f"{self.base}/get?[1-200]")
        self.assertEqual(out.count(b'"method": "GET"'), 200)


class PythonClient(Clients):
    test_go = test_node = None

    def setUp(self):
        self.client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.addCleanup(self.client.close)

    def echoed(self, method, path, client=None, **options):
        client = client or self.client
        client.request(method, path, **options)
        response = client.getresponse()
        self.assertEqual(response.status, 200)
        return json.loads(response.read())

    def test_get(self):
        self.assertEqual(self.echoed("GET", "/get")["method"], "GET")

    def test_post_with_a_length(self):
        seen = self.echoed("POST", "/post", body=b"hello")
        self.assertEqual((seen["method"], seen["length"], seen["chunked"]), ("POST", 5, False))

    def test_post_in_chunks(self):
        seen = self.echoed("POST", "/post", body=iter([b"x" * 10_000] * 10), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        self.assertEqual((seen["length"], seen["chunked"]), (100_000, True))

    def test_chunks_with_trailers(self):
        # http.client frames none, so the last chunk is written by hand; it reads and drops those of responses.
        self.client.putrequest("POST", "/trailers")
        self.client.putheader("Transfer-Encoding", "chunked")
        self.client.endheaders()
        self.client.send(b"5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n")
        seen = json.loads(self.client.getresponse().read())
        self.assertEqual((seen["length"], seen["trailers"]), (5, [["x-sum", "5"]]))
        self.assertEqual(self.echoed("GET", "/get")["method"], "GET")

    def test_expect(self):
        # http.client skips 100 Continue by itself, and sends nothing before it is asked when told so here.
        self.client.putrequest("POST", "/expect")
        self.client.putheader("Expect", "100-continue")
        self.client.putheader("Content-Length", "5")
        self.client.endheaders()
        self.assertEqual(self.client.sock.recv(1000, 0), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.client.send(b"hello")
        self.assertEqual(json.loads(self.client.getresponse().read())["length"], 5)
        self.assertEqual(self.echoed("POST", "/expect", body=b"hello", headers={"Expect": "100-continue"})["length"], 5)

    def test_head(self):
        self.client.request("HEAD", "/head")
        response = self.client.getresponse()
        self.assertEqual((response.status, response.read()), (200, b""))
        self.assertGreater(int(response.headers["content-length"]), 0)
        self.assertEqual(self.echoed("GET", "/get")["method"], "GET")

    def test_large(self):
        data = os.urandom(LARGE)
        self.assertEqual(self.echoed("PUT", "/put", body=data)["digest"], hashlib.sha256(data).hexdigest())
        self.client.request("GET", f"/bytes/{LARGE}")
        self.assertEqual(len(self.client.getresponse().read()), LARGE)

    def test_keep_alive(self):
        self.echoed("GET", "/get")
        first = self.client.sock.getsockname()
        for _ in range(20):
            self.echoed("POST", "/post", body=b"x")
            self.assertEqual(self.client.sock.getsockname(), first)

    def test_concurrent(self):
        def one(worker):
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            lengths = [self.echoed("POST", "/post", client, body=b"x" * n * worker)["length"] for n in range(30)]
            client.close()
            return lengths == [n * worker for n in range(30)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertTrue(all(pool.map(one, range(16))))


class Wrk(Clients):
    test_go = test_node = None

    def load(self, path, script=None):
        command = [programs.find_debian("wrk"), "-t", "1", "-c", "32", "-d", "2s", self.base + path]
        if script:
            name = os.path.join(programs.folder(self), "load.lua")
            with open(name, "w") as out:
                out.write(script)
            command += ["-s", name]
        out = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        self.assertRegex(out, r"\d+ requests in ")
        self.assertGreater(int(re.search(r"(\d+) requests in", out)[1]), 100, out)
        self.assertNotRegex(out, r"Socket errors|Non-2xx", out)

    def test_gets_without_an_error(self):
        self.load("/get")
        self.load("/direct")

    def test_posts_in_chunks_with_trailers_without_an_error(self):
        self.load("/post", 'wrk.method = "POST"\nlocal raw = "POST /trailers HTTP/1.1\\r\\nHost: a\\r\\n'
                  'Transfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nhello\\r\\n0\\r\\nX-Sum: 5\\r\\n\\r\\n"\n'
                  "request = function() return raw end")

    def test_pipelined_requests_without_an_error(self):
        self.load("/get", 'init = function() batch = wrk.format("GET", "/direct"):rep(8) end\n'
                  "request = function() return batch end")


if __name__ == "__main__":
    unittest.main()
