"""A small REST server on Python's standard library: what both services of the example share."""

import json
import os
import re
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):  # HTTPServer's own asks DNS for our name, which may take seconds
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


def serve(routes):
    """Answers requests by `routes`, a list of (method, pattern of the path, function).

    A function gets the request and what the pattern's groups matched, and returns (status, value to
    be sent as JSON).  It listens on $LISTEN (HOST:PORT, by default 0.0.0.0:8080) and signs its
    answers with $NAME.  GET /healthz is there always, for probes.
    """
    name = os.environ.get("NAME", "nameless")
    routes = [("GET", r"/healthz", lambda request: (200, {"status": "ok"})), *routes]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one write
        disable_nagle_algorithm = True

        def log_request(self, *_):  # the sidecar keeps the access log
            pass

        def answer(self):
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, value = self.find_answer()
            content = json.dumps(value | {"served_by": name}, indent=2).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def find_answer(self):
            known_path = False
            for method, pattern, function in routes:
                if match := re.fullmatch(pattern, self.path):
                    known_path = True
                    if method == self.command:
                        return function(self, *match.groups())
            if known_path:
                return 405, {"error": f"{self.command} is not for {self.path}"}
            return 404, {"error": f"there is no {self.path}"}

        do_GET = do_POST = answer

    host, port = os.environ.get("LISTEN", "0.0.0.0:8080").rsplit(":", 1)
    server = Server((host, int(port)), Handler)
    print(f"{name} listens on {host}:{port}", file=sys.stderr, flush=True)
    server.serve_forever()
