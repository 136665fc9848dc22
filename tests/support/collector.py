"""A trace collector: takes OTLP over HTTP, decodes it with protoc, and keeps the spans.

    collector = Collector(test)                 # listens on collector.port
    collector.wait_spans(2)[0].attributes["http.request.method"]
"""

import codecs
import os
import re
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sidecar import until

HERE = os.path.dirname(os.path.abspath(__file__))
_TOKEN = re.compile(r'\s*(?:(\w+)\s*(\{|:)|(\})|("(?:[^"\\]|\\.)*"|[^\s]+))')


def decode(message, data):
    """A message of otlp.proto as a dict of lists, by protoc; fails where the bytes are not one."""
    done = subprocess.run(["protoc", f"--decode=otlp.{message}", "otlp.proto"], cwd=HERE, input=data,
                          capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"no {message}: {done.stderr.decode()}")
    stack, key = [{}], None
    for name, opens, closes, value in _TOKEN.findall(done.stdout.decode()):
        if closes:
            stack.pop()
        elif opens == "{":
            child = {}
            stack[-1].setdefault(name, []).append(child)
            stack.append(child)
        elif opens == ":":
            key = name
        elif value:
            stack[-1].setdefault(key, []).append(
                codecs.escape_decode(value[1:-1].encode())[0] if value[0] == '"' else value)
    return stack[0]


def one(message, key, default=None):
    return message.get(key, [default])[0]


def attributes(message):
    out = {}
    for pair in message.get("attributes", []):
        value = one(pair, "value", {})
        text = one(value, "string_value")
        out[one(pair, "key").decode()] = int(one(value, "int_value")) if text is None else text.decode()
    return out


class Span:
    def __init__(self, message, resource):
        self.trace = one(message, "trace_id").hex()
        self.id = one(message, "span_id").hex()
        self.parent = one(message, "parent_span_id", b"").hex()
        self.state = one(message, "trace_state", b"").decode()
        self.name = one(message, "name").decode()
        self.kind = one(message, "kind")
        self.begin = int(one(message, "start_time_unix_nano"))
        self.end = int(one(message, "end_time_unix_nano"))
        self.attributes = attributes(message)
        self.events = [one(event, "name").decode() for event in message.get("events", [])]
        status = one(message, "status", {})
        self.status = one(status, "code", "UNSET")
        self.message = one(status, "message", b"").decode()
        self.resource = resource
        self.service = resource["service.name"]

    def __repr__(self):
        return f"<{self.service} {self.kind} {self.name!r} {self.id} of {self.parent or '-'} in {self.trace}>"


class Collector:
    def __init__(self, test):
        self._spans = []
        self._bodies = []  # not decoded yet: a collector that is slow is asked again
        self.requests = []  # (path, headers)
        self.status = 200
        self.server = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.start()
        test.addCleanup(self.stop)

    def start(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, self.headers, body)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        ThreadingHTTPServer.daemon_threads = True
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Refuses connections from now on."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def take(self, path, headers, body):
        self.requests.append((path, headers))
        if self.status == 200:
            self._bodies.append(body)

    @property
    def spans(self):
        """All that came; a list of the caller's to clear."""
        while self._bodies:
            for group in decode("ExportTraceServiceRequest", self._bodies.pop(0))["resource_spans"]:
                resource = attributes(one(group, "resource"))
                for scope in group["scope_spans"]:
                    self._spans += [Span(message, resource) for message in scope.get("spans", [])]
        return self._spans

    def wait_spans(self, count):
        until(lambda: f"{count} spans, have {self.spans}", lambda: len(self.spans) >= count)
        return self.spans
