"""A gRPC server of tests without generated code: messages are bytes.  grpc_server.py PORT

/echo.Echo/Unary, /ServerStream, /ClientStream and /Bidi answer with what they got; metadata `x-first-bin` comes back as
initial metadata, `x-a`, `x-b` and `x-c-bin` as trailing metadata.  /Fail ends with the status that the message names; /Slow sleeps until cancelled.
"""

import sys
import threading
from concurrent import futures

import grpc

cancelled = []


def echo_metadata(context):
    # Not x-forwarded-...: those must not be in trailers.
    context.send_initial_metadata([item for item in context.invocation_metadata() if item[0] == "x-first-bin"])
    context.set_trailing_metadata(
        [item for item in context.invocation_metadata() if item[0] in ("x-a", "x-b", "x-c-bin")])


def unary(request, context):
    echo_metadata(context)
    return request


def server_stream(request, context):
    echo_metadata(context)
    count, size = (int(part) for part in request.split(b","))
    for i in range(count):
        yield bytes([i % 256]) * size


def client_stream(requests, context):
    echo_metadata(context)
    count = total = 0
    for request in requests:
        count += 1
        total += len(request)
    return b"%d,%d" % (count, total)


def bidi(requests, context):
    echo_metadata(context)
    for request in requests:
        yield request


def fail(request, context):
    context.abort(next(code for code in grpc.StatusCode if code.value[0] == int(request)), "as asked: 50% \u00e9")


def slow(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(30)
    cancelled.append(request)
    return request


def count_cancelled(request, context):
    return b"%d" % len(cancelled)


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary), "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi), "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Slow": grpc.unary_unary_rpc_method_handler(slow), "Cancelled": grpc.unary_unary_rpc_method_handler(count_cancelled),
}

server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", HANDLERS),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
