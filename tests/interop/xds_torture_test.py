#!/usr/bin/env python3
"""A control plane that breaks every rule: little CPU, no memory, the old state is served, and when the control plane
behaves again it is heard.

    SECONDS=10 ...              how long each misbehaviour lasts
    SCRIPT=never_asked ...      one of them alone
"""

import os
import time
import unittest

import sidecar
from control_plane import ADS, bootstrap
from discovery_service import encoded
from envoy_config import HCM, TYPE
from http2_peers import GOAWAY
from origins import Load, Origin, get
from protobuf_wire import field, varint
from xds_model import address
from xds_script import CLUSTERS, ENDPOINTS, LISTENERS, PREFIX, ROUTES, Good, ScriptedPlane, framed, resource

DELTA = False  # whether the proxy speaks it
BACKS_OFF = DELTA  # also after streams that said something, and from refusing ever new versions: comes with it
PROTOCOLS = ["sotw", *(["delta"] if DELTA else [])]
SECONDS = float(os.environ.get("SECONDS", "1"))
MOST_CPU = 0.2  # of a core
MOST_STREAMS = 15  # a second, of the back-off in bootstrap()
MOST_GROWTH = 10 << 20  # of memory
LIMIT = 64 << 20  # of a message
TYPES = 4  # that a new stream asks for at once


def state(origin_port, cluster, is_eds, listener_port):
    """{type: {name: Any}} of one cluster, and a listener that leads to it."""
    endpoints = {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": address(origin_port)}}]}]}
    made = {"@type": CLUSTERS, "name": cluster, "connect_timeout": "1s"}
    made |= {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}} if is_eds else {
        "type": "STATIC", "load_assignment": endpoints}
    manager = {"@type": HCM, "stat_prefix": "in", "rds": {"route_config_name": "r", "config_source": ADS},
               "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                   "@type": TYPE + "filters.http.router.v3.Router"}}]}
    listener = {"@type": LISTENERS, "name": "in", "address": address(listener_port), "filter_chains": [
        {"filters": [{"name": "hcm", "typed_config": manager}]}]}
    routes = {"@type": ROUTES, "name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]}
    bodies = encoded([made, {"@type": ENDPOINTS} | endpoints, listener, routes])
    return {CLUSTERS: {cluster: bodies[0]}, ENDPOINTS: {cluster: bodies[1]}, LISTENERS: {"in": bodies[2]},
            ROUTES: {"r": bodies[3]}}


def any_of(kind, value):
    return field(1, kind) + field(2, value)


def nested(levels, *head):
    """A field within a field, `levels` times: each of `head` is what comes before the next, or its number."""
    out, size = [], 0
    for _ in range(levels):
        part = b""
        for each in reversed(head):
            if isinstance(each, int):
                part = bytes([each << 3 | 2]) + varint(size + len(part)) + part
            else:
                part = each + part
        out.append(part)
        size += len(part)
    return b"".join(reversed(out))


BROKEN = b"\xff" * 20  # no message
BAD = field(2, 77)  # in a cluster: a type that there is not
ANY = field(1, PREFIX + "google.protobuf.Any")


# ---- what a control plane may do.  Each is a script with the state that was good; it goes on until it is ended ----

def stale_nonces(stream, good):
    stream.open().requests(TYPES)
    for number in range(50):
        for kind, resources in good.items():
            stream.say(kind, f"s{number}", "the same" if number % 3 else "", resources)
    stream.hang()


def the_same_again(stream, good):
    stream.open().requests(TYPES)
    for number in range(200):
        stream.say(CLUSTERS, "v1", f"n{number}", good[CLUSTERS])
    stream.hang()


def duplicates(stream, good):
    stream.open().requests(TYPES)
    for kind, resources in good.items():
        name, one = next(iter(resources.items()))
        twice = [resource(name, one, "v")] * 2 if stream.is_delta else [one] * 2
        stream.say(kind, "twice", "twice", twice)
    stream.hang()


def unknown_types(stream, good):
    stream.open().requests(TYPES)
    for number in range(100):
        stream.say(PREFIX + f"no.such.Type{number}", "v", f"n{number}", {})
    stream.say(PREFIX + "envoy.service.runtime.v3.Runtime", "v", "n", {})
    stream.say("", "v", "n", good[CLUSTERS])
    stream.say("x" * 100_000, "v", "n", {})
    stream.hang()


def other_types_inside(stream, good):
    stream.open().requests(TYPES)
    stream.say(CLUSTERS, "v", "n1", good[LISTENERS])
    stream.say(LISTENERS, "v", "n2", good[CLUSTERS])
    stream.say(ENDPOINTS, "v", "n3", {name: any_of(ENDPOINTS, BROKEN) for name in good[ENDPOINTS]})
    stream.say(ROUTES, "v", "n4", {"r": any_of(ROUTES, BROKEN)})
    stream.hang()


def partial(stream, good):
    stream.open().requests(TYPES)
    for number in range(20):
        stream.say(ENDPOINTS, f"p{number}", f"e{number}", {})
        stream.say(ROUTES, f"p{number}", f"r{number}", {})
    stream.hang()


def never_asked(stream, good):
    stream.open().requests(TYPES)
    for number in range(100):
        stream.say(ENDPOINTS, f"x{number}", f"e{number}", {
            f"nobody-{number}": any_of(ENDPOINTS, field(1, f"nobody-{number}"))})
        stream.say(ROUTES, f"x{number}", f"r{number}", {
            f"nobody-{number}": any_of(ROUTES, field(1, f"nobody-{number}"))})
    stream.hang()


def too_long(stream, good):
    stream.open().requests(TYPES)
    stream.bytes(bytes(1) + (LIMIT + 1).to_bytes(4, "big"))
    while True:
        stream.bytes(bytes(1 << 20))


def declared_but_not_sent(stream, good):
    """The length that is allowed, and no more."""
    stream.open().requests(TYPES)
    stream.bytes(bytes(1) + LIMIT.to_bytes(4, "big") + bytes(1000))
    stream.hang()


def long_and_wrong(stream, good):
    """One cluster of nearly all that is allowed; once, for it costs both of us time."""
    stream.open().requests(TYPES)
    if stream.plane.streams == 1:
        stream.plane.is_over = False
        stream.say(CLUSTERS, "long", "long", {"c": any_of(CLUSTERS, field(1, b"c" * (LIMIT - 1000)) + BAD)})
        stream.until(lambda request: request.nonce == "long")
        stream.plane.is_over = True
    stream.hang()


def long_and_unknown(stream, good):
    """A good answer, and a field that nobody knows."""
    stream.open().requests(TYPES)
    if stream.plane.streams == 1:
        stream.plane.is_over = False
        stream.say(CLUSTERS, "v1", "long", good[CLUSTERS], more=field(9999, bytes(LIMIT - 10_000)))
        stream.until(lambda request: request.nonce == "long")
        stream.plane.is_over = True
    stream.hang()


def dribbled(stream, good):
    stream.open().requests(TYPES)
    stream.plane.is_over = False
    for kind, resources in good.items():
        stream.dribble(framed(stream.message(kind, "v1", kind, resources)))
        stream.until(lambda request: request.nonce == kind)
    stream.plane.is_over = True
    stream.hang()


def reset_at_each_step(stream, good):
    """After no request, after one, ... after the head, after an answer, and in the midst of one."""
    step = stream.plane.streams % 8
    if step < 3:
        stream.requests(step)
    else:
        stream.open().requests(min(step - 2, TYPES))
    if step >= 6:
        message = framed(stream.message(CLUSTERS, "v1", "n", good[CLUSTERS]))
        stream.bytes(message[:len(message) // 2] if step == 6 else message)
    stream.reset(step)


def no_answer(stream, good):
    stream.hang()


def no_message(stream, good):
    stream.open().hang()


def answers_once_and_closes(stream, good):
    stream.open().requests(1)
    stream.say(CLUSTERS, "v1", "n", good[CLUSTERS])
    stream.finish(0)


def closes_at_once(stream, good):
    raise EOFError("on purpose")


def no_grpc(stream, good):
    """What a web server says."""
    status = ("404", "503", "200")[stream.plane.streams % 3]
    stream.peer.head(stream.stream, [(":status", status), ("content-type", "text/html")], False)
    stream.bytes(b"<html>" * 1000)
    stream.peer.data(stream.stream, b"", True)


def no_protobuf(stream, good):
    stream.open().requests(TYPES)
    for message in (BROKEN, b"", field(4, b"\xff\xfe"), field(2, BROKEN) + field(4, CLUSTERS) + field(5, "n")):
        stream.bytes(framed(message))
    stream.bytes(framed(b"compressed", flags=1))
    stream.bytes(framed(b"x", flags=200))
    stream.hang()


def refused_again(stream, good):
    """As go-control-plane does: what was refused is said again at once."""
    stream.open().requests(TYPES)
    for number in range(10_000):
        stream.say(CLUSTERS, "bad", f"n{number}", {"bad": any_of(CLUSTERS, field(1, "bad") + BAD)})
        stream.until(lambda request: request.nonce == f"n{number}")
    stream.hang()


def refused_in_new_versions(stream, good):
    stream.open().requests(TYPES)
    for number in range(10_000):
        stream.say(CLUSTERS, f"bad-{number}", f"n{number}", {"bad": any_of(CLUSTERS, field(1, "bad") + BAD)})
        stream.until(lambda request: request.nonce == f"n{number}")
    stream.hang()


def refused_without_waiting(stream, good):
    """10,000 bad answers, as fast as they are read."""
    stream.open().requests(TYPES)
    for number in range(10_000):
        stream.say(CLUSTERS, "bad", f"n{number}", {"bad": any_of(CLUSTERS, field(1, "bad") + BAD)})
    stream.hang()


def many_names(stream, good):
    """Of resources that nobody asked for, all different."""
    stream.open().requests(TYPES)
    for number in range(20):
        stream.say(ENDPOINTS, f"m{number}", f"n{number}", {
            f"nobody-{number}-{n}": any_of(ENDPOINTS, field(1, f"nobody-{number}-{n}")) for n in range(2000)})
    stream.hang()


def many_bad(stream, good):
    stream.open().requests(TYPES)
    stream.plane.is_over = False
    stream.say(CLUSTERS, "bad", "n", {f"bad-{n}": any_of(CLUSTERS, field(1, f"bad-{n}") + BAD) for n in range(20_000)})
    stream.until(lambda request: request.nonce == "n")
    stream.plane.is_over = True
    stream.hang()


def deep(stream, good):
    """An Any in an Any in an Any ..., and structures likewise."""
    stream.open().requests(TYPES)
    socket = field(1, "s") + field(3, nested(50_000, ANY, 2))
    metadata = field(1, field(1, "m") + field(2, nested(50_000, 1, field(1, "k"), 2, 5)))
    stream.say(CLUSTERS, "deep", "n1", {"bad-1": any_of(CLUSTERS, field(1, "bad-1") + field(24, socket)),
                                        "bad-2": any_of(CLUSTERS, field(1, "bad-2") + field(25, metadata))})
    stream.say(LISTENERS, "deep", "n2", {"bad": nested(50_000, ANY, 2)})
    stream.hang()


def odd_names(stream, good):
    stream.open().requests(TYPES)
    names = (b"bad\n[error] forged", b"bad\x1b[31m", b"bad\0", b"bad\xff\xfe", b"bad" * 30_000)
    for number, name in enumerate(names):
        one = any_of(CLUSTERS, field(1, name) + BAD)
        stream.say(CLUSTERS, f"v{number}", f"n{number}", [resource(name, one, "v")] if stream.is_delta else [one])
    stream.hang()


def odd_ends(stream, good):
    """A long reason with what a terminal would obey, and then the connection too."""
    stream.open().requests(1)
    stream.peer.head(stream.stream, [("grpc-status", "14"), ("grpc-message", "bad%0A%1B[31m" * 1000)], True)
    stream.peer.frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"x" * 10_000)
    stream.hang()


def says_again(stream, good, kind):
    """One type, whose answer is the last that it hears, and ends."""
    stream.open().requests(TYPES)
    stream.say(kind, "again", "again", good[kind])
    stream.until(lambda request: request.nonce == "again")


def removes_what_is_not_there(stream, good):
    stream.open().requests(TYPES)
    for number in range(50):
        stream.say(CLUSTERS, f"d{number}", f"n{number}", {}, removed=[f"nobody-{n}" for n in range(200)])
    stream.hang()


def other_names_inside(stream, good):
    stream.open().requests(TYPES)
    stream.say(CLUSTERS, "v", "n1", {"another": one for one in good[CLUSTERS].values()})
    stream.say(ROUTES, "v", "n2", {"another": one for one in good[ROUTES].values()})
    stream.hang()


def no_bodies(stream, good):
    """Heartbeats, of what is known and of what is not."""
    stream.open().requests(TYPES)
    for kind, resources in good.items():
        stream.say(kind, "v1", kind, [resource(name, None, "v1") for name in [*resources, "nobody"]])
    stream.hang()


# (script, what NACKs must say; None: there are none)
ROWS = [(stale_nonces, None), (the_same_again, None), (duplicates, "two of this name"), (unknown_types, None),
        (other_types_inside, "Listener|Cluster"), (partial, None), (never_asked, None), (too_long, None),
        (declared_but_not_sent, None), (long_and_wrong, "expected|it is called"), (long_and_unknown, None), (dribbled, None),
        (reset_at_each_step, None), (no_answer, None), (no_message, None), (answers_once_and_closes, None),
        (closes_at_once, None), (no_grpc, None), (no_protobuf, None), (refused_again, "bad"),
        (refused_in_new_versions, "bad"), (refused_without_waiting, "bad"), (many_names, None), (many_bad, "bad"),
        (deep, "bad"), (odd_names, "bad"), (odd_ends, None)]
DELTA_ROWS = [(removes_what_is_not_there, None), (other_names_inside, None), (no_bodies, None)]
# Of which the CPU is not bounded by a wait: all of it is said at once, and once.
AT_ONCE = {long_and_wrong, long_and_unknown, dribbled, many_names, many_bad, deep}
# 20,000 refusals are remembered, each with its reason, until the control plane says no more of them; what that took is
# free then, but in pieces.
MAY_GROW = {many_bad: 40 << 20}
# Of which it may be said either way that they are wrong.
UNJUDGED = {no_protobuf, other_names_inside, no_bodies}
WANTS_BACK_OFF = {answers_once_and_closes, no_protobuf, refused_in_new_versions}


class TortureTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origins = [Origin(cls, f"origin-{n}") for n in range(2)]
        cls.port = sidecar.free_port()
        cls.before = state(cls.origins[0].port, "c", True, cls.port)
        cls.after = state(cls.origins[1].port, "d", False, cls.port)

    def cpu(self):
        """Seconds."""
        with open(f"/proc/{self.proxy.process.pid}/stat") as stat:
            user, system = stat.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def growth(self, memory, most):
        """Of memory; what is superseded is freed every 10 s."""
        end = time.monotonic() + 15
        while (growth := self.proxy.rss() - memory) > most and time.monotonic() < end:
            time.sleep(0.5)
        return growth

    def torture(self, protocol, script, nack):
        plane = ScriptedPlane(self, Good("v1", self.before))
        self.proxy = sidecar.start(self, bootstrap(plane.address, delta=protocol == "delta"))
        load = Load(self.port, clients=1, pause=0.01)
        try:
            sidecar.until("the old state", lambda: get(self.port) == (200, "origin-0"))
            memory, cpu, begin = self.proxy.rss(), self.cpu(), time.monotonic()
            plane.switch(lambda stream: script(stream, self.before))
            sidecar.until(lambda: f"it is over: {self.proxy.log_tail()}", lambda: time.monotonic() > begin + SECONDS
                          and plane.is_over and plane.streams and (nack is None or plane.nacks()))
            cpu = (self.cpu() - cpu) / (time.monotonic() - begin)
            nacks, streams = plane.nacks(), plane.streams
            self.assertEqual(get(self.port), (200, "origin-0"))
            plane.switch(Good("v2", self.after))
            sidecar.until(lambda: f"the new state: {get(self.port)}\n{self.proxy.log_tail()}",
                          lambda: get(self.port) == (200, "origin-1"))
            log = self.proxy.log_text()
            growth = self.growth(memory, may_grow := MAY_GROW.get(script, MOST_GROWTH))
        finally:
            load.stop()
            self.proxy.stop()
            plane.upstream.stop()
        print(f"{protocol} {script.__name__}: {cpu:.0%} of a core, {growth / 1e6:+.1f} MB, {streams} streams, "
              f"{len(log)} bytes of log, {len(nacks)} NACKs, {load.count} requests", flush=True)
        self.assertEqual(load.failures, [])
        self.assertNotRegex(log, r"[^\t\n -\U0010ffff]|\n\[error\]")
        self.assertTrue(all(line.startswith("[20") for line in log.splitlines()))
        if script not in AT_ONCE and (BACKS_OFF or script not in WANTS_BACK_OFF):
            self.assertLess(cpu, MOST_CPU)
        if BACKS_OFF or script not in WANTS_BACK_OFF:
            self.assertLess(streams, MOST_STREAMS * SECONDS + 10)
        if not sidecar.sanitized():
            self.assertLess(growth, may_grow)
        if nack is not None:
            self.assertTrue(nacks)
            self.assertRegex(nacks[0].error, nack)
            self.assertLess(max(len(each.error) for each in nacks), 1 << 16)
        elif script not in UNJUDGED:
            self.assertEqual([each.error for each in nacks], [])

    def test_whatever_it_says_the_last_good_state_is_served(self):
        wanted = os.environ.get("SCRIPT")
        for protocol in PROTOCOLS:
            for script, nack in ROWS + (DELTA_ROWS if protocol == "delta" else []):
                if wanted and script.__name__ != wanted:
                    continue
                with self.subTest(protocol=protocol, script=script.__name__):
                    self.torture(protocol, script, nack)

    def test_a_new_stream_asks_for_clusters_first_and_for_routes_last(self):
        # Whatever was spoken of last: servers answer in the order of the questions.
        for protocol in PROTOCOLS:
            plane = ScriptedPlane(self, Good("v1", self.before))
            proxy = sidecar.start(self, bootstrap(plane.address, delta=protocol == "delta"))
            for last in self.before:
                with self.subTest(protocol=protocol, last=last):
                    plane.switch(lambda stream, last=last: says_again(stream, self.before, last))
                    sidecar.until("a stream that ends", lambda: plane.streams >= 2)
                    plane.switch(Good("v1", self.before))
                    sidecar.until("four requests", lambda: len(plane.heard) >= TYPES)
                    self.assertEqual([request.type for request in plane.heard[:TYPES]],
                                     [CLUSTERS, ENDPOINTS, LISTENERS, ROUTES])
            proxy.stop()
            plane.upstream.stop()


if __name__ == "__main__":
    unittest.main()
