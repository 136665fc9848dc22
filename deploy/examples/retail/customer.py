#!/usr/bin/env python3
"""The `customer` service: the shop's front door.  Knows nothing of Pillion.

GET /customers/7/profile asks `users` by a plain REST call to the host name `users`;
GET /customers/echo passes on what `users` saw of our request; POST /customers adds a user.
"""

import json
import urllib.error
import urllib.request

from rest import serve


def ask_users(path, body=None):
    """The status and the JSON of the answer of `users`; 502 when there is none."""
    request = urllib.request.Request(f"http://users{path}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {"error": error.read().decode(errors="replace").strip()}
    except (OSError, ValueError) as error:
        return 502, {"error": f"users does not answer: {error}"}


def profile(request, number):
    status, user = ask_users(f"/users/{number}")
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
        ("GET", r"/customers/echo", seen_by_users),
        ("POST", r"/customers", add_customer),
    ])
