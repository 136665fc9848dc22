"""What a control plane may do wrong, for xds_torture_test.py: scripts of a stream (xds_script.py) with the state that
was good.  Each goes on until it is ended."""

from http2_peers import GOAWAY
from protobuf_wire import field, varint
from xds_script import CLUSTERS, ENDPOINTS, LISTENERS, PREFIX, ROUTES, framed, resource

LIMIT = 64 << 20  # of a message
TYPES = 4  # that a new stream asks for at once


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


def refused_beside_others(stream, good):
    """Bad clusters, again and again without waiting, and routes that are heard meanwhile."""
    stream.open().requests(TYPES)
    stream.plane.is_over = False
    for number in range(300):
        stream.say(CLUSTERS, "bad", f"n{number}", {"bad": any_of(CLUSTERS, field(1, "bad") + BAD)})
        stream.say(ROUTES, f"r{number}", f"r{number}", good[ROUTES])
    stream.until(lambda request: request.nonce == "r299")
    stream.plane.is_over = True
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
        (declared_but_not_sent, None), (long_and_wrong, "expected|it is called"), (long_and_unknown, None),
        (dribbled, None), (reset_at_each_step, None), (no_answer, None), (no_message, None),
        (answers_once_and_closes, None),
        (closes_at_once, None), (no_grpc, None), (no_protobuf, None), (refused_again, "bad"),
        (refused_in_new_versions, "bad"), (refused_without_waiting, "bad"),
        (refused_beside_others, "bad"), (many_names, None), (many_bad, "bad"),
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
