"""A discovery service of tests on gRPC's Python and its messages of xDS, state of the world and delta, on aggregated
streams.  Written from the protocol's text; it shares nothing with go-control-plane and behaves otherwise where it may:
it does not wait for answers before it says what is next, names are answered one by one, and nonces are random.

    discovery_server.py ADDRESS      serves
    discovery_server.py encode       a list of resources in JSON on stdin -> the hex of each, as Any

Commands on stdin, one JSON object a line: {"node", "version", "resources": [with "@type"]} is all that this node is
told from now on.  Prints "listens", "ok VERSION", and what it hears: "open NODE sotw|delta", "ack NODE TYPE VERSION",
"nack NODE TYPE REASON".
"""

import glob
import hashlib
import importlib
import json
import os
import queue
import sys
import threading
import uuid
from concurrent import futures

import envoy
import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2, json_format

PREFIX = "type.googleapis.com/"
CLUSTERS = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENERS = PREFIX + "envoy.config.listener.v3.Listener"
ROUTES = PREFIX + "envoy.config.route.v3.RouteConfiguration"
IN_ORDER = (CLUSTERS, ENDPOINTS, LISTENERS, ROUTES)
WHOLE = (CLUSTERS, LISTENERS)  # of which a response without a resource says that it is no more

speaking, states_lock = threading.Lock(), threading.Lock()
states = {}  # node -> (version, {type: {name: (version, Any)}})
streams = set()


def say(*words):
    with speaking:  # streams have threads of their own
        print(*words, flush=True)


# ---- resources ----

def import_types(value):
    """The modules of all messages that `value`, read from JSON, names."""
    if isinstance(value, list):
        for each in value:
            import_types(each)
    elif isinstance(value, dict):
        if "@type" in value:
            package = value["@type"].removeprefix(PREFIX).rpartition(".")[0]
            folder = os.path.join(os.path.dirname(next(iter(envoy.__path__))), *package.split("."))
            for file in glob.glob(os.path.join(folder, "*_pb2.py")):
                importlib.import_module(f"{package}.{os.path.basename(file)[:-3]}")
        for each in value.values():
            import_types(each)


def packed(resource):
    import_types(resource)
    return json_format.ParseDict(resource, any_pb2.Any())


def name_of(resource):
    return resource.get("name") or resource["cluster_name"]


def set_state(command):
    kinds = {kind: {} for kind in IN_ORDER}
    for resource in command["resources"]:
        made = packed(resource)
        digest = hashlib.sha256(made.SerializeToString(deterministic=True)).hexdigest()[:12]
        kinds.setdefault(made.type_url, {})[name_of(resource)] = (digest, made)
    with states_lock:
        states[command["node"]] = (command["version"], kinds)
        for stream in streams:
            stream.events.put("changed")


def state_of(node):
    with states_lock:
        return states.get(node, ("", {}))


# ---- streams ----

class Subscription:
    def __init__(self):
        self.names = set()
        self.is_wildcard = False
        self.was_named = False
        self.was_answered = False
        self.sent = {}  # name -> version; None: said to be no more
        self.nonce = ""
        self.versions = {}  # of deltas, by nonce

    def known(self, resources):
        """What of `resources` is asked for."""
        return {name: value for name, value in resources.items() if self.is_wildcard or name in self.names}


class Stream:
    """What both protocols share: events are requests, "changed", and None at the end."""

    def __init__(self, requests, context):
        self.events = queue.Queue()
        self.node = None
        self.subscriptions = {}
        context.add_callback(lambda: self.events.put(None))
        threading.Thread(target=self._read, args=(requests,), daemon=True).start()

    def _read(self, requests):
        try:
            for request in requests:
                self.events.put(request)
        except grpc.RpcError:
            pass
        except Exception:  # the stream broke: gRPC raises a plain one
            pass
        self.events.put(None)

    def run(self):
        with states_lock:
            streams.add(self)
        try:
            while (event := self.events.get()) is not None:
                if event == "changed":
                    kinds = [kind for kind in IN_ORDER if kind in self.subscriptions]
                else:
                    kinds = [event.type_url] if self.take(event) else []
                for kind in kinds:
                    answer = self.answer(kind, self.subscriptions[kind])
                    if answer is not None:
                        yield answer
        finally:
            with states_lock:
                streams.discard(self)

    def greet(self, request):
        if self.node is None:
            self.node = request.node.id
            say("open", self.node, self.PROTOCOL)

    def tell(self, request, version):
        kind = request.type_url.rpartition(".")[2]
        if request.HasField("error_detail"):
            say("nack", self.node, kind, request.error_detail.message.replace("\n", " "))
        elif request.response_nonce:
            say("ack", self.node, kind, version)

    def finish(self, response, kind, subscription):
        subscription.nonce = uuid.uuid4().hex
        subscription.was_answered = True
        response.type_url, response.nonce = kind, subscription.nonce
        response.control_plane.identifier = "python"
        return response


class StateOfTheWorld(Stream):
    PROTOCOL = "sotw"

    def take(self, request):
        self.greet(request)
        subscription = self.subscriptions.setdefault(request.type_url, Subscription())
        if request.response_nonce != subscription.nonce:
            return False  # it did not know the newest response yet; an answer to that comes
        self.tell(request, request.version_info)
        names = set(request.resource_names)
        subscription.was_named |= bool(names)
        subscription.is_wildcard = "*" in names or (not subscription.was_named and request.type_url in WHOLE)
        subscription.names = names - {"*"}
        for gone in subscription.sent.keys() - subscription.names if not subscription.is_wildcard else ():
            del subscription.sent[gone]
        return True

    def answer(self, kind, subscription):
        version, kinds = state_of(self.node)
        if not version:
            return None
        wanted = subscription.known(kinds.get(kind, {}))
        changed = {name for name, (digest, _) in wanted.items() if subscription.sent.get(name) != digest}
        if kind in WHOLE:
            if subscription.was_answered and not changed and subscription.sent.keys() == wanted.keys():
                return None
            told, subscription.sent = wanted, {}
        elif not changed:
            return None
        else:
            told = {name: wanted[name] for name in changed}
        subscription.sent |= {name: digest for name, (digest, _) in told.items()}
        response = discovery_pb2.DiscoveryResponse(version_info=version, resources=[each for _, each in told.values()])
        return self.finish(response, kind, subscription)


class Delta(Stream):
    PROTOCOL = "delta"

    def take(self, request):
        self.greet(request)
        subscription = self.subscriptions.get(request.type_url)
        if subscription is None:
            subscription = self.subscriptions[request.type_url] = Subscription()
            subscription.sent = dict(request.initial_resource_versions)
            subscription.is_wildcard = not request.resource_names_subscribe and request.type_url in WHOLE
        else:
            for name in request.resource_names_subscribe:
                subscription.sent.pop(name, None)  # it asks again: it is told again
        self.tell(request, subscription.versions.pop(request.response_nonce, "?"))
        for name in request.resource_names_subscribe:
            subscription.is_wildcard |= name == "*"
            subscription.names |= {name} - {"*"}
        for name in request.resource_names_unsubscribe:
            subscription.is_wildcard &= name != "*"
            subscription.names.discard(name)
            subscription.sent.pop(name, None)
        return True

    def answer(self, kind, subscription):
        version, kinds = state_of(self.node)
        if not version:
            return None
        wanted = subscription.known(kinds.get(kind, {}))
        changed = {name for name, (digest, _) in wanted.items() if subscription.sent.get(name) != digest}
        missing = (subscription.sent.keys() | subscription.names) - wanted.keys()
        gone = {name for name in missing if subscription.sent.get(name, "") is not None}
        if not changed and not gone and (subscription.was_answered or not subscription.is_wildcard):
            return None
        subscription.sent |= {name: wanted[name][0] for name in changed} | dict.fromkeys(gone)
        response = discovery_pb2.DeltaDiscoveryResponse(
            system_version_info=version, removed_resources=sorted(gone),
            resources=[discovery_pb2.Resource(name=name, version=wanted[name][0], resource=wanted[name][1])
                       for name in sorted(changed)])
        self.finish(response, kind, subscription)
        subscription.versions[subscription.nonce] = version
        return response


class Servicer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    def StreamAggregatedResources(self, request_iterator, context):
        return StateOfTheWorld(request_iterator, context).run()

    def DeltaAggregatedResources(self, request_iterator, context):
        return Delta(request_iterator, context).run()


def main():
    if sys.argv[1] == "encode":
        for resource in json.load(sys.stdin):
            print(packed(resource).SerializeToString(deterministic=True).hex())
        return
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(Servicer(), server)
    if not server.add_insecure_port(sys.argv[1]):
        sys.exit("cannot listen on " + sys.argv[1])
    server.start()
    say("listens")
    for line in sys.stdin:
        command = json.loads(line)
        set_state(command)
        say("ok", command["version"])
    server.stop(0)


if __name__ == "__main__":
    main()
