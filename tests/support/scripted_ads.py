"""An aggregated discovery service that says what a test tells it: the process beside the test, and (run as a program)
the server.  State of the world; resources are bytes, so that a test may say anything.

    ads = scripted_ads.Ads(test)
    ads.say("envoy.config.core.v3.TypedExtensionConfig", "1", {"f": message})
    ads.wait("ack envoy.config.core.v3.TypedExtensionConfig 1")

The program reads one JSON object a line, {"type": T, "version": V, "resources": {name: hex}}, and says V to whoever
asks for names of T ("*": all of T) that it has.  It prints "listens PORT" and what it hears: "ask TYPE NAMES",
"ack TYPE VERSION", "nack TYPE REASON".
"""

import json
import os
import subprocess
import sys
import threading
from concurrent import futures

from protobuf_wire import field, fields

PREFIX = "type.googleapis.com/"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"


class Ads:
    def __init__(self, test):
        import programs
        from sidecar import until
        self.until = until
        self.lines = []
        self.process = subprocess.Popen([programs.find_grpc_python(), os.path.abspath(__file__)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        test.addCleanup(self.stop)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        until("the discovery service listens", lambda: self.heard("listens "))
        self.port = int(self.lines[0].split()[1])

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def say(self, kind, version, resources):
        said = {name: message.hex() for name, message in resources.items()}
        self.process.stdin.write(json.dumps({"type": kind, "version": version, "resources": said}) + "\n")
        self.process.stdin.flush()

    def heard(self, start):
        return [line for line in self.lines if line.startswith(start)]

    def wait(self, start, count=1):
        self.until(lambda: f"{start!r} among {self.lines[-8:]}", lambda: len(self.heard(start)) >= count)

    def stop(self):
        if self.process.stdout.closed:
            return
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


# ---- the program ----

changed = threading.Condition()
speaking = threading.Lock()
said = {}  # type -> (version, {name: bytes})


def tell(*words):
    with speaking:  # streams have threads of their own
        print(*words, flush=True)


def hear(requests, state):
    """Reads a stream: what is asked for goes into `state`."""
    try:
        for request in requests:
            found = list(fields(request))
            one = dict(found)
            kind = one.get(4, b"").decode().removeprefix(PREFIX)
            names = sorted(value.decode() for number, value in found if number == 3)
            if 6 in one:
                tell("nack", kind, dict(fields(one[6])).get(2, b"").decode().replace("\n", " "))
            elif one.get(5):
                tell("ack", kind, one.get(1, b"").decode())
            with changed:
                if state["asked"].get(kind) != names:
                    tell("ask", kind, *names)
                state["asked"][kind] = names
                changed.notify_all()
    except Exception:  # the stream broke
        pass
    with changed:
        state["over"] = True
        changed.notify_all()


def next_answer(asked, sent):
    """A (type, version, resources) that was not sent yet, or None."""
    for kind, names in asked.items():
        version, resources = said.get(kind, (None, {}))
        wanted = {name: data for name, data in resources.items() if not names or name in names}
        if version is not None and (wanted or not names) and sent.get(kind) != (version, sorted(wanted)):
            sent[kind] = version, sorted(wanted)
            return kind, version, wanted
    return None


def stream(requests, _):
    state, sent, number = {"asked": {}}, {}, 0
    threading.Thread(target=hear, args=(requests, state), daemon=True).start()
    while True:
        with changed:
            answer = changed.wait_for(lambda: state.get("over") or next_answer(state["asked"], sent))
        if answer is True:
            return
        kind, version, resources = answer
        number += 1
        body = b"".join(field(2, field(1, PREFIX + kind) + field(2, data)) for data in resources.values())
        yield field(1, version) + body + field(4, PREFIX + kind) + field(5, f"nonce-{number}")


def main():
    import grpc

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.stream_stream_rpc_method_handler(stream) if details.method == METHOD else None
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tell("listens", port)
    for line in sys.stdin:
        command = json.loads(line)
        resources = {name: bytes.fromhex(data) for name, data in command["resources"].items()}
        with changed:
            said[command["type"]] = command["version"], resources
            changed.notify_all()
    server.stop(0)


if __name__ == "__main__":
    main()
