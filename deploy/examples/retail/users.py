#!/usr/bin/env python3
"""The `users` service: who the customers of the shop are.  Knows nothing of Pillion.

GET /users, GET /users/7, POST /users {"name": ..., "city": ...}; GET /echo shows the request's
headers, GET /slow takes its time.  Each replica keeps its users in memory, so a new one is known to one replica
only.  PUT /broken true makes this replica answer 500 from now on, PUT /broken false ends that.
"""

import json
import time

from rest import serve

NAMES = ["Ada", "Bjarne", "Cleo", "Dennis", "Edsger", "Frances", "Grace", "Hedy"]
CITIES = ["London", "Aarhus", "Rome", "New York"]
USERS = {
    number: {"id": number, "name": name, "city": CITIES[number % len(CITIES)]}
    for number, name in enumerate(NAMES, start=1)
}


broken = False


def break_down(request):
    global broken
    broken = request.body.strip() == b"true"
    return 200, {"broken": broken}


def slow(request):
    time.sleep(1)
    return 200, {"took": "a second"}


def list_users(request):
    return 200, {"users": list(USERS.values())}


def show_user(request, number):
    if broken:
        return 500, {"error": "this replica is broken"}
    user = USERS.get(int(number))
    return (200, user) if user else (404, {"error": f"there is no user {number}"})


def add_user(request):
    try:
        given = json.loads(request.body)
        user = {"id": len(USERS) + 1, "name": given["name"], "city": given["city"]}
    except (ValueError, KeyError, TypeError):
        return 400, {"error": "expected a name and a city, as JSON"}
    USERS[user["id"]] = user
    return 201, user


def echo(request):
    return 200, {"headers": dict(request.headers.items())}


if __name__ == "__main__":
    serve([
        ("GET", r"/users", list_users),
        ("GET", r"/users/(\d+)", show_user),
        ("POST", r"/users", add_user),
        ("GET", r"/echo", echo),
        ("GET", r"/slow", slow),
        ("PUT", r"/broken", break_down),
    ])
