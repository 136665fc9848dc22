#!/usr/bin/env python3
"""The `customer` service: the shop's front door.  Knows nothing of Pillion.

GET /customers/7/profile asks `users` by a plain REST call to the host name `users`;
GET /customers/7/price asks `prices` by gRPC; GET /customers/echo passes on what `users` saw of our request;
GET /customers/slow is slow at `users`; POST /customers adds a user.
"""

import json
import os
import urllib.error
import urllib.request

from rest import serve

# Where prices are asked for, and by which name if that is another.
PRICES, PRICES_NAME = os.environ.get("PRICES", "prices:8080"), os.environ.get("PRICES_NAME")


def trace_of(request):
    """What a service does for tracing: it passes on who asked."""
    return {name: request.headers[name] for name in ("traceparent", "tracestate") if name in request.headers}


def ask_users(path, body=None, trace=None):
    """The status and the JSON of the answer of `users`; 502 when there is none."""
    request = urllib.request.Request(f"http://users{path}", data=body, headers=trace or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {"error": error.read().decode(errors="replace").strip()}
    except (OSError, ValueError) as error:
        return 502, {"error": f"users does not answer: {error}"}


def ask_prices(method, number, trace):
    """All answers of `prices`, and the status of the call."""
    os.environ.setdefault("GRPC_DNS_RESOLVER", "native")  # /etc/hosts knows the name; there is no DNS here
    import grpc  # only who asks for prices needs it

    options = [("grpc.default_authority", PRICES_NAME)] if PRICES_NAME else []
    options.append(("grpc.enable_http_proxy", 0))
    with grpc.insecure_channel(PRICES, options) as channel:
        make = channel.unary_stream if method == "Watch" else channel.unary_unary
        call = make(f"/shop.Prices/{method}", lambda value: json.dumps(value).encode(), json.loads)
        try:
            answer = call({"user": number}, timeout=5, metadata=list(trace.items()))
            return 200, list(answer) if method == "Watch" else [answer]
        except grpc.RpcError as error:
            return 502, [{"grpc_status": error.code().name, "error": error.details()}]


def price(request, number):
    status, answers = ask_prices("Quote", int(number), trace_of(request))
    return status, {"customer": int(number), "price": answers[0]}


def prices(request, number):
    status, answers = ask_prices("Watch", int(number), trace_of(request))
    return status, {"customer": int(number), "prices": answers}


def slow(request):
    return ask_users("/slow")


def profile(request, number):
    status, user = ask_users(f"/users/{number}", trace=trace_of(request))
    return status, {"customer": int(number), "user": user}


def seen_by_users(request):
    status, seen = ask_users("/echo")
    return status, {"users_saw": seen}


def add_customer(request):
    status, user = ask_users("/users", request.body)
    return status, {"user": user}


if __name__ == "__main__":
    serve([
        ("GET", r"/customers/(\d+)/profile", profile),
        ("GET", r"/customers/(\d+)/price", price),
        ("GET", r"/customers/(\d+)/prices", prices),
        ("GET", r"/customers/slow", slow),
        ("GET", r"/customers/echo", seen_by_users),
        ("POST", r"/customers", add_customer),
    ])
