"""A client of HTTP/2 with one request at a time, for callgrind: fields are indexed from the second request on, as clients do."""

import socket
import struct

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
LARGEST = 0x7fffffff


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def indexed(name, value):
    """HPACK: a literal that goes into the dynamic table; `name`: an index of the static one, or text."""
    head = bytes([0x40 | name]) if isinstance(name, int) else b"\x40" + bytes([len(name)]) + name.encode()
    return head + bytes([len(value)]) + value.encode()


class Client:
    """Requests are the static fields' indices, literal fields, and a body or none."""

    def __init__(self, port, static, fields, body=b""):
        self.peer = socket.create_connection(("127.0.0.1", port))
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.first = bytes(0x80 | index for index in static) + b"".join(indexed(*field) for field in fields)
        # The oldest entry has the highest index; 62 is the first of the dynamic table.
        self.again = bytes(0x80 | index for index in static) + bytes(0x80 | 62 + n for n in reversed(range(len(fields))))
        self.body = body
        self.stream = 1
        self.left = b""
        self.peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, LARGEST))
                          + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST - 65535)))

    def exchange(self):
        block = self.first if self.stream == 1 else self.again
        message = frame(HEADERS, END_HEADERS | (0 if self.body else END_STREAM), self.stream, block)
        if self.body:
            message += frame(DATA, END_STREAM, self.stream, self.body)
        self.peer.sendall(message)
        while not self.take_frame():
            pass
        self.stream += 2

    def take_frame(self):
        """True at the end of the stream."""
        head = self.take(9)
        length, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        payload = self.take(length)
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.peer.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind not in (DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE):
            raise RuntimeError(f"the proxy sent a frame of type {kind}")
        return kind in (DATA, HEADERS) and stream == self.stream and bool(flags & END_STREAM)

    def take(self, size):
        while len(self.left) < size:
            data = self.peer.recv(1 << 16)
            if not data:
                raise RuntimeError("the proxy closed the connection")
            self.left += data
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def close(self):
        self.peer.close()


# :method GET, :scheme http; then :path, :authority and user-agent.
def get(port):
    return Client(port, (2, 6), ((4, "/b/1024"), (1, "a"), (58, "bench/1.0")))


# :method POST, :scheme http; content-type is 31.
def grpc_call(port):
    return Client(port, (3, 6), ((4, "/bench.Echo/Unary"), (1, "a"), (58, "bench/1.0"), (31, "application/grpc"), ("te", "trailers")),
                  b"\0\0\0\0\x80" + b"m" * 128)
