#!/usr/bin/env python3
"""10,000 clients that ask for 10 MB and read nothing: what each costs, and that all of it comes back.

Where the limit of descriptors is below 20,400 there are fewer clients.  Takes 3 GB of kernel memory for
sockets; part of `tests/run --full`.
"""

import asyncio
import gc
import multiprocessing
import resource
import socket
import time
import unittest

import envoy_config as envoy
import sidecar
from peers import get

CLIENTS, SIZE = 10_000, 10 << 20
BYTES_EACH = 64 << 10
RECOVERY = 30  # seconds


def clients_that_fit():
    """The proxy needs two descriptors for each client and keeps some back; origin and clients need one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return CLIENTS if hard == resource.RLIM_INFINITY else min(CLIENTS, hard // 2 - 200)


class Origin:
    """A process of its own that answers every request with SIZE bytes, as fast as they are taken."""

    def __init__(self, test):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16384)
        self.port = self.listener.getsockname()[1]
        self.sent = multiprocessing.Value("q", 0, lock=False)
        self.process = multiprocessing.Process(target=lambda: asyncio.run(self.serve()), daemon=True)
        self.process.start()
        self.listener.close()
        test.addCleanup(self.process.terminate)

    async def serve(self):
        server = await asyncio.start_server(self.answer, sock=self.listener, limit=4096)
        await server.serve_forever()

    async def answer(self, reader, writer):
        writer.transport.set_write_buffer_limits(high=16384)
        block = b"x" * 16384
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
                for _ in range(SIZE // len(block)):
                    writer.write(block)
                    await writer.drain()
                    self.sent.value += len(block)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class SlowReaders(unittest.TestCase):
    def test_ten_thousand_slow_readers_cost_64_kib_each_and_leave_nothing(self):
        count = clients_that_fit()
        origin, port = Origin(self), sidecar.free_port()
        breakers = {"thresholds": [{name: 2 * CLIENTS for name in (
            "max_connections", "max_pending_requests", "max_requests")}]}
        proxy = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", port, log=False)], [envoy.cluster(ports=[origin.port], circuit_breakers=breakers)]))
        self.ask(port, 100)  # once through everything, so that what is made on first use is there
        proxy.wait_stat("http.in.downstream_cx_active", 0)
        baseline = proxy.rss()

        clients = self.connect(port, count)
        for client in clients:
            client.sendall(get())
        proxy.wait_stat("http.in.downstream_rq_active", count)
        self.wait_until_stalled(origin)
        each = (proxy.rss() - baseline) / count
        print(f"{each / 1024:.1f} KiB for each of {count} slow readers, baseline {baseline >> 20} MiB", flush=True)
        self.assertLessEqual(each, BYTES_EACH)

        for client in clients:
            client.close()
        proxy.wait_stat("http.in.downstream_cx_active", 0)
        end = time.monotonic() + RECOVERY
        while proxy.rss() > baseline * 1.1 and time.monotonic() < end:
            time.sleep(0.5)
        print(f"{proxy.rss() >> 20} MiB afterwards", flush=True)
        self.assertLessEqual(proxy.rss(), baseline * 1.1)

    def connect(self, port, count):
        clients = []
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(sidecar.DEADLINE)
            client.connect(("127.0.0.1", port))
            self.addCleanup(client.close)
            clients.append(client)
        return clients

    def ask(self, port, count):
        for client in self.connect(port, count):
            client.sendall(get())
            client.recv(4096)
            client.close()
        gc.collect()

    @staticmethod
    def wait_until_stalled(origin):
        """Until nothing more has been taken for two seconds."""
        before, since = -1, time.monotonic()
        while time.monotonic() - since < 2:
            if origin.sent.value != before:
                before, since = origin.sent.value, time.monotonic()
            time.sleep(0.1)


if __name__ == "__main__":
    unittest.main()
