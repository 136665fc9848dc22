"""A process beside a test that is told things on its standard input and tells what it hears, a line each.

    class Service(LineProcess): ...
    self.launch(test, command)                   ends with the test, or a TestCase class with all its tests
    self.tell(name="a")                          one JSON object a line
    self.wait("ack a", count=2)                  for lines that begin so
"""

import json
import subprocess
import threading

import programs
from sidecar import until


class LineProcess:
    def __init__(self):
        self.lines = []
        self.process = None
        self.reader = None

    def launch(self, test, command):
        """`test`: None where it is launched again and has its cleanup."""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if test is not None:
            programs.cleanup(test)(self.stop)
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def _read(self, stdout):
        for line in stdout:
            self.lines.append(line.rstrip("\n"))

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def heard(self, start):
        return [line for line in self.lines if line.startswith(start)]

    def wait(self, start, count=1):
        until(lambda: f"{start!r} among {self.lines[-8:]}", lambda: len(self.heard(start)) >= count)

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
