"""A discovery service of tests, without generated code: aggregated and of single types, state of the world and delta; of
secrets the state of the world alone.

    ads_server.py ADDRESS [CERTIFICATE KEY [CA]]      with CA clients must show a certificate of it

Reads commands, one JSON object a line: {"type": T, "name": N, "version": V, "resource": hex of the message} to say it to
whoever asks for N or, but for "quiet" ones, for everything, with "aliases" if it has some; without the resource, for an
answer that lacks it; {"type": T, "name": N} to take it back.  With "ttl" (milliseconds) it is said for so long, and
{"type": T, "name": N, "heartbeat": true} says that it still holds.  T is the message, as "envoy.config.route.v3.VirtualHost".
By delta a name that is asked for and not known is answered without a resource.  Prints "listens PORT", and what it hears,
T without its package: "ask T NAMES" ("*": everything), "drop T NAMES", "ack T VERSION" (none by delta), "nack T REASON";
of secrets, each by a stream of its own, "ask NAME NODE", "ack NAME VERSION", "nack NAME REASON".  Of streams of other
types it prints "stream METHOD", when one begins.
"""

import json
import queue
import sys
import threading
from concurrent import futures

import grpc

from protobuf_wire import field, fields

URL = "type.googleapis.com/"
SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/"

lock = threading.RLock()
said = {}  # type -> name -> (version, message, aliases, quiet, ttl)
streams = []  # queues


def say(*words):
    with lock:  # streams have threads of their own
        print(*words, flush=True)


def texts(message, number):
    return [value.decode() for at, value in message if at == number]


def text(message, number):
    return (texts(message, number) or [""])[-1]


def short(url):
    return url.rpartition(".")[2]


def reason(status):
    return dict(fields(status)).get(2, b"").decode().replace("\n", " ")


def any_of(url, message):
    return field(1, url) + field(2, message)


def wrapped(url, name, known, is_heartbeat=False):
    """The fields of a Resource."""
    version, message, aliases, _, ttl = known
    duration = field(1, ttl // 1000) + field(2, ttl % 1000 * 1_000_000) if ttl else b""
    return (field(1, version) + (b"" if is_heartbeat else field(2, any_of(url, message))) + field(3, name)
            + b"".join(field(4, alias) for alias in aliases) + (field(6, duration) if ttl else b""))


def any_resource(url, name, known, is_heartbeat=False):
    """As the state of the world has it: itself, or in a Resource if it ends."""
    if not known[4]:
        return any_of(url, known[1])
    return any_of(URL + "envoy.service.discovery.v3.Resource", wrapped(url, name, known, is_heartbeat))


def tell_answer(subject, error, *version):
    """ACK or NACK."""
    if error is None:
        say("ack", subject, *version)
    else:
        say("nack", subject, reason(error))


class Stream:
    """What both protocols do alike; events of one stream come by one queue."""

    def __init__(self, requests):
        self.events = queue.Queue()
        self.nonce = 0
        with lock:
            streams.append(self.events)
        threading.Thread(target=self._hear, args=(requests,), daemon=True).start()

    def _hear(self, requests):
        try:
            for request in requests:
                self.events.put(list(fields(request)))
        except Exception:  # the stream broke
            pass
        self.events.put(None)

    def run(self):
        while (event := self.events.get()) is not None:
            if isinstance(event, tuple):
                yield from self.beat(*event)
            else:
                yield from self.changed() if event == "changed" else self.take(event)
        with lock:
            streams.remove(self.events)

    def next_nonce(self):
        self.nonce += 1
        return f"nonce-{self.nonce}"


class WholeStream(Stream):
    def __init__(self, requests):
        super().__init__(requests)
        self.asked, self.sent = {}, {}  # url -> names; url -> what was said last

    @staticmethod
    def subject(url, _):
        return short(url)

    @staticmethod
    def tell_question(url, names, _):
        say("ask", short(url), *(names or ["*"]))

    def take(self, request):
        url, names = text(request, 4), texts(request, 3)
        if texts(request, 5):
            tell_answer(self.subject(url, names), dict(request).get(6), text(request, 1))
        if self.asked.get(url) != names:
            self.tell_question(url, names, request)
            self.asked[url] = names
            self.sent.pop(url, None)
        yield from self.changed()

    def changed(self):
        for url, names in self.asked.items():
            with lock:
                known = said.get(url.removeprefix(URL), {})
                now = {n: r for n, r in known.items() if n in names or not (names or r[3])}
            # Nothing is said of a name that is not known, but everything of a type may be nothing.
            if self.sent.get(url) == now or (names and not now):
                continue
            self.sent[url] = now
            yield self.response(url, now, (any_resource(url, n, r) for n, r in now.items() if r[1] is not None))

    def response(self, url, now, resources):
        version = "-".join(sorted(version for version, *_ in now.values())) or "none"
        return (field(1, version) + b"".join(field(2, each) for each in resources) + field(4, url)
                + field(5, self.next_nonce()))

    def beat(self, url, name, known):
        """As all that it has said, for the state of the world has no less."""
        if name in self.sent.get(url, {}):
            yield self.response(url, self.sent[url], (any_resource(url, n, r, n == name)
                                                      for n, r in self.sent[url].items()))


class SecretStream(WholeStream):
    @staticmethod
    def subject(_, names):
        return names[0]

    @staticmethod
    def tell_question(_, names, request):
        say("ask", names[0], text(list(fields(dict(request).get(2, b""))), 1))


class DeltaStream(Stream):
    def __init__(self, requests):
        super().__init__(requests)
        self.asked, self.sent = {}, {}  # url -> names; url -> name -> version

    def take(self, request):
        url, more, less = text(request, 2), texts(request, 3), texts(request, 4)
        is_first = url not in self.asked
        names = self.asked.setdefault(url, set())
        if texts(request, 6):
            tell_answer(short(url), dict(request).get(7))
        if is_first and not more:
            more = ["*"]
        if more:
            say("ask", short(url), *more)
        if less:
            say("drop", short(url), *less)
        names.update(more)
        names.difference_update(less)
        with lock:
            known = said.get(url.removeprefix(URL), {})
            missing = [name for name in more if name != "*" and not self.stands_for(known, name)]
        for name in more:
            self.sent.get(url, {}).pop(name, None)  # it is said again
        yield from self.changed(url, missing)

    @staticmethod
    def stands_for(known, name):
        return [n for n, r in known.items() if n == name or name in r[2]]

    def beat(self, url, name, known):
        if name in self.sent.get(url, {}):
            yield (field(1, "delta") + field(2, wrapped(url, name, known, is_heartbeat=True)) + field(4, url)
                   + field(5, self.next_nonce()))

    def changed(self, asked_url=None, missing=()):
        for url, names in self.asked.items():
            sent = self.sent.setdefault(url, {})
            with lock:
                known = dict(said.get(url.removeprefix(URL), {}))
            wanted = {n for name in names for n in self.stands_for(known, name)}
            wanted |= {n for n, r in known.items() if "*" in names and not r[3]}
            fresh = [n for n in sorted(wanted) if sent.get(n) != known[n][0]]
            gone = [n for n in sent if n not in known]
            empty = missing if url == asked_url else ()
            if not fresh and not gone and not empty:
                continue
            resources = b""
            for name in fresh:
                sent[name] = known[name][0]
                resources += field(2, wrapped(url, name, known[name]))
            for name in empty:
                resources += field(2, field(3, name) + field(4, name))
            for name in gone:
                del sent[name]
            yield (field(1, "delta") + resources + field(4, url) + field(5, self.next_nonce())
                   + b"".join(field(6, name) for name in gone))


METHODS = {SERVICE + "StreamAggregatedResources": WholeStream, SERVICE + "DeltaAggregatedResources": DeltaStream,
           SECRETS + "StreamSecrets": SecretStream}
# Package and name of the service of one type, and what its methods end in.
SINGLE = [("cluster", "Cluster", "Clusters"), ("endpoint", "Endpoint", "Endpoints"),
          ("listener", "Listener", "Listeners"), ("route", "Route", "Routes"),
          ("route", "ScopedRoutes", "ScopedRoutes"), ("route", "VirtualHost", "VirtualHosts"),
          ("extension", "ExtensionConfig", "ExtensionConfigs"), ("runtime", "Runtime", "Runtime")]
for package, name, ending in SINGLE:
    path = f"/envoy.service.{package}.v3.{name}DiscoveryService/"
    METHODS[path + "Stream" + ending] = WholeStream
    METHODS[path + "Delta" + ending] = DeltaStream


def add_port(server, address, *files):
    if not files:
        return server.add_insecure_port(address)
    certificate, key, *ca = [open(file, "rb").read() for file in files]
    return server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)], *ca,
                                                                      require_client_auth=bool(ca)))


def main():
    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            stream = METHODS.get(details.method)
            if "Aggregated" not in details.method and "Secret" not in details.method:
                say("stream", details.method.rpartition("/")[2])
            return stream and grpc.stream_stream_rpc_method_handler(lambda requests, _: stream(requests).run())
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), handlers=[Handler()])
    port = add_port(server, *sys.argv[1:])
    if not port:
        sys.exit("cannot listen on " + sys.argv[1])
    server.start()
    say("listens", port)
    for line in sys.stdin:
        command = json.loads(line)
        with lock:
            of_type = said.setdefault(command["type"], {})
            if "version" in command:
                message = command.get("resource")
                of_type[command["name"]] = (command["version"], None if message is None else bytes.fromhex(message),
                                            command.get("aliases", []), command.get("quiet", False),
                                            command.get("ttl", 0))
            elif "heartbeat" not in command:
                of_type.pop(command["name"], None)
            event = "changed"
            if "heartbeat" in command:
                event = (URL + command["type"], command["name"], of_type[command["name"]])
            for events in streams:
                events.put(event)
    server.stop(0)


if __name__ == "__main__":
    main()
