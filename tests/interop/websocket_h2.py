"""WebSockets over HTTP/2 (RFC 8441), as PyPI's `h2` and `wsproto` speak them.

websocket_h2.py server PORT              echoes; a text "close CODE REASON" closes
websocket_h2.py client PORT MESSAGES     prints what it saw as JSON, {case: observation}
"""

import asyncio
import collections
import hashlib
import json
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from websocket_messages import messages

LONG = 120


class Tunnel:
    """One stream: its WebSocket, and what waits for its window."""

    def __init__(self, peer, number, kind):
        self.peer, self.number = peer, number
        self.ws = Connection(kind)
        self.out = bytearray()
        self.ending = False  # our END_STREAM is to follow what waits
        self.head = None
        self.events = asyncio.Queue()
        self.parts = []
        self.room = asyncio.Event()

    def send(self, event):
        self.out += self.ws.send(event)
        self.peer.pump(self)

    def end(self):
        self.ending = True
        self.peer.pump(self)

    async def send_slowly(self, event):
        """Waits while too much waits."""
        self.send(event)
        while len(self.out) > 1 << 20:
            self.room.clear()
            await self.room.wait()

    def feed(self, data):
        self.ws.receive_data(data)
        for event in self.ws.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                self.parts.append(event.data)
                if not event.message_finished:
                    continue
                empty = "" if isinstance(event, TextMessage) else b""
                self.events.put_nowait(empty.join(self.parts))
                self.parts = []
            else:
                self.events.put_nowait(event)


class Peer(asyncio.Protocol):
    """A connection, whichever its side."""

    def __init__(self, is_client, on_tunnel=None):
        self.on_tunnel = on_tunnel
        self.kind = ConnectionType.CLIENT if is_client else ConnectionType.SERVER
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=is_client, header_encoding="utf-8"))
        if not is_client:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
                h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100})
        self.tunnels = {}
        self.settled = asyncio.Event()
        self.tasks = set()

    def connection_made(self, transport):
        self.transport = transport
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.transport.write(self.h2.data_to_send())

    def connect(self, path, *fields):
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", path),
            (":authority", "app"), ("sec-websocket-version", "13"), *fields])
        self.tunnels[number] = tunnel = Tunnel(self, number, self.kind)
        self.flush()
        return tunnel

    def pump(self, tunnel):
        while tunnel.out and tunnel.number in self.tunnels:
            size = min(self.h2.local_flow_control_window(tunnel.number), self.h2.max_outbound_frame_size,
                       len(tunnel.out))
            if size == 0:
                break
            self.h2.send_data(tunnel.number, bytes(tunnel.out[:size]))
            del tunnel.out[:size]
        if tunnel.ending and not tunnel.out:
            tunnel.ending = False
            self.h2.end_stream(tunnel.number)
        tunnel.room.set()
        self.flush()

    def data_received(self, data):
        for event in self.h2.receive_data(data):
            self.take(event)
        self.flush()

    def take(self, event):
        tunnel = self.tunnels.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settled.set()
        elif isinstance(event, h2.events.RequestReceived):
            self.accept(event)
        elif isinstance(event, h2.events.ResponseReceived):
            tunnel.head = dict(event.headers)
            tunnel.events.put_nowait("head")
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.data:
                tunnel.feed(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            tunnel.events.put_nowait("end")
        elif isinstance(event, h2.events.StreamReset):
            tunnel.events.put_nowait(f"reset {int(event.error_code)}")
            del self.tunnels[event.stream_id]
        elif isinstance(event, h2.events.WindowUpdated):
            for waiting in [tunnel] if tunnel else list(self.tunnels.values()):
                self.pump(waiting)

    def accept(self, event):
        fields = dict(event.headers)
        if fields.get(":protocol") != "websocket":
            self.h2.send_headers(event.stream_id, [(":status", "501")], end_stream=True)
            return
        offered = fields.get("sec-websocket-protocol", "").split(", ")
        answer = [(":status", "200")] + ([("sec-websocket-protocol", offered[-1])] if offered[-1] else [])
        self.h2.send_headers(event.stream_id, answer)
        self.tunnels[event.stream_id] = tunnel = Tunnel(self, event.stream_id, self.kind)
        task = asyncio.create_task(self.on_tunnel(tunnel))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


# ---- the server ----

async def echo(tunnel):
    while True:
        event = await tunnel.events.get()
        if isinstance(event, Ping):
            tunnel.send(event.response())
        elif isinstance(event, CloseConnection):
            if event.code != 1006 and tunnel.ws.state.name == "REMOTE_CLOSING":
                tunnel.send(event.response())
            tunnel.end()
            return
        elif event == "end":
            return tunnel.end()
        elif isinstance(event, str) and event.startswith("reset "):
            return
        elif isinstance(event, str) and event.startswith("close "):
            _, code, reason = event.split(" ", 2)
            tunnel.send(CloseConnection(int(code), reason))
        elif isinstance(event, (str, bytes)):
            kind = TextMessage if isinstance(event, str) else BytesMessage
            await tunnel.send_slowly(kind(data=event))


async def serve(port):
    server = await asyncio.get_running_loop().create_server(lambda: Peer(False, echo), "127.0.0.1", port)
    await server.serve_forever()


# ---- the client ----

async def dial(port, path="/echo"):
    _, peer = await asyncio.get_running_loop().create_connection(lambda: Peer(True), "127.0.0.1", port)
    await asyncio.wait_for(peer.settled.wait(), LONG)
    takes = peer.h2.remote_settings.enable_connect_protocol
    tunnel = peer.connect(path, ("sec-websocket-protocol", "superchat, chat"))
    tunnel.send(TextMessage(data="early"))  # before the answer
    first = await asyncio.wait_for(tunnel.events.get(), LONG)
    assert first == "head", first
    assert await tunnel.events.get() == "early"
    return tunnel, {"announced": takes, **{name: tunnel.head[name] for name in (
        ":status", "sec-websocket-protocol", "sec-websocket-accept") if name in tunnel.head}}


async def exchange(tunnel, count):
    async def send():
        for message in messages(0, count):
            kind = TextMessage if isinstance(message, str) else BytesMessage
            await tunnel.send_slowly(kind(data=message))

    sender = asyncio.create_task(send())
    digest = hashlib.sha256()
    for wanted in messages(0, count):
        got = await asyncio.wait_for(tunnel.events.get(), LONG)
        assert got == wanted, (got, wanted)
        digest.update(got.encode() if isinstance(got, str) else got)
    await sender
    return [count, digest.hexdigest()]


async def close(tunnel, code, reason):
    tunnel.send(CloseConnection(code, reason))
    events = [await asyncio.wait_for(tunnel.events.get(), LONG)]
    assert isinstance(events[0], CloseConnection), events
    tunnel.end()
    assert await asyncio.wait_for(tunnel.events.get(), LONG) == "end"
    return [int(events[0].code), events[0].reason or ""]


async def close_by_server(port):
    tunnel, _ = await dial(port, "/close/4001/bye")
    tunnel.send(TextMessage(data="close 4001 bye"))
    event = await asyncio.wait_for(tunnel.events.get(), LONG)
    tunnel.send(event.response())
    tunnel.end()
    assert await asyncio.wait_for(tunnel.events.get(), LONG) == "end"
    return [int(event.code), event.reason]


async def run(port, count):
    tunnel, seen = await dial(port)
    seen = collections.OrderedDict(handshake=seen)
    seen["echoes"] = await exchange(tunnel, count)
    tunnel.send(Ping(payload=b"ping"))
    pong = await asyncio.wait_for(tunnel.events.get(), LONG)
    seen["ping"] = isinstance(pong, Pong) and bytes(pong.payload) == b"ping"
    # Two more on the same connection, at a time.
    others = [tunnel.peer.connect("/echo", ("sec-websocket-protocol", "chat")) for _ in range(2)]
    for other in others:
        assert await asyncio.wait_for(other.events.get(), LONG) == "head"
        assert other.head[":status"] == "200", other.head
    await asyncio.gather(*(exchange(other, 200) for other in others))
    seen["closes"] = [await close(other, code, reason) for other, (code, reason) in zip(
        [tunnel, *others], [(1000, ""), (3001, "going"), (4999, "caf\u00e9")])]
    print(json.dumps(seen))


if sys.argv[1] == "server":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(run(int(sys.argv[2]), int(sys.argv[3])))
