"""A WebSocket client of tests, PyPI's `websockets`: websocket_client.py PORT MESSAGES [CASE TO LEAVE OUT...]

It prints what it saw as JSON, {case: observation}: the same through any proxy as without one.
"""

import asyncio
import hashlib
import json
import sys
import urllib.parse
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from websocket_messages import messages

port, count = int(sys.argv[1]), int(sys.argv[2])
CLOSES = [(1000, ""), (1001, "going away"), (3000, "x" * 100), (4999, "caf\u00e9")]


def dial(path, **options):
    return connect(f"ws://127.0.0.1:{port}{path}", subprotocols=["superchat", "chat"], max_size=None,
                   ping_interval=None, proxy=None, **options)


async def handshake():
    async with dial("/echo") as ws:
        fields = ws.response.headers
        return {"status": ws.response.status_code, "subprotocol": ws.subprotocol,
                "upgrade": fields["Upgrade"].lower(), "extensions": fields.get("Sec-WebSocket-Extensions", "")}


async def exchange(ws, first, number):
    """Messages from one task, echoes to another, all compared."""
    async def send():
        for message in messages(first, number):
            await ws.send(message)

    sender = asyncio.create_task(send())
    digest = hashlib.sha256()
    for wanted in messages(first, number):
        got = await ws.recv()
        if got != wanted:
            raise AssertionError(f"{got[:50]!r} ({len(got)}) is not {wanted[:50]!r} ({len(wanted)})")
        digest.update(got.encode() if isinstance(got, str) else got)
    await sender
    return digest.hexdigest()


async def echoes():
    # Compressed all would be the same few bytes on the wire.
    async with dial("/echo", compression=None) as ws:
        return [count, await exchange(ws, 0, count)]


async def compressed():
    async with dial("/echo") as ws:
        return await exchange(ws, 0, min(count, 1000))


async def many():
    async def one(number):
        async with dial("/echo") as ws:
            return await exchange(ws, number, 50)
    return await asyncio.gather(*(one(n) for n in range(20)))


async def large():
    async with dial("/echo", compression=None) as ws:
        message = bytes(range(256)) * (12 << 10)
        await ws.send(message)
        return await ws.recv() == message


async def fragments():
    async with dial("/fragments", compression=None) as ws:
        await ws.send([b"a", b"", b"b" * 126, b"c" * 70000])
        first = json.loads(await ws.recv())
        await ws.send(["one ", "two"])
        return [first, json.loads(await ws.recv())]


async def pings():
    async with dial("/echo", compression=None) as ws:
        for number in range(100):
            await (await ws.ping(b"%d" % number))
            if number % 10 == 0:
                await ws.send("between")
                assert await ws.recv() == "between"
    async with dial("/ping") as ws:
        return await ws.recv()


async def seen_by_server(key):
    for _ in range(300):
        async with dial("/seen") as ws:
            seen = json.loads(await ws.recv())
        if key in seen:
            return seen[key]
        await asyncio.sleep(0.01)
    raise AssertionError(f"the server has seen no end of {key}")


async def end_of(path, act):
    """What both sides saw of the end of a connection."""
    key = uuid.uuid4().hex
    async with dial(f"{path}?{key}") as ws:
        try:
            await act(ws)
            await ws.recv()
        except ConnectionClosed:
            pass
        return [[ws.close_code, ws.close_reason], await seen_by_server(key)]


async def closes():
    return [await end_of("/echo", lambda ws: ws.close(code, reason)) for code, reason in CLOSES]


async def closes_of_server():
    return [await end_of(f"/close/{code}/{urllib.parse.quote(reason)}", lambda ws: ws.send("now"))
            for code, reason in CLOSES]


async def aborts():
    async def abort(ws):
        await ws.send("x")
        await ws.recv()
        ws.transport.abort()

    client = (await end_of("/echo", abort))[1]
    return [client, (await end_of("/abort", lambda ws: ws.send("now")))[0]]


async def main():
    cases = [handshake, echoes, compressed, many, large, fragments, pings, closes, closes_of_server, aborts]
    print(json.dumps({case.__name__: await case() for case in cases if case.__name__ not in sys.argv[3:]}))


asyncio.run(main())
