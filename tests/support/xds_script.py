"""A control plane that says what a test wants, byte for byte: HTTP/2 and protobuf by hand.

    plane = ScriptedPlane(test, script)     # script(stream) is called for each stream; what it returns after, ends it
    plane.switch(other)                     # ends what there is; the next stream is the other's

    stream.requests(4)                      # reads until four were read: {type: Request}
    stream.say(type, "v1", "nonce", {"name": any bytes})
    stream.bytes(...), stream.dribble(...), stream.reset(code), stream.finish(status)

Good(version, resources) is a script that answers as it should, in both protocols.
"""

import contextlib
import socket
import threading

import http2_peers
import peers
from protobuf_wire import field, fields

PREFIX = "type.googleapis.com/"
CLUSTERS = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENERS = PREFIX + "envoy.config.listener.v3.Listener"
ROUTES = PREFIX + "envoy.config.route.v3.RouteConfiguration"
WHOLE = (CLUSTERS, LISTENERS)


class Request:
    """A DiscoveryRequest or a DeltaDiscoveryRequest; `names`: all that are asked for, or that are added."""

    def __init__(self, data, is_delta):
        found = list(fields(data))
        one = dict(found)
        type_at, nonce_at, error_at = (2, 6, 7) if is_delta else (4, 5, 6)
        self.type = one.get(type_at, b"").decode()
        self.nonce = one.get(nonce_at, b"").decode()
        self.names = [value.decode() for number, value in found if number == 3]
        self.gone = [value.decode() for number, value in found if is_delta and number == 4]
        self.version = "" if is_delta else one.get(1, b"").decode()
        self.error = dict(fields(one[error_at])).get(2, b"").decode() if error_at in one else None


def resource(name, message, version):
    """An envoy.service.discovery.v3.Resource; `message`: an Any, or None."""
    return field(1, version) + (field(2, message) if message is not None else b"") + field(3, name)


def framed(message, length=None, flags=0):
    """As gRPC has it: flags and length before it."""
    return bytes([flags]) + (len(message) if length is None else length).to_bytes(4, "big") + message


class Server(http2_peers.Server):
    """Tells a stream of what came, also while it waits to send."""

    stream = None

    def turn(self):
        goes_on = super().turn()
        if self.stream:
            self.stream.listen()
        return goes_on


class Stream:
    def __init__(self, plane, peer):
        self.plane, self.peer, self.stream = plane, peer, peer.current
        self.is_delta = "/Delta" in peer.current.message.first
        self.nonces = 0
        self.unread = []
        peer.stream = self
        self.listen()

    def open(self, status="200", *more):
        self.peer.head(self.stream, [(":status", status), ("content-type", "application/grpc"), *more], False)
        return self

    # ---- what it hears ----

    def listen(self):
        body = self.stream.body
        while len(body) >= 5 and len(body) >= 5 + (size := int.from_bytes(body[1:5], "big")):
            self.unread.append(Request(bytes(body[5:5 + size]), self.is_delta))
            self.plane.heard.append(self.unread[-1])
            del body[:5 + size]

    def read(self):
        while not self.unread:
            if self.stream.ended or self.stream.error is not None or not self.peer.turn():
                raise EOFError("the stream ended")
        return self.unread.pop(0)

    def requests(self, count):
        return {request.type: request for request in (self.read() for _ in range(count))}

    def until(self, condition):
        while not condition(request := self.read()):
            pass
        return request

    # ---- what it says ----

    def message(self, kind, version, nonce, resources, removed=(), more=b""):
        """`resources`: {name: Any}, or a list of encoded fields of `resources`."""
        if not self.is_delta:
            found = resources.values() if isinstance(resources, dict) else resources
            return (field(1, version) + b"".join(field(2, each) for each in found) + field(4, kind) + field(5, nonce) +
                    more)
        found = [resource(name, each, version) for name, each in resources.items()] if isinstance(
            resources, dict) else resources
        return (field(1, version) + b"".join(field(2, each) for each in found) + field(4, kind) + field(5, nonce) +
                b"".join(field(6, name) for name in removed) + more)

    def say(self, kind, version, nonce, resources, removed=(), more=b""):
        self.bytes(framed(self.message(kind, version, nonce, resources, removed, more)))

    def bytes(self, data):
        self.peer.data(self.stream, memoryview(data), False)  # which is cut without copies

    def dribble(self, data):
        for at in range(len(data)):
            self.bytes(data[at:at + 1])

    def reset(self, code=2):
        self.peer.frame(http2_peers.RST_STREAM, 0, self.stream.number, code.to_bytes(4, "big"))
        self.stream.is_open = False

    def finish(self, status=0):
        if self.stream.is_open and self.stream.error is None:
            self.peer.head(self.stream, [("grpc-status", str(status)), ("grpc-message", "the script ends")], True)

    def hang(self):
        """Says nothing more, and listens."""
        while True:
            self.read()


class ScriptedPlane:
    def __init__(self, test, script):
        self.script = script
        self.heard = []  # requests, of all streams
        self.is_over = True  # false: a script that has set it so is not done yet
        self.streams = 0
        self.lock = threading.Lock()
        self.upstream = peers.Upstream(test, self._serve, make=Server)
        self.address = f"127.0.0.1:{self.upstream.port}"

    def _serve(self, peer):
        while True:
            peer.read_head()
            self.streams += 1
            stream = Stream(self, peer)
            self.script(stream)
            stream.finish()

    def switch(self, script):
        self.script = script
        self.heard = []
        self.streams = 0
        self.is_over = True
        for connection in self.upstream.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def nacks(self):
        return [request for request in self.heard if request.error is not None]


class Good:
    """`resources`: {type: {name: Any}}."""

    def __init__(self, version, resources):
        self.version, self.resources = version, resources

    def __call__(self, stream):
        stream.open()
        asked = {}  # type -> names, of the state of the world
        while True:
            request = stream.read()
            known = self.resources.get(request.type, {})
            if not stream.is_delta and asked.get(request.type) != request.names:
                asked[request.type] = request.names
                names = request.names or known
            elif stream.is_delta and (request.names or request.type not in asked):
                asked[request.type] = True
                names = [name for name in request.names if name != "*"] or known
            else:
                continue
            found = {name: known[name] for name in names if name in known}
            if found or request.type in WHOLE:
                stream.nonces += 1
                stream.say(request.type, self.version, f"good-{stream.nonces}", found)
