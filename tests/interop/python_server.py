#!/usr/bin/env python3
"""A backend of the interop tests: answers every request and prints what it was, one JSON line each."""

import http.server
import json
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def body_length(self):
        """None when the body is cut short.  http.server leaves framing to the handler."""
        if self.headers.get("transfer-encoding") != "chunked":
            length = int(self.headers.get("content-length") or 0)
            return length if len(self.rfile.read(length)) == length else None
        total = 0
        while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
            if size < 0 or len(self.rfile.read(size + 2)) != size + 2:
                return None
            total += size
        while (line := self.rfile.readline()) != b"\r\n":
            if not line:
                return None
        return total

    def answer(self):
        length = self.body_length()
        if length is None:
            self.close_connection = True
            return
        # self.path is not what was sent: leading slashes are merged.
        method, path, _ = self.requestline.split(" ")
        print(json.dumps({"method": method, "path": path, "length": length}), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if method != "HEAD":
            self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
