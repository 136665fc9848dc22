#!/usr/bin/env python3
"""A collector of traces, as small as it can be: takes OTLP over HTTP and prints a trace as a tree.

    collector.py serve HOST:PORT FILE     appends each span to FILE, as a line of JSON
    collector.py tree FILE TRACE_ID       the spans of one trace

Reads the protobuf of opentelemetry/proto/trace/v1/trace.proto as far as it needs it, by field numbers.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(field number, value) of a message: ints, or bytes of what has a length."""
    at = 0
    while at < len(data):
        key, at = number(data, at)
        if key & 7 == 0:
            value, at = number(data, at)
        else:
            size, at = number(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value = data[at:at + size]
            at += size
            if key & 7 != 2:
                value = int.from_bytes(value, "little")
        yield key >> 3, value


def all_of(data, wanted):
    return [value for field, value in fields(data) if field == wanted]


def attribute(data):
    key, value = all_of(data, 1)[0].decode(), all_of(data, 2)
    found = dict(fields(value[0])) if value else {}
    text = next(iter(found.values()), b"")
    return key, text.decode() if isinstance(text, bytes) else text


def spans(request):
    for resource_spans in all_of(request, 1):
        resource = all_of(resource_spans, 1)
        service = dict(attribute(item) for item in all_of(resource[0], 1)).get("service.name") if resource else None
        for scope_spans in all_of(resource_spans, 2):
            for data in all_of(scope_spans, 2):
                span = dict(fields(data))
                yield {"service": service, "trace": span[1].hex(), "id": span[2].hex(),
                       "parent": span.get(4, b"").hex(), "name": span[5].decode(), "kind": span.get(6),
                       "begin": span[7], "end": span[8], "attributes": dict(map(attribute, all_of(data, 9)))}


def serve(address, path):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_):
            pass

        def do_POST(self):
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with open(path, "a") as out:
                for span in spans(data):
                    print(json.dumps(span), file=out)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    host, port = address.rsplit(":", 1)
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


def tree(path, trace):
    with open(path) as lines:
        known = {span["id"]: span for span in map(json.loads, lines) if span["trace"] == trace}
    first = min((span["begin"] for span in known.values()), default=0)

    def show(span, depth):
        kind = {2: "server", 3: "client"}.get(span["kind"], "")
        status = span["attributes"].get("http.response.status_code", "")
        print(f"{'  ' * depth}{span['service']} {kind}: {span['name']} {status}  "
              f"at {(span['begin'] - first) / 1e6:.1f} ms, for {(span['end'] - span['begin']) / 1e6:.1f} ms")
        for child in sorted(known.values(), key=lambda other: other["begin"]):
            if child["parent"] == span["id"]:
                show(child, depth + 1)

    for span in sorted(known.values(), key=lambda other: other["begin"]):
        if span["parent"] not in known:
            show(span, 0)


if __name__ == "__main__":
    {"serve": serve, "tree": tree}[sys.argv[1]](*sys.argv[2:])
