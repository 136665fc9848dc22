#!/usr/bin/env python3
"""HTTP filters of an Envoy-format file in a real sidecar: what clients, logs, counters and admin pages show."""

import re
import subprocess
import tempfile
import threading
import time
import unittest

import envoy_config as envoy
import sidecar
from http2_test import PRIOR, curl, run
from peers import Upstream, connect, get, reply

FILTERS = envoy.TYPE + "filters.http."
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": FILTERS + "router.v3.Router"}}
ALWAYS = {"numerator": 100}


def http_filter(name, message, **fields):
    return {"name": name, "typed_config": {"@type": FILTERS + message} | fields}


def health_check(**fields):
    return http_filter("health", "health_check.v3.HealthCheck",
                       headers=[{"name": ":path", "string_match": {"exact": "/healthz"}}], **fields)


def per_filter(name, message, **fields):
    return {"typed_per_filter_config": {name: {"@type": FILTERS + message} | fields}}


def disabled(name):
    return {"typed_per_filter_config": {
        name: {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}}}


class Filters(unittest.TestCase):
    def proxy(self, *filters, workers=1, **hcm):
        self.requests = []

        def serve(peer):
            while (request := peer.read_request()) is not None:
                self.requests.append(request)
                peer.send(reply())
        self.upstream = Upstream(self, serve)
        self.port = sidecar.free_port()
        self.sidecar = sidecar.start(
            self, envoy.bootstrap([envoy.http("in", self.port, http_filters=[*filters, ROUTER], **hcm)],
                                  [envoy.cluster(ports=[self.upstream.port])]),
            flags=["--concurrency", str(workers)])
        return connect(self, self.port)

    def log(self, count=1):
        line = self.sidecar.wait_access_log(count)[count - 1]
        return line["status"], line["flags"], line["details"]

    def test_header_mutation_of_the_filter_and_of_a_route(self):
        def add(kind, name, value):
            return {kind: [{"append": {"header": {"key": name, "value": value}}}]}
        client = self.proxy(
            http_filter("mutation", "header_mutation.v3.HeaderMutation",
                        mutations=add("response_mutations", "x-path", "%REQ(:PATH)%")),
            routes=[envoy.route(prefix="/more") | per_filter(
                "mutation", "header_mutation.v3.HeaderMutationPerRoute",
                mutations=add("response_mutations", "x-more", "1")), envoy.route()])
        answer = client.exchange(get("/more"))
        self.assertEqual((answer.get("x-path"), answer.get("x-more")), ("/more", "1"))
        answer = client.exchange(get("/less"))
        self.assertEqual((answer.get("x-path"), answer.get("x-more")), ("/less", None))

    def test_a_fault_delays_and_aborts(self):
        client = self.proxy(http_filter(
            "fault", "fault.v3.HTTPFault", headers=[{"name": "x-fault", "present_match": True}],
            delay={"fixed_delay": "0.3s", "percentage": ALWAYS},
            abort={"http_status": 503, "percentage": ALWAYS}))
        began = time.monotonic()
        answer = client.exchange(get("/", "X-Fault: 1"))
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.assertEqual((answer.status, answer.body), (503, b"fault filter abort"))
        self.assertEqual(self.log(), (503, "DI,FI", "fault_filter_abort"))
        self.assertEqual(client.exchange(get()).status, 200)
        stats = self.sidecar.stats()
        self.assertEqual([stats["http.in.fault." + name] for name in (
            "delays_injected", "aborts_injected", "active_faults")], [1, 1, 0])

    def test_a_route_is_free_of_the_filter(self):
        client = self.proxy(
            http_filter("fault", "fault.v3.HTTPFault", abort={"http_status": 418, "percentage": ALWAYS}),
            routes=[envoy.route(prefix="/free") | disabled("fault"), envoy.route()])
        self.assertEqual(client.exchange(get("/free")).status, 200)
        self.assertEqual(client.exchange(get("/x")).status, 418)

    def test_one_bucket_for_all_workers(self):
        self.proxy(http_filter(
            "limit", "local_ratelimit.v3.LocalRateLimit", stat_prefix="api",
            token_bucket={"max_tokens": 20, "tokens_per_fill": 1, "fill_interval": "600s"},
            filter_enabled={"default_value": ALWAYS}, filter_enforced={"default_value": ALWAYS},
            response_headers_to_add=[{"header": {"key": "x-limited", "value": "yes"}}]), workers=2)
        answers_ = []

        def calls():
            for _ in range(10):
                answers_.append(connect(self, self.port).exchange(get()))
        threads = [threading.Thread(target=calls) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = sorted(answer.status for answer in answers_)
        self.assertEqual(statuses, [200] * 20 + [429] * 20)
        self.assertTrue(all(answer.get("x-limited") == "yes" for answer in answers_ if answer.status == 429))
        stats = self.sidecar.stats()
        self.assertEqual([stats["api.http_local_rate_limit." + name] for name in (
            "enabled", "ok", "rate_limited", "enforced")], [40, 20, 20, 20])
        self.assertIn('envoy_http_local_rate_limit_ok{envoy_local_http_ratelimit_prefix="api"} 20',
                      self.sidecar.get("/stats/prometheus")[1])

    def test_a_buffered_upload_arrives_whole_or_not_at_all(self):
        client = self.proxy(http_filter("buffer", "buffer.v3.Buffer", max_request_bytes=100_000))
        body = b"x" * 60_000
        chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = client.exchange(chunked + b"ea60\r\n" + body + b"\r\n0\r\n\r\n")
        self.assertEqual(answer.status, 200)
        request = self.requests[-1]
        self.assertEqual((request.get("content-length"), request.body), ("60000", body))
        answer = client.exchange(chunked + b"1d4c0\r\n" + body * 2 + b"\r\n0\r\n\r\n")
        self.assertEqual(answer.status, 413)
        self.assertEqual(self.log(2), (413, "-", "request_payload_too_large"))
        self.assertEqual(len(self.requests), 1)

    def test_health_checks_follow_the_admin_page(self):
        client = self.proxy(health_check(pass_through_mode=False))
        self.assertEqual(client.exchange(get("/healthz")).status, 200)
        self.assertEqual(self.sidecar.post("/healthcheck/fail")[0], 200)
        sidecar.until("the check to fail", lambda: client.exchange(get("/healthz")).status == 503)
        answer = client.exchange(get())
        self.assertEqual((answer.status, answer.get("x-envoy-immediate-health-check-fail")), (200, "true"))
        self.sidecar.post("/healthcheck/ok")
        sidecar.until("the check to succeed", lambda: client.exchange(get("/healthz")).status == 200)
        self.assertEqual(len(self.requests), 1)

    def test_a_passed_through_health_check_is_cached(self):
        client = self.proxy(health_check(pass_through_mode=True, cache_time="600s"))
        for _ in range(3):
            self.assertEqual(client.exchange(get("/healthz")).status, 200)
        self.assertEqual(len(self.requests), 1)
        self.assertEqual(self.log(3), (200, "-", "health_check_cached"))
        self.assertEqual(self.sidecar.stats()["http.in.health_check.cached_response"], 2)

    def test_a_reload_changes_the_filters_of_a_connection(self):
        client = self.proxy(http_filter("fault", "fault.v3.HTTPFault"))
        self.assertEqual(client.exchange(get()).status, 200)
        config = envoy.bootstrap(
            [envoy.http("in", self.port, http_filters=[http_filter(
                "fault", "fault.v3.HTTPFault", abort={"http_status": 418, "percentage": ALWAYS}), ROUTER])],
            [envoy.cluster(ports=[self.upstream.port])])
        self.sidecar.write(config)
        sidecar.until("the new filter", lambda: client.exchange(get()).status == 418)

    # ---- over HTTP/2 ----

    def proxy2(self, *filters, **hcm):
        self.proxy(*filters, codec_type="HTTP2", **hcm)
        return f"http://127.0.0.1:{self.port}/"

    @staticmethod
    def post2(url, body, *fields):
        """The fields of the response.  By nghttp: curl 7.88 hangs when a response is over before its upload is."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            headers = [word for field in fields for word in ("-H", field)]
            out = run("nghttp", "-v", "-t", "20", "-d", file.name, *headers, url).decode()
        return dict(re.findall(r"recv \(stream_id=\d+\) (:?[^:]+): (.*)", out))

    def test_a_stream_is_buffered_whole_or_refused(self):
        url = self.proxy2(http_filter("buffer", "buffer.v3.Buffer", max_request_bytes=2_000_000))
        body = b"x" * 1_500_000  # more than a window
        options = ("--data-binary", "@-", "-H", "Expect:", "-H", "Transfer-Encoding: chunked")  # no Content-Length
        self.assertEqual(curl(url, PRIOR, *options, data=body)[1], 200)
        self.assertEqual((self.requests[0].get("content-length"), self.requests[0].body), ("1500000", body))
        self.assertEqual(self.post2(url, body * 2)[":status"], "413")
        grpc = self.post2(url, body * 2, "content-type: application/grpc")
        self.assertEqual((grpc[":status"], grpc["grpc-status"], grpc["grpc-message"]), ("200", "2", "Payload Too Large"))
        self.assertEqual(len(self.requests), 1)

    def test_a_stream_that_is_cancelled_during_a_delay_is_no_fault_any_more(self):
        url = self.proxy2(http_filter("fault", "fault.v3.HTTPFault", headers=[
            {"name": "x-fault", "present_match": True}], delay={"fixed_delay": "60s", "percentage": ALWAYS}))
        with subprocess.Popen(["curl", "-s", PRIOR, "-H", "X-Fault: 1", url]) as client:
            self.sidecar.wait_stat("http.in.fault.active_faults", 1)
            client.kill()
        self.sidecar.wait_stat("http.in.fault.active_faults", 0)
        self.assertEqual(self.log()[0:2], (0, "DI,DC"))
        self.assertEqual(curl(url, PRIOR)[1], 200)
        self.assertEqual(len(self.requests), 1)

    def test_grpc_calls_are_limited_and_aborted_in_their_own_terms(self):
        url = self.proxy2(
            http_filter("fault", "fault.v3.HTTPFault", headers=[{"name": "x-fault", "present_match": True}],
                        abort={"grpc_status": 14, "percentage": ALWAYS}),
            http_filter("limit", "local_ratelimit.v3.LocalRateLimit", stat_prefix="api",
                        token_bucket={"max_tokens": 1, "fill_interval": "600s"},
                        filter_enabled={"default_value": ALWAYS}, filter_enforced={"default_value": ALWAYS},
                        rate_limited_as_resource_exhausted=True))
        grpc = "content-type: application/grpc"
        aborted = self.post2(url, b"x", grpc, "x-fault: 1")
        self.assertEqual([aborted.get(name) for name in (":status", "grpc-status", "grpc-message")],
                         ["200", "14", "fault filter abort"])
        self.assertEqual(self.post2(url, b"x", grpc)[":status"], "200")
        limited = self.post2(url, b"x", grpc)
        self.assertEqual([limited.get(name) for name in (":status", "grpc-status", "grpc-message")],
                         ["200", "8", "local_rate_limited"])
        self.assertEqual(len(self.requests), 1)


if __name__ == "__main__":
    unittest.main()
