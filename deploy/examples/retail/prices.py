#!/usr/bin/env python3
"""The `prices` service: what a customer pays, by gRPC.  Knows nothing of Pillion.

shop.Prices/Quote answers one question, shop.Prices/Watch sends five answers.  Messages are JSON, which gRPC allows:
so nothing has to be generated from a .proto file.  It listens on $LISTEN (HOST:PORT).
"""

import json
import os
import sys
from concurrent import futures

import grpc

NAME = os.environ.get("NAME", "nameless")


def to_bytes(value):
    return json.dumps(value).encode()


def quote(request, context):
    if "user" not in request:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "whose price? expected a user")
    return {"user": request["user"], "discount_percent": request["user"] % 5 * 5, "served_by": NAME}


def watch(request, context):
    for number in range(5):
        yield quote(request, context) | {"number": number}


class Prices(grpc.GenericRpcHandler):
    METHODS = {
        "/shop.Prices/Quote": grpc.unary_unary_rpc_method_handler(quote, json.loads, to_bytes),
        "/shop.Prices/Watch": grpc.unary_stream_rpc_method_handler(watch, json.loads, to_bytes),
    }

    def service(self, call):
        return self.METHODS.get(call.method)


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[Prices()])
    address = os.environ.get("LISTEN", "0.0.0.0:8080")
    server.add_insecure_port(address)
    server.start()
    print(f"{NAME} listens on {address}", file=sys.stderr, flush=True)
    server.wait_for_termination()
