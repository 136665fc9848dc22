#!/usr/bin/env python3
"""Random sequences of what go-control-plane says, over its caches and both protocols: after each step the proxy does
what the model (xds_model.py) predicts, and no request of a steady load fails.

    SEED=7 SEQUENCES=100 ...      other ones, more of them
    SEED=7 SEQUENCE=17 ...        one of them again, telling its steps
"""

import http.client
import os
import random
import unittest
from typing import NamedTuple

import programs
import sidecar
from control_plane import ADS, ControlPlane, bootstrap, typed_source
from origins import Load, Origin
from xds_model import HOSTS, LOAD, PATHS, Model

SEED = int(os.environ.get("SEED", "1"))
SEQUENCES = int(os.environ.get("SEQUENCES") or (500 if programs.FULL else 45))
SEQUENCE = os.environ.get("SEQUENCE")
ORIGINS = 4

DELTA = True  # whether the proxy speaks it
TYPED = True  # whether each type may come by a stream of its own


class Row(NamedTuple):
    protocol: str
    cache: str
    # Whether types come one after the other.  Else routes may come before their clusters, which costs requests: there
    # is no load then.
    is_ordered: bool = True
    is_typed: bool = False

    def is_enabled(self):
        return (DELTA or self.protocol != "delta") and (TYPED or not self.is_typed)

    def __str__(self):
        return f"{self.protocol}, {self.cache}{'' if self.is_ordered else ', in no order'}" \
               f"{', a stream for each type' if self.is_typed else ''}"


# A sequence's number chooses one.
ROWS = [Row("sotw", "snapshot"), Row("delta", "snapshot"), Row("sotw", "linear"), Row("delta", "linear"),
        Row("sotw", "mux"), Row("delta", "mux"), Row("sotw", "snapshot", is_ordered=False),
        Row("sotw", "snapshot", is_ordered=False, is_typed=True),
        Row("delta", "linear", is_ordered=False, is_typed=True)]


class Sequence:
    def __init__(self, test, number, origins):
        self.test, self.number = test, number
        self.row = ROWS[number % len(ROWS)]
        self.is_delta = self.row.protocol == "delta"
        self.origins = origins
        self.random = random.Random(f"{SEED}/{number}")
        self.ports = {name: sidecar.free_port() for name in ("in", "second", "bad")}
        self.model = Model(f"{SEED}/{number}/model", len(origins), self.ports,
                           typed_source(self.is_delta) if self.row.is_typed else ADS, self.row.is_ordered)
        self.steps, self.refused = [], []
        self.load, self.requests = None, 0

    def run(self):
        self.plane = ControlPlane(self.test, cache=self.row.cache, ordered=self.row.is_ordered)
        self.say()
        self.start_proxy()
        try:
            self.look("start")
            for _ in range(self.random.randrange(8, 14)):
                self.step()
            self.end()
        finally:
            self.stop_load()
            self.plane.stop()

    def fail(self, what):
        steps = "\n".join(f"  {n}. {step}" for n, step in enumerate(self.steps, 1))
        raise AssertionError(f"SEED={SEED} SEQUENCE={self.number} ({self.row}): {what}\n{steps}\n"
                             f"{self.plane.lines[-40:]}\n{self.proxy.log_tail()[-2000:]}")

    # ---- both ends ----

    def say(self):
        self.plane.say_resources(str(self.model.version), self.model.resources([each.port for each in self.origins]))

    def start_proxy(self):
        self.proxy = sidecar.start(self.test, bootstrap(
            self.plane.address, delta=self.is_delta, typed=self.row.is_typed))
        if self.row.is_ordered:
            self.load = Load(self.ports["in"], clients=2, host=LOAD, pause=0.001)

    def stop_load(self):
        if self.load is None:
            return
        self.load.stop()
        self.requests += self.load.count
        failures, self.load = self.load.failures, None
        if failures:
            self.fail(f"{len(failures)} requests of the load failed: {failures[:3]}")

    # ---- steps ----

    def step(self):
        around = self.random.choice(["", "", "", "", "", "silence", "restart the server", "end the streams",
                                     "restart the proxy"])
        what = self.model.step()
        if (around == "restart the proxy" and self.model.bad) or (around == "silence" and not self.model.was_marked):
            around = ""  # nothing has a predecessor then, or it is not known to have come
        self.steps.append(f"{what}{', ' + around if around else ''}")
        if SEQUENCE:
            print(f"{len(self.steps)}. {self.steps[-1]}", flush=True)
        heard = len(self.plane.lines)
        getattr(self, "_" + around.replace(" ", "_"))()
        self.look(what)
        if "server" in around or "streams" in around:
            self.wait_for_streams(heard)
        if self.load and self.load.failures:
            self.stop_load()

    def wait_for_streams(self, heard):
        """What is said while a stream asks for one type after the other comes in no order."""
        def is_settled():
            lines = self.plane.lines[heard:]
            # "open sotw", or, of a stream for one type, "open sotw Listener".
            opened = [n for n, line in enumerate(lines)
                      if line.startswith("open ") and line.split()[2:] in ([], ["Listener"])]
            return opened and any(line.startswith(("ack Listener", "nack Listener")) for line in lines[opened[-1]:])
        try:
            sidecar.until("x", is_settled)
        except AssertionError:
            self.fail("the streams do not come again")

    def _(self):
        self.say()

    def _silence(self):
        """What is not sent is not in force, and what was goes on."""
        before = self.seen
        self.plane.do("silence")
        self.say()
        wrong = self.differences(before)
        self.plane.do("speak")
        if wrong:
            self.fail(f"the control plane was silent: {wrong[:3]}")

    def _restart_the_server(self):
        self.say()
        self.plane.do("restart")

    def _end_the_streams(self):
        """In the midst of what is said.  Not before it: a server that is told news while a new stream asks for one type
        after the other says them in no order, routes before their clusters, too."""
        self.say()
        self.plane.do("end")

    def _restart_the_proxy(self):
        self.stop_load()
        self.proxy.stop()
        self.say()
        self.start_proxy()

    # ---- what is seen ----

    def look(self, what):
        """Twice in a row as predicted; and a refusal, if there must be one, names what is bad."""
        expected, right = self.model.predictions(), [0]

        def converged():
            right[0] = 0 if self.differences(expected) else right[0] + 1
            return right[0] >= 2

        try:
            sidecar.until("x", converged)
        except AssertionError:
            self.fail(f"after {what}: (probe, right, seen) {self.differences(expected)[:4]}")
        self.seen = expected
        if self.model.bad:
            place = self.model.refused()
            self.refused.append(place)
            try:
                sidecar.until("x", lambda: any(place in line for line in self.plane.nacks()))
            except AssertionError:
                self.fail(f"no NACK names {place}")
        strange = [line for line in self.plane.nacks() if not any(place in line for place in self.refused)]
        if strange:
            self.fail(f"refused without a reason: {strange[0]}")

    def differences(self, expected):
        """[(probe, right answers, seen)] of one request for each."""
        out, clients = [], {}
        for (listener, host, path), answers in expected.items():
            if listener not in clients:
                clients[listener] = http.client.HTTPConnection("127.0.0.1", self.ports[listener], timeout=5)
            seen = ask(clients[listener], host, path)
            if seen not in answers:
                out.append(((listener, host, path), sorted(answers, key=str), seen))
        for client in clients.values():
            client.close()
        return out

    def end(self):
        """Every endpoint that is one of several is used, and both ends agree."""
        client = http.client.HTTPConnection("127.0.0.1", self.ports["in"], timeout=5)
        for (listener, host, path), answers in self.model.predictions().items():
            missing = set(answers) if listener == "in" else set()

            def all_seen():
                missing.discard(ask(client, host, path))
                return not missing
            try:
                sidecar.until("x", all_seen)
            except AssertionError:
                self.fail(f"never seen at {host}{path}: {missing}")
        client.close()
        self.proxy.wait_stat("control_plane.connected_state", 1)
        self.stop_load()
        self.proxy.stop()


def ask(client, host, path):
    """The name of an origin, a status, "refused", or what went wrong."""
    try:
        client.request("GET", path, headers={"host": host})
        answer = client.getresponse()
        text = answer.read().decode()
        return text if answer.status == 200 else answer.status
    except (OSError, http.client.HTTPException) as error:
        client.close()
        return "refused" if isinstance(error, ConnectionRefusedError) else repr(error)


class SequencesTest(unittest.TestCase):
    def test_the_proxy_does_what_the_model_predicts(self):
        origins = [Origin(self, f"origin-{n}") for n in range(ORIGINS)]
        numbers = [int(SEQUENCE)] if SEQUENCE else [
            n for n in range(SEQUENCES) if ROWS[n % len(ROWS)].is_enabled()]
        self.assertTrue(numbers)
        steps = requests = 0
        for number in numbers:
            sequence = Sequence(self, number, origins)
            sequence.run()
            steps += len(sequence.steps)
            requests += sequence.requests
        self.assertGreater(requests, 10 * steps)
        print(f"{len(numbers)} sequences, {steps} steps, {requests} requests of the load", flush=True)
        for row in ROWS:
            if not row.is_enabled():
                print(f"not enabled: {row}", flush=True)

    def test_the_model_reaches_every_step(self):
        model, kinds = Model(1, ORIGINS, {"in": 1, "second": 2, "bad": 3}), set()
        for _ in range(2000):
            kinds.add(model.step().split(" ")[0])
            self.assertTrue(all(model.predictions().values()))
        self.assertEqual(kinds, set(Model.STEPS))
        self.assertEqual(len(model.predictions()), 2 * (len(HOSTS) * len(PATHS) + 1))


if __name__ == "__main__":
    unittest.main()
