"""Both ends of a proxy under test: a client that speaks raw bytes, and upstreams that follow a script.

A script is a function of one Peer, run in a thread of its own per connection: it reads, sends, closes,
resets or hangs as the test wants.  Upstream(test, first, second) gives the first connection to `first`
and every later one to `second`.  An assertion that fails in a script fails the test.
"""

import contextlib
import hashlib
import json
import socket
import struct
import threading

from sidecar import DEADLINE

CRLF = b"\r\n"
LINGER_RESET = struct.pack("ii", 1, 0)  # SO_LINGER that makes close() send RST


class Message:
    """A request or response as it was on the wire."""

    def __init__(self, head):
        self.raw = head
        lines = head[:-4].decode("latin-1").split("\r\n")
        self.first = lines[0]
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        self.body = b""
        self.trailers = []
        self.complete = False
        self.interim = []  # the 1xx responses before it

    @property
    def status(self):
        return int(self.first.split(" ")[1])

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


class Peer:
    """A connected socket with a buffer."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(DEADLINE)
        self.buffer = bytearray()
        self.ended = False

    # ---- bytes ----

    def send(self, *data):
        self.socket.sendall(b"".join(part if isinstance(part, bytes) else part.encode() for part in data))
        return self

    def fill(self):
        """More bytes into the buffer; False at the orderly end.  A reset raises ConnectionResetError."""
        data = self.socket.recv(1 << 18)
        self.buffer += data
        self.ended = self.ended or not data
        return bool(data)

    def take(self, count):
        out = bytes(self.buffer[:count])
        del self.buffer[:count]
        return out

    def read(self, count):
        while len(self.buffer) < count and self.fill():
            pass
        return self.take(count)

    def read_until(self, mark):
        while (at := self.buffer.find(mark)) < 0:
            if not self.fill():
                raise EOFError(f"ended after {bytes(self.buffer[:500])!r}")
        return self.take(at + len(mark))

    def read_all(self):
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def read_hash(self, count=None):
        """Reads `count` bytes, or all, without keeping them: (bytes, hex digest)."""
        digest, total = hashlib.blake2b(), 0
        while True:
            if self.buffer:
                part = self.take(len(self.buffer) if count is None else min(len(self.buffer), count - total))
                digest.update(part)
                total += len(part)
            if total == count or not self.fill():
                return total, digest.hexdigest()

    def is_closed(self):
        """Waits for the other side's end, orderly or not; False if bytes came instead."""
        with contextlib.suppress(ConnectionResetError):
            return not self.buffer and not self.fill()
        return True

    # ---- endings ----

    def close(self):
        self.socket.close()

    def leave(self):
        """Closes with TLS's farewell, where close() is the end of a process that was killed."""
        with contextlib.suppress(OSError):
            if hasattr(self.socket, "unwrap"):
                self.socket.unwrap()
        self.close()

    def finish(self):
        """Half-close."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.socket.close()

    def hang(self):
        """Says nothing until the other side ends."""
        with contextlib.suppress(OSError):
            while self.fill():
                self.buffer.clear()

    # ---- HTTP ----

    def read_head(self):
        return Message(self.read_until(CRLF + CRLF))

    def read_request(self):
        """None at the end of the connection."""
        if not self.buffer and not self.fill():
            return None
        message = self.read_head()
        chunked, length = message.get("transfer-encoding") == "chunked", message.get("content-length")
        self.read_body(message, chunked, int(length or 0))
        return message

    def read_response(self, method="GET"):
        interim = []
        while (message := self.read_head()).status < 200 and message.status != 101:
            interim.append(message)
        message.interim = interim
        length = message.get("content-length")
        if method == "HEAD" or message.status in (101, 204, 304):
            message.complete = True
        elif message.get("transfer-encoding") == "chunked":
            self.read_body(message, True, 0)
        elif length is not None:
            self.read_body(message, False, int(length))
        else:
            message.body = self.read_all()
            message.complete = True
        return message

    def read_body(self, message, chunked, length):
        if not chunked:
            message.body = self.read(length)
            message.complete = len(message.body) == length
            return
        body = bytearray()
        while (size := int(self.read_until(CRLF).split(b";")[0], 16)) != 0:
            body += self.read(size)
            assert self.read(2) == CRLF, "chunk without CRLF"
        message.body = bytes(body)
        while (line := self.read_until(CRLF)) != CRLF:
            name, _, value = line.decode("latin-1").partition(":")
            message.trailers.append((name, value.strip()))
        message.complete = True

    def exchange(self, *data, method="GET"):
        return self.send(*data).read_response(method)


def connect(test, port, receive_buffer=None):
    """A client's connection, closed with the test."""
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(DEADLINE)
    client.connect(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    (test.addClassCleanup if isinstance(test, type) else test.addCleanup)(client.close)
    return Peer(client)


def get(path="/", *fields, method="GET", host="app", body=None):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + CRLF + CRLF + (body or b"")


def reply(body=b"ok", *fields, status="200 OK"):
    """The bytes of a response."""
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + CRLF + CRLF + body


class Upstream:
    """Listens on loopback until the test ends; `scripts` are of its first, second, ... connection.  `make`: a Peer
    of a connected socket."""

    def __init__(self, test, *scripts, make=None):
        self.scripts = scripts or (echo,)
        self.make = make or Peer
        self.count = 0
        self.failures = []
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        (test.addClassCleanup if isinstance(test, type) else test.addCleanup)(self._end)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                script = self.scripts[min(self.count, len(self.scripts) - 1)]
                self.count += 1
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(script, connection, self.count), daemon=True).start()

    def _serve(self, script, connection, number):
        peer = connection
        try:
            peer = self.make(connection)
            peer.number = number
            script(peer)
        except AssertionError as failure:
            self.failures.append(failure)
        except (OSError, EOFError):
            pass  # the other side went away: what that means is for the client's side to judge
        finally:
            with contextlib.suppress(OSError):
                peer.close()

    def stop(self):
        """Ends every connection; from now on connects are refused."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _end(self):
        self.stop()
        if self.failures:
            raise self.failures[0]


def echo(peer):
    """Answers every request with what it was, as JSON."""
    while (request := peer.read_request()) is not None:
        method, target, _ = request.first.split(" ")
        text = json.dumps({
            "method": method, "target": target, "fields": request.fields, "length": len(request.body),
            "digest": hashlib.blake2b(request.body).hexdigest(), "trailers": request.trailers,
            "connection": peer.number}).encode()
        head = reply(text, "Content-Type: application/json")
        peer.send(head[:-len(text)] if method == "HEAD" else head)


def answers(*replies, then="hang"):
    """A script: one reply for each request, then `hang`, `close`, `leave` or `reset`."""
    def script(peer):
        for answer in replies:
            peer.read_request()
            peer.send(answer)
        getattr(peer, then)()
    return script
