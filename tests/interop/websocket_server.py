"""A WebSocket server of tests, PyPI's `websockets`: websocket_server.py PORT

/echo        sends each message back
/fragments   answers a message with the sizes of the fragments that it came in, as JSON
/ping        pings the client three times, and says how many pongs it got
/close/CODE/REASON, /abort   ends the connection at the first message
/seen        the close codes and reasons of the connections that ended, by the query they came with, as JSON
"""

import asyncio
import json
import sys
import urllib.parse

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

seen = {}


async def echo(ws, _):
    async for message in ws:
        await ws.send(message)


async def fragments(ws, _):
    while True:
        sizes = [len(part) async for part in ws.recv_streaming()]
        await ws.send(json.dumps(sizes))


async def ping(ws, _):
    pongs = 0
    for number in range(3):
        await (await ws.ping(b"p%d" % number))
        pongs += 1
    await ws.send(str(pongs))
    await ws.wait_closed()


async def close(ws, path):
    await ws.recv()
    code, reason = path[1:]
    await ws.close(int(code), reason)


async def abort(ws, _):
    await ws.recv()
    ws.transport.abort()


async def tell(ws, _):
    await ws.send(json.dumps(seen))


CASES = {"echo": echo, "fragments": fragments, "ping": ping, "close": close, "abort": abort, "seen": tell}


async def handle(ws):
    url = urllib.parse.urlsplit(ws.request.path)
    path = urllib.parse.unquote(url.path)[1:].split("/")
    try:
        await CASES[path[0]](ws, path)
    except ConnectionClosed:
        pass
    await ws.wait_closed()
    if url.query:
        seen[url.query] = [ws.close_code, ws.close_reason]


async def main():
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), subprotocols=["chat"], max_size=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
