"""Upstreams that tell who they are, and a steady load."""

import http.client
import http.server
import json
import threading
import time

import sidecar


class Origin(http.server.ThreadingHTTPServer):
    """Answers with its name; with `echo` in JSON, with what came, too; or with the (status, text) of `answer`(path)."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, test, name, echo=False, answer=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece

            def do_GET(self):
                body = json.dumps({"origin": name, "path": self.path, "fields": self.headers.items()}) if echo else name
                status, body = answer(self.path) if answer else (200, body)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        add_cleanup = test.addClassCleanup if isinstance(test, type) else test.addCleanup
        add_cleanup(self.server_close)
        add_cleanup(self.shutdown)

    @property
    def port(self):
        return self.server_address[1]


def get(port, path="/", **headers):
    """(status, text)"""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=sidecar.DEADLINE)
    try:
        client.request("GET", path, headers=headers)
        answer = client.getresponse()
        return answer.status, answer.read().decode()
    finally:
        client.close()


class Load:
    """Requests on connections that stay; whatever is not 200 is a failure.  `pause`: seconds between a client's."""

    def __init__(self, port, clients=4, host="localhost", pause=0.0, path="/"):
        self.failures, self.count = [], 0
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(port, host, pause, path)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, port, host, pause, path):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=sidecar.DEADLINE)
        while not self.stopped.is_set():
            try:
                client.request("GET", path, headers={"host": host})
                answer = client.getresponse()
                body = answer.read()
                self.count += 1
                if answer.status != 200:
                    self.failures.append((answer.status, body))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                client.close()
            if pause:
                time.sleep(pause)
        client.close()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
