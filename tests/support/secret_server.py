"""A secret discovery service of tests, state of the world, without generated code.  secret_server.py ADDRESS

Reads commands, one JSON object a line: {"name": N, "version": V, "secret": hex of envoy's Secret} to say it to whoever
asks for N, or {"name": N, "version": V} for an answer without any secret.  Prints "listens", and what it hears:
"ask NAME NODE", "ack NAME VERSION", "nack NAME REASON", "end NAME".
"""

import json
import queue
import sys
import threading
from concurrent import futures

import grpc

from protobuf_wire import field, fields

TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"

changed = threading.Condition()
said = {}  # name -> (version, Secret or None)


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")  # in one piece: streams have threads of their own
    sys.stdout.flush()


def hear(requests, wanted, sent):
    """Reads a stream; puts the name that is asked for into `wanted`, None at its end."""
    name = ""
    try:
        for request in requests:
            found = dict(fields(request))
            name = found.get(3, b"").decode()
            nonce = found.get(5, b"").decode()
            if not nonce:
                node = dict(fields(found.get(2, b""))).get(1, b"").decode()
                say("ask", name, node)
                wanted.put(name)
            elif 6 in found:
                say("nack", name, dict(fields(found[6])).get(2, b"").decode().replace("\n", " "))
            else:
                say("ack", name, found.get(1, b"").decode())
    except Exception:  # the stream broke
        pass
    say("end", name)
    wanted.put(None)
    with changed:
        sent["over"] = True
        changed.notify_all()


def stream(requests, context):
    wanted, state, number = queue.Queue(), {}, 0
    threading.Thread(target=hear, args=(requests, wanted, state), daemon=True).start()
    name, last = wanted.get(), None
    while name is not None and not state.get("over"):
        with changed:
            changed.wait_for(lambda: state.get("over") or said.get(name, last) != last)
            if state.get("over"):
                return
            last = said[name]
        version, secret = last
        number += 1
        resource = field(2, field(1, TYPE) + field(2, secret)) if secret is not None else b""
        yield field(1, version) + resource + field(4, TYPE) + field(5, f"nonce-{number}")


def main():
    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.stream_stream_rpc_method_handler(stream) if details.method == METHOD else None
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), handlers=[Handler()])
    if not server.add_insecure_port(sys.argv[1]):
        sys.exit("cannot listen on " + sys.argv[1])
    server.start()
    say("listens")
    for line in sys.stdin:
        command = json.loads(line)
        secret = command.get("secret")
        with changed:
            said[command["name"]] = command["version"], None if secret is None else bytes.fromhex(secret)
            changed.notify_all()
    server.stop(0)


if __name__ == "__main__":
    main()
