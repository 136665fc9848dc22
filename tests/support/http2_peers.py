"""Both ends of a proxy that speak HTTP/2, with the face of those in peers.py: a test that is written for HTTP/1 peers
runs with these too.

The notation of a message is HTTP/1's text, as peers.get() and reply() make it: send() makes frames of it, and what
comes is read as a Message.  Host is :authority, chunks are DATA, the end of a text without framing is close().

    client = Client(socket); client.exchange(get("/a")).status
    Server(socket): read_request(), send(reply(b"ok")): of the stream that was read last
"""

import glob
import os
import sys

import peers
import programs

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8
WINDOW = 1 << 20  # of a stream; the connection's is larger
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"}


def hpack():
    """PyPI's module."""
    try:
        import hpack as module
    except ImportError:
        found = glob.glob(os.path.join(programs.cache(), "pypi", "hpack", "lib", "*", "site-packages"))
        if not found:
            raise AssertionError("hpack is missing: tests/run installs PyPI's") from None
        sys.path.append(found[0])
        import hpack as module
    return module


class Stream:
    def __init__(self, number):
        self.number = number
        self.message = None  # what came of its head
        self.interim = []
        self.body = bytearray()
        self.trailers = []
        self.window = 65535  # for what we send
        self.ended = False  # END_STREAM came
        self.error = None  # RST_STREAM did
        self.is_open = False  # we have not ended it

    def is_over(self):
        return self.ended or self.error is not None


class Http2Peer(peers.Peer):
    """A connection; `current` is the stream that is spoken of."""

    def __init__(self, connection):
        super().__init__(connection)
        module = hpack()
        self.encoder, self.decoder = module.Encoder(), module.Decoder()
        self.decoder.max_allowed_table_size = 4096
        self.streams, self.order = {}, []
        self.window = 65535
        self.first_window = 65535  # of new streams, by the other side's SETTINGS
        self.block = None
        self.current = None
        self.text = Text(self)
        self.takes = True  # gives windows back
        self.goaway = None
        self.begin()

    def begin(self):
        settings = (4).to_bytes(2, "big") + WINDOW.to_bytes(4, "big")
        self.frame(SETTINGS, 0, 0, settings)
        self.frame(WINDOW_UPDATE, 0, 0, (1 << 24).to_bytes(4, "big"))

    # ---- frames ----

    def frame(self, kind, flags, stream, payload=b""):
        self.socket.sendall(len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload)

    def head(self, stream, fields, end):
        stream.is_open = not end
        self.frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream.number,
                   self.encoder.encode(fields, huffman=True))

    def data(self, stream, data, end):
        """Sends as the windows allow; waits for them."""
        while True:
            part = data[:max(0, min(len(data), self.window, stream.window, 16384))]
            data = data[len(part):]
            if part or not data:
                last = end and not data
                stream.is_open = stream.is_open and not last
                self.window -= len(part)
                stream.window -= len(part)
                if part or last:
                    self.frame(DATA, END_STREAM if last else 0, stream.number, bytes(part))
            if not data:
                return
            while min(self.window, stream.window) <= 0:
                if stream.error is not None or not self.turn():
                    raise EOFError("no window, and the stream is over")

    def turn(self):
        """Works through one frame; False at the end of the connection."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            if self.ended or not self.fill():
                return False
        size = int.from_bytes(self.buffer[:3], "big")
        kind, flags, number = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
        payload = self.take(9 + size)[9:]
        self.on_frame(kind, flags, self.streams.get(number), number, payload)
        return True

    def on_frame(self, kind, flags, stream, number, payload):
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                if payload[at:at + 2] == b"\0\4":
                    value = int.from_bytes(payload[at + 2:at + 6], "big")
                    for other in self.streams.values():
                        other.window += value - self.first_window
                    self.first_window = value
            self.frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream:
                stream.window += more
            elif not number:
                self.window += more
        elif kind in (HEADERS, CONTINUATION):
            self.block = payload if kind == HEADERS else self.block + payload
            self.ends = flags if kind == HEADERS else self.ends
            if flags & END_HEADERS:
                self.on_head(stream or self.open(number), self.decoder.decode(self.block), self.ends & END_STREAM)
        elif kind == DATA and stream:
            stream.body += payload
            stream.ended = bool(flags & END_STREAM)
            if payload and self.takes:
                self.frame(WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big"))
                if not stream.ended:
                    self.frame(WINDOW_UPDATE, 0, number, len(payload).to_bytes(4, "big"))
        elif kind == RST_STREAM and stream:
            stream.error = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")

    def open(self, number):
        stream = self.streams[number] = Stream(number)
        stream.window = self.first_window
        self.order.append(stream)
        return stream

    def on_head(self, stream, fields, end):
        stream.ended = bool(end)
        fields = [(name, value) for name, value in fields]
        if stream.message is not None:
            stream.trailers += fields
            return
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        plain = [(name, value) for name, value in fields if not name.startswith(":")]
        if ":method" in pseudo:
            first = f"{pseudo[':method']} {pseudo.get(':path', '')} HTTP/2"
            plain.insert(0, ("host", pseudo.get(":authority", "")))
        else:
            first = f"HTTP/2 {pseudo[':status']} "
        lines = "".join(f"{name}: {value}\r\n" for name, value in plain)
        message = peers.Message(f"{first}\r\n{lines}\r\n".encode("latin-1"))
        if first.startswith("HTTP/2 1"):
            stream.interim.append(message)
        else:
            stream.message = message

    # ---- messages ----

    def send(self, *data):
        for part in data:
            self.text.feed(part if isinstance(part, bytes) else part.encode())
        return self

    def wait(self, stream, condition):
        while not condition(stream) and stream.error is None:
            if not self.turn():
                raise EOFError("the connection ended")

    def finish_message(self, stream):
        message = stream.message
        message.body, message.trailers, message.interim = bytes(stream.body), stream.trailers, stream.interim
        message.complete, message.error = stream.ended and stream.error is None, stream.error
        return message

    def give_up(self):
        """Of one stream; the connection goes on."""
        self.frame(RST_STREAM, 0, self.current.number, CANCEL.to_bytes(4, "big"))

    def is_closed(self):
        try:
            while self.turn():
                pass
        except ConnectionResetError:
            pass
        return True

    def hang(self):
        try:
            while self.turn():
                pass
        except OSError:
            pass

    def close(self):
        try:
            self.text.end()
        except OSError:
            pass
        super().close()

    def leave(self):
        self.close()

    def read(self, count):
        """Of the body of the current stream."""
        stream = self.current
        self.wait(stream, lambda s: len(s.body) >= count or s.ended)
        out = bytes(stream.body[:count])
        del stream.body[:count]
        return out


class Client(Http2Peer):
    def begin(self):
        self.socket.sendall(PREFACE)
        super().begin()
        self.number = 1
        self.unread = []

    def begin_message(self, first, fields, end):
        method, target, _ = first.split(" ")
        stream = self.open(self.number)
        self.number += 2
        self.current = stream
        self.unread.append(stream)
        host = [value for name, value in fields if name == "host"]
        pseudo = [(":method", method), (":scheme", "http"), (":path", target), (":authority", host[0])]
        self.head(stream, pseudo + [field for field in fields if field[0] != "host"], end)
        return stream

    def read_head(self):
        """The next head: an interim one too."""
        stream = self.unread[0]
        seen = getattr(stream, "heads", 0)
        self.wait(stream, lambda s: len(s.interim) > seen or s.message)
        stream.heads = seen + 1
        if len(stream.interim) > seen:
            return stream.interim[seen]
        if stream.message is None:
            raise EOFError(f"reset: {stream.error}")
        return stream.message

    def read_response(self, method="GET"):
        stream = self.unread.pop(0)
        self.wait(stream, lambda s: s.ended)
        if stream.message is None:
            raise EOFError(f"reset: {stream.error}")
        message = self.finish_message(stream)
        message.interim = stream.interim[getattr(stream, "heads", 0):]
        return message


class Server(Http2Peer):
    def begin(self):
        super().begin()
        self.seen = 0
        if bytes(self.read_raw(24)) != PREFACE:
            raise AssertionError("no preface")

    def read_raw(self, count):
        while len(self.buffer) < count and self.fill():
            pass
        return self.take(count)

    def begin_message(self, first, fields, end):
        status = first.split(" ")[1]
        interim = status.startswith("1")
        self.head(self.current, [(":status", status), *fields], end and not interim)
        return self.current

    def read_head(self):
        while len(self.order) <= self.seen or self.order[self.seen].message is None:
            if not self.turn():
                raise EOFError("the connection ended")
        self.current = self.order[self.seen]
        self.seen += 1
        return self.current.message

    def read_request(self):
        try:
            self.read_head()
        except (EOFError, ConnectionResetError):
            return None
        self.wait(self.current, lambda s: s.ended)
        return self.finish_message(self.current)

    def is_closed(self):
        """Whether the stream is given up, or the connection."""
        try:
            self.wait(self.current, lambda s: False)
        except (EOFError, ConnectionResetError):
            pass
        return True

    def hang(self):
        """Until the stream is given up, or the connection ends."""
        try:
            self.wait(self.current, lambda s: False) if self.current else super().hang()
        except (OSError, EOFError):
            pass


class Text:
    """HTTP/1's text, in any pieces, to frames of `peer`."""

    def __init__(self, peer):
        self.peer, self.rest = peer, bytearray()
        self.state, self.left, self.stream = self.in_head, 0, None

    def feed(self, data):
        self.rest += data
        while self.rest and self.state():
            pass

    def end(self):
        """The end of the connection is that of a message without framing."""
        if self.state == self.until_end and self.stream.is_open:
            self.peer.data(self.stream, b"", True)
        self.state = self.in_head

    def line(self):
        at = self.rest.find(b"\r\n")
        if at < 0:
            return None
        out = bytes(self.rest[:at])
        del self.rest[:at + 2]
        return out

    def in_head(self):
        at = self.rest.find(b"\r\n\r\n")
        if at < 0:
            return False
        message = peers.Message(bytes(self.rest[:at + 4]))
        del self.rest[:at + 4]
        fields = [(name.lower(), value) for name, value in message.fields if name.lower() not in HOP_BY_HOP]
        chunked, length = message.get("transfer-encoding") == "chunked", message.get("content-length")
        is_response = message.first.startswith("HTTP/")
        interim = is_response and message.status < 200
        bodiless = is_response and (message.status in (204, 304) or
                                    self.peer.current.message.first.startswith("HEAD "))
        self.left = int(length or 0)
        until_end = is_response and not (chunked or length or bodiless or interim)
        end = bodiless or (not chunked and not until_end and self.left == 0)
        self.stream = self.peer.begin_message(message.first, fields, end)
        if not end and not interim:
            self.state = self.in_chunk_size if chunked else self.until_end if until_end else self.in_length
        return True

    def in_length(self):
        part = self.rest[:self.left]
        del self.rest[:len(part)]
        self.left -= len(part)
        self.peer.data(self.stream, part, self.left == 0)
        if self.left == 0:
            self.state = self.in_head
        return True

    def until_end(self):
        part = self.rest[:]
        self.rest.clear()
        self.peer.data(self.stream, part, False)
        return True

    def in_chunk_size(self):
        line = self.line()
        if line is None:
            return False
        self.left = int(line.split(b";")[0], 16)
        self.state = self.in_chunk if self.left else self.in_trailers
        self.trailers = []
        return True

    def in_chunk(self):
        part = self.rest[:self.left]
        del self.rest[:len(part)]
        self.left -= len(part)
        self.peer.data(self.stream, part, False)
        if self.left == 0:
            self.state = self.behind_chunk
        return True

    def behind_chunk(self):
        if self.line() is None:
            return False
        self.state = self.in_chunk_size
        return True

    def in_trailers(self):
        line = self.line()
        if line is None:
            return False
        if line:
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers.append((name.lower(), value.strip()))
            return True
        if self.trailers:
            self.peer.head(self.stream, self.trailers, True)
        else:
            self.peer.data(self.stream, b"", True)
        self.state = self.in_head
        return True
