#!/usr/bin/env python3
"""Calls a URL from several threads until a file disappears, then says how it went, as one line of JSON.

    load.py URL THREADS WHILE_THIS_FILE_EXISTS
    load.py URL CALLS                            so many calls, one after another
"""

import collections
import json
import os
import sys
import threading
import urllib.error
import urllib.request

url, number, running = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or [None])[0]
replicas, errors, lock = collections.Counter(), collections.Counter(), threading.Lock()


def call_once():
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            value = json.load(answer)
            return replicas, value.get("user", value)["served_by"]
    except urllib.error.HTTPError as error:
        return errors, f"{error.code} {error.read().decode(errors='replace')[:200]}"
    except (OSError, ValueError, KeyError) as error:
        return errors, str(error)


def call_and_count():
    counter, key = call_once()
    with lock:
        counter[key] += 1


def call_until_told_to_stop():
    while os.path.exists(running):
        call_and_count()


def call_often():
    for _ in range(number):
        call_and_count()


workers = [threading.Thread(target=call_until_told_to_stop) for _ in range(number)] if running else [
    threading.Thread(target=call_often)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(json.dumps({"answers": sum(replicas.values()), "errors": sum(errors.values()),
                  "by_replica": dict(sorted(replicas.items())), "what_failed": dict(errors)}))
