#!/usr/bin/env python3
"""Calls a URL from several threads until a file disappears, then says how it went, as one line of JSON.

    load.py URL THREADS WHILE_THIS_FILE_EXISTS
"""

import collections
import json
import os
import sys
import threading
import urllib.error
import urllib.request

url, threads, running = sys.argv[1], int(sys.argv[2]), sys.argv[3]
replicas, errors, lock = collections.Counter(), collections.Counter(), threading.Lock()


def call_once():
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return replicas, json.load(answer)["user"]["served_by"]
    except urllib.error.HTTPError as error:
        return errors, f"{error.code} {error.read().decode(errors='replace')[:200]}"
    except (OSError, ValueError, KeyError) as error:
        return errors, str(error)


def call_until_told_to_stop():
    while os.path.exists(running):
        counter, key = call_once()
        with lock:
            counter[key] += 1


workers = [threading.Thread(target=call_until_told_to_stop) for _ in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(json.dumps({"answers": sum(replicas.values()), "errors": sum(errors.values()),
                  "by_replica": dict(sorted(replicas.items())), "what_failed": dict(errors)}))
