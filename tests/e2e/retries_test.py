#!/usr/bin/env python3
"""Retry policies, budgets and the timeouts of one attempt: what the client sees, what the upstream gets, what is
counted and logged."""

import threading
import unittest

import envoy_config as envoy
import sidecar
from peers import Upstream, answers, connect, get, reply

BUSY = reply(b"busy", status="503 Service Unavailable")
FAST = {"base_interval": "0.001s"}


class Retries(unittest.TestCase):
    def start(self, *scripts, cluster=None, host=None, policy=None, **route):
        """A proxy in front of an upstream that follows the scripts, one a connection."""
        self.upstream = Upstream(self, *scripts)
        self.port = sidecar.free_port()
        routes = [envoy.route(**({"retry_policy": {"retry_back_off": FAST} | policy} if policy else {}), **route)]
        hosts = [{"name": "all", "domains": ["*"], "routes": routes} | (host or {})]
        clusters = [envoy.cluster(ports=[self.upstream.port], **(cluster or {}))]
        self.proxy = sidecar.start(self, envoy.bootstrap([envoy.http("in", self.port, hosts=hosts)], clusters),
                                   flags=["--concurrency", "1"])
        return connect(self, self.port)

    def assert_outcome(self, status, flags, details, **counters):
        line = self.proxy.wait_access_log(1)[-1]
        self.assertEqual((line["status"], line["flags"], line["details"]), (status, flags, details))
        stats = self.proxy.stats()
        self.assertEqual({name: stats["cluster.app." + name] for name in counters}, counters)

    def test_a_response_that_is_retried_is_not_the_clients(self):
        client = self.start(answers(BUSY, BUSY, reply()), policy={"retry_on": "5xx", "num_retries": 3})
        self.assertEqual(client.exchange(get()).body, b"ok")
        self.assertEqual(self.upstream.count, 1)  # a response that was read leaves its connection usable
        self.assert_outcome(200, "-", "via_upstream", upstream_rq_retry=2, upstream_rq_retry_success=1,
                            upstream_rq_200=1, **{"retry.upstream_rq_503": 2, "retry.upstream_rq_5xx": 2})

    def test_when_no_try_is_left_the_client_gets_the_last_response(self):
        client = self.start(answers(BUSY, BUSY), policy={"retry_on": "gateway-error"})
        self.assertEqual(client.exchange(get()).body, b"busy")
        self.assert_outcome(503, "URX", "via_upstream", upstream_rq_retry=1, upstream_rq_retry_limit_exceeded=1,
                            upstream_rq_retry_success=0)

    def test_a_status_from_the_list(self):
        client = self.start(answers(reply(status="404 Not Found"), reply()),
                            policy={"retry_on": "retriable-status-codes", "retriable_status_codes": [404]})
        self.assertEqual(client.exchange(get()).status, 200)

    def test_other_statuses_are_the_clients(self):
        client = self.start(answers(reply(status="500 Oh")), policy={"retry_on": "gateway-error,retriable-4xx"})
        self.assertEqual(client.exchange(get()).status, 500)
        self.assert_outcome(500, "-", "via_upstream", upstream_rq_retry=0)

    def test_a_grpc_status_in_the_head(self):
        client = self.start(answers(reply(b"", "grpc-status: 14"), reply(b"", "grpc-status: 0")),
                            policy={"retry_on": "unavailable"})
        self.assertEqual(client.exchange(get()).get("grpc-status"), "0")

    def test_a_reset_is_a_5xx(self):
        def reset(peer):
            peer.read_request()
            peer.reset()
        client = self.start(reset, answers(reply()), policy={"retry_on": "5xx"})
        self.assertEqual(client.exchange(get(method="POST", body=b"hello")).status, 200)
        self.assert_outcome(200, "-", "via_upstream", upstream_rq_retry=1, upstream_rq_retry_success=1)

    def test_a_reset_after_the_request_is_not_one_before_it(self):
        def reset(peer):
            peer.read_request()
            peer.reset()
        client = self.start(reset, answers(reply()), policy={"retry_on": "reset-before-request,connect-failure"})
        self.assertEqual(client.exchange(get(method="POST", body=b"hello")).status, 503)
        self.assert_outcome(503, "UC", "upstream_reset_before_response_started{connection_termination}",
                            upstream_rq_retry=0)

    def test_a_body_is_sent_again(self):
        for size in (0, 1, 63 << 10, 900 << 10):
            with self.subTest(size):
                bodies = []
                body = bytes(range(251)) * (size // 251) + b"x" * (size % 251)

                def busy_once(peer, bodies=bodies):
                    while (request := peer.read_request()) is not None:
                        bodies.append(request.body)
                        peer.send(BUSY if len(bodies) == 1 else reply())

                client = self.start(busy_once, policy={"retry_on": "5xx"})
                self.assertEqual(client.exchange(get(method="POST", body=body)).status, 200)
                self.assertEqual(bodies, [body, body])

    def test_a_body_beyond_the_limit_is_not(self):
        client = self.start(answers(BUSY), policy={"retry_on": "5xx"}, host={"per_request_buffer_limit_bytes": 1000})
        self.assertEqual(client.exchange(get(method="POST", body=b"x" * 1001)).status, 503)
        self.assert_outcome(503, "-", "via_upstream", upstream_rq_retry=0, retry_or_shadow_abandoned=1)

    def test_an_attempt_that_is_too_slow(self):
        client = self.start(answers(), answers(reply()), policy={"retry_on": "gateway-error",
                                                                 "per_try_timeout": "0.2s"})
        self.assertEqual(client.exchange(get()).status, 200)
        self.assert_outcome(200, "-", "via_upstream", upstream_rq_per_try_timeout=1, upstream_rq_retry=1,
                            upstream_rq_timeout=0)

    def test_an_attempt_that_is_too_slow_without_another(self):
        client = self.start(answers(), policy={"per_try_timeout": "0.2s"})
        answer = client.exchange(get())
        self.assertEqual((answer.status, answer.body), (504, b"upstream request timeout"))
        self.assert_outcome(504, "UT", "upstream_per_try_timeout", upstream_rq_per_try_timeout=1, upstream_rq_504=1)

    def test_the_timeout_of_all_attempts(self):
        client = self.start(answers(), timeout="0.5s",
                            policy={"retry_on": "5xx", "num_retries": 20, "per_try_timeout": "0.2s"})
        self.assertEqual(client.exchange(get()).status, 504)
        self.assert_outcome(504, "UT", "response_timeout", upstream_rq_per_try_timeout=2, upstream_rq_timeout=1)

    def test_attempts_are_numbered(self):
        seen = []

        def serve(peer):
            while (request := peer.read_request()) is not None:
                seen.append(request.get("x-envoy-attempt-count"))
                peer.send(BUSY if len(seen) < 3 else reply())
        client = self.start(serve, policy={"retry_on": "5xx", "num_retries": 2},
                            host={"include_request_attempt_count": True, "include_attempt_count_in_response": True})
        self.assertEqual(client.exchange(get()).get("x-envoy-attempt-count"), "3")
        self.assertEqual(seen, ["1", "2", "3"])

    def test_retry_after(self):
        client = self.start(answers(reply(b"", "Retry-After: 1", status="503 Busy"), reply()),
                            policy={"retry_on": "5xx", "rate_limited_retry_back_off": {
                                "reset_headers": [{"name": "retry-after"}]}})
        self.assertEqual(client.exchange(get()).status, 200)
        self.assert_outcome(200, "-", "via_upstream", upstream_rq_retry_backoff_ratelimited=1,
                            upstream_rq_retry_backoff_exponential=0)

    def test_a_full_breaker_lets_the_response_through(self):
        client = self.start(answers(BUSY), policy={"retry_on": "5xx"},
                            cluster={"circuit_breakers": {"thresholds": [{"max_retries": 0}]}})
        answer = client.exchange(get())
        self.assertEqual((answer.status, answer.get("x-envoy-overloaded")), (503, None))
        self.assert_outcome(503, "UO", "via_upstream", upstream_rq_retry=0, upstream_rq_retry_overflow=1)

    def test_a_budget_of_nothing_is_its_minimum(self):
        waiting = threading.Semaphore(0)
        go = threading.Event()

        def serve(peer):
            while (request := peer.read_request()) is not None:
                if request.get("x-envoy-attempt-count") == "1":
                    peer.send(BUSY)
                    continue
                waiting.release()
                go.wait(10)
                peer.send(reply())
        budget = {"budget_percent": {"value": 0}, "min_retry_concurrency": 2}
        clients = [self.start(serve, policy={"retry_on": "5xx"}, host={"include_request_attempt_count": True}, cluster={
            "circuit_breakers": {"thresholds": [{"retry_budget": budget, "track_remaining": True}]}})]
        clients += [connect(self, self.port) for _ in range(2)]
        for client in clients[:2]:
            client.send(get())
        for _ in range(2):
            self.assertTrue(waiting.acquire(timeout=10))
        stats = self.proxy.stats()
        self.assertEqual(stats["cluster.app.circuit_breakers.default.rq_retry_open"], 1)
        self.assertEqual(stats["cluster.app.circuit_breakers.default.remaining_retries"], 0)
        self.assertEqual(clients[2].exchange(get()).status, 503)
        self.assert_outcome(503, "UO", "via_upstream", upstream_rq_retry=2, upstream_rq_retry_overflow=1)
        go.set()
        self.assertEqual([client.read_response().status for client in clients[:2]], [200, 200])
        self.assertEqual(self.proxy.stats()["cluster.app.circuit_breakers.default.rq_retry_open"], 0)


class ShortForm(unittest.TestCase):
    def test_words_statuses_and_the_time_of_a_try(self):
        slow_then_busy = [answers(), answers(reply(status="418 Teapot"), reply())]
        upstream = Upstream(self, *slow_then_busy)
        port = sidecar.free_port()
        proxy = sidecar.start(self, f"""
outbound: {{ listen: 127.0.0.1:{port}, capture: off }}
services:
  users:
    tls: off
    endpoints: {{ static: 127.0.0.1:{upstream.port} }}
    retries: {{ attempts: 3, on: [ gateway-error, 418, grpc-unavailable ], per_try: 200ms, budget: 50% }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
""")
        self.assertEqual(connect(self, port).exchange(get(host="users")).status, 200)
        stats = proxy.stats()
        self.assertEqual((stats["cluster.users.upstream_rq_retry"], stats["cluster.users.upstream_rq_per_try_timeout"],
                          stats["cluster.users.retry.upstream_rq_418"]), (2, 1, 1))


if __name__ == "__main__":
    unittest.main()
