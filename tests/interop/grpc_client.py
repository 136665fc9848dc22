"""A gRPC client of tests: runs every kind of call against PORT and fails with a traceback.  grpc_client.py PORT"""

import os
import sys
import time

import grpc

channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}", options=[
    ("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)])
unary, server_stream, client_stream, bidi, fail, slow, cancelled = (
    make("/echo.Echo/" + name) for make, name in (
        (channel.unary_unary, "Unary"), (channel.unary_stream, "ServerStream"), (channel.stream_unary, "ClientStream"),
        (channel.stream_stream, "Bidi"), (channel.unary_unary, "Fail"), (channel.unary_unary, "Slow"),
        (channel.unary_unary, "Cancelled")))
LONG, SOON = 60, 0.3


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r} is not {wanted!r}")


def metadata(call, key):
    return dict(call.trailing_metadata()).get(key)


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("no error")


def at_deadline(call):
    """A call with a deadline of SOON.  The server knows it too, and Go's resets the stream: that, or what a proxy makes of
    it, may come first, but not long before."""
    began = time.monotonic()
    error = status_of(call)
    took = time.monotonic() - began
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        return
    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or took < SOON - 0.05:
        raise AssertionError(f"{error} after {took:.3f} s of {SOON}")


def unary_calls():
    answer, call = unary.with_call(b"hello", metadata=[("x-a", "1")], timeout=LONG)
    equal((answer, metadata(call, "x-a"), call.code()), (b"hello", "1", grpc.StatusCode.OK))
    equal(unary(b"", timeout=LONG), b"")
    large = os.urandom(4 << 20)
    equal(unary(large, timeout=LONG), large)
    pending = [unary.future(b"%d" % i, timeout=LONG) for i in range(200)]
    equal([future.result() for future in pending], [b"%d" % i for i in range(200)])


def streams():
    got = list(server_stream(b"100,10000", timeout=LONG))
    equal([(len(part), part[0]) for part in got], [(10000, i) for i in range(100)])
    equal(client_stream((b"x" * 10000 for _ in range(100)), timeout=LONG), b"100,1000000")
    equal(client_stream(iter(()), timeout=LONG), b"0,0")
    call = bidi((b"%d" % i for i in range(500)), timeout=LONG, metadata=[("x-b", "2")])
    equal(list(call), [b"%d" % i for i in range(500)])
    equal(metadata(call, "x-b"), "2")
    large = os.urandom(1 << 20)
    equal(list(bidi(iter([large] * 8), timeout=LONG)), [large] * 8)


def ping_pong():
    """Each message waits for the answer to the one before: nothing may be held back."""
    answers = []

    def questions():
        for i in range(50):
            while len(answers) < i:
                time.sleep(0.001)
            yield b"%d" % i
    for answer in bidi(questions(), timeout=LONG):
        answers.append(answer)
    equal(len(answers), 50)


def errors():
    for code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL):
        error = status_of(lambda code=code: fail(b"%d" % code.value[0], timeout=LONG))
        equal((error.code(), error.details()), (code, "as asked: 50% \u00e9"))
    error = status_of(lambda: channel.unary_unary("/echo.Echo/None")(b"", timeout=LONG))
    equal(error.code(), grpc.StatusCode.UNIMPLEMENTED)


def binary_metadata():
    """Bytes of every value, in both directions, at the beginning and at the end."""
    value = bytes(range(256))
    for size in (0, 1, 2, 3, 256):
        sent = [("x-c-bin", value[:size]), ("x-c-bin", value[256 - size:]), ("x-first-bin", value[:size])]
        answer, call = unary.with_call(b"", metadata=sent, timeout=LONG)
        equal([v for k, v in call.trailing_metadata() if k == "x-c-bin"], [v for k, v in sent if k == "x-c-bin"])
        equal(dict(call.initial_metadata())["x-first-bin"], value[:size])
    call = bidi(iter([b"x"]), metadata=[("x-c-bin", value), ("x-first-bin", value)], timeout=LONG)
    equal(list(call), [b"x"])
    equal((metadata(call, "x-c-bin"), dict(call.initial_metadata())["x-first-bin"]), (value, value))


def compression():
    for kind in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
        for message in (b"", b"x" * 1_000_000, os.urandom(1_000_000)):
            equal(unary(message, compression=kind, timeout=LONG), message)
            equal(list(bidi(iter([message] * 3), compression=kind, timeout=LONG)), [message] * 3)


def deadlines_of_streams():
    def silence():
        time.sleep(2)
        yield b""
    for call in (bidi, client_stream.future):
        at_deadline(lambda call=call: call(silence(), timeout=SOON).result())
    equal(unary(b"after", timeout=LONG), b"after")


def ends_early():
    before = int(cancelled(b"", timeout=LONG))
    at_deadline(lambda: slow(b"", timeout=SOON))
    future = slow.future(b"", timeout=LONG)
    time.sleep(0.2)
    future.cancel()
    end = time.monotonic() + 20
    while int(cancelled(b"", timeout=LONG)) < before + 2:
        if time.monotonic() > end:
            raise AssertionError("the server never heard of the cancel")
        time.sleep(0.02)
    call = server_stream(b"1000000,10000", timeout=LONG)
    for _ in range(10):
        next(call)
    call.cancel()
    equal(status_of(lambda: list(call)).code(), grpc.StatusCode.CANCELLED)


for step in (unary_calls, streams, ping_pong, errors, binary_metadata, compression, deadlines_of_streams, ends_early):
    step()
    print(step.__name__, "ok", flush=True)
