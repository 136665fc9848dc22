"""A DNS server that is silent until it is told to answer, for a process that has it alone.

    names = NameServer(test)
    sidecar.start(test, config, prefix=names.prefix)     # in a mount namespace, where resolv.conf names it
    names.speak()                                        # each name has 127.0.0.1 from now on
"""

import itertools
import os
import socket
import struct
import threading

import programs

TYPE_A = 1
NUMBERS = itertools.count()


class NameServer:
    def __init__(self, test):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # A port of its own would do, but resolv.conf has no place for it.
        host = f"127.{os.getpid() >> 8 & 127}.{os.getpid() & 255}.{next(NUMBERS) % 250 + 2}"
        self.socket.bind((host, 53))
        path = os.path.join(programs.folder(test), "resolv.conf")
        with open(path, "w", encoding="ascii") as out:
            out.write(f"nameserver {host}\n")
        self.prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c",
                       f'mount --bind {path} /etc/resolv.conf && exec "$@"', "sh"]
        self.asked, self.speaks, self.closes = [], False, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        test.addCleanup(self.stop)

    def speak(self):
        self.speaks = True

    def _run(self):
        while not self.closes:
            query, peer = self.socket.recvfrom(4096)
            if len(query) < 16:
                continue
            end = query.index(b"\0", 12) + 5  # behind the question
            kind, = struct.unpack("!H", query[end - 4:end - 2])
            self.asked.append(kind)
            if self.speaks:
                self.socket.sendto(self._answer(query, end, kind), peer)

    @staticmethod
    def _answer(query, end, kind):
        records = [struct.pack("!HHHIH4s", 0xC00C, TYPE_A, 1, 60, 4, bytes([127, 0, 0, 1]))] if kind == TYPE_A else []
        return query[:2] + struct.pack("!5H", 0x8180, 1, len(records), 0, 0) + query[12:end] + b"".join(records)

    def stop(self):
        self.closes = True
        self.socket.sendto(b"", self.socket.getsockname())  # ends recvfrom()
        self.thread.join()
        self.socket.close()
