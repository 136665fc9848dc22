#!/usr/bin/env python3
"""Traces: what comes in goes on, one trace joins two sidecars, spans reach a collector or are counted as lost."""

import signal
import time
import unittest

import envoy_config as envoy
import sidecar
from collector import Collector
from peers import Upstream, answers, connect, echo, get, reply

TRACER = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
PARENT = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


def tracing(service="shop", path="/v1/traces", **fields):
    return {"spawn_upstream_span": True, "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": {
        "@type": TRACER, "service_name": service, "http_service": {
            "http_uri": {"uri": f"http://collector:4318{path}", "cluster": "collector", "timeout": "2s"},
            "request_headers_to_add": [{"header": {"key": "x-token", "value": "secret"}}]}}}} | fields


def fields_of(answer):
    """What the upstream (echo) got."""
    return {name.lower(): value for name, value in answer.json()["fields"]}


class Tracing(unittest.TestCase):
    def setUp(self):
        self.collector = Collector(self)

    def proxy(self, *scripts, service="shop", direction="INBOUND", port=None, hcm=None, routes=None, **fields):
        """A sidecar in front of an upstream; returns a client's connection."""
        upstream = port or Upstream(self, *scripts).port
        listen = sidecar.free_port()
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", listen, routes=routes, listener={"traffic_direction": direction},
                        tracing=tracing(service, **fields), **(hcm or {}))],
            [envoy.cluster(ports=[upstream]), envoy.cluster("collector", ports=[self.collector.port])],
            node={"id": "node-1", "cluster": "c"}), flags=["--concurrency", "1"])
        self.port = listen
        return connect(self, listen)

    def spans(self, count):
        spans = self.collector.wait_spans(count)
        self.assertEqual(len(spans), count, spans)
        return spans

    def test_a_request_is_a_server_span_and_a_client_span_for_its_attempt(self):
        client = self.proxy(echo)
        before = time.time_ns()
        answer = client.exchange(get("/users/7?x=1", "User-Agent: test/1", "X-Client-Trace-Id: mine"))
        after = time.time_ns()
        attempt, server = sorted(self.spans(2), key=lambda span: span.kind)
        self.assertEqual((server.kind, attempt.kind), ("SERVER", "CLIENT"))
        self.assertEqual((server.parent, attempt.parent), ("", server.id))
        self.assertEqual(server.trace, attempt.trace)
        self.assertRegex(server.trace, "^[0-9a-f]{32}$")
        self.assertEqual((server.name, attempt.name), ("GET all", "GET app"))
        self.assertEqual((server.service, server.resource["service.instance.id"]), ("shop", "node-1"))
        self.assertEqual(fields_of(answer)["traceparent"], f"00-{attempt.trace}-{attempt.id}-01")
        # A turn of the loop has one time: that of its begin, when this request may not have been sent yet.
        before -= 5_000_000
        self.assertTrue(before <= server.begin <= attempt.begin <= attempt.end <= server.end <= after,
                        (before, server.begin, attempt.begin, attempt.end, server.end, after))
        expected = {"http.request.method": "GET", "url.path": "/users/7", "url.query": "x=1", "url.scheme": "http",
                    "server.address": "app", "http.response.status_code": 200, "user_agent.original": "test/1",
                    "client.address": "127.0.0.1", "network.protocol.version": "1.1", "upstream_cluster": "app",
                    "guid:x-client-trace-id": "mine", "component": "proxy"}
        self.assertEqual({key: server.attributes.get(key) for key in expected}, expected)
        self.assertEqual(server.attributes["guid:x-request-id"], fields_of(answer)["x-request-id"])
        self.assertEqual(attempt.attributes["url.full"], "http://app/users/7?x=1")
        self.assertEqual(attempt.attributes["http.response.status_code"], 200)
        self.assertNotIn("error.type", server.attributes)
        self.assertEqual((server.status, attempt.status), ("UNSET", "UNSET"))
        path, headers = self.collector.requests[0]
        self.assertEqual((path, headers["content-type"], headers["host"], headers["x-token"]),
                         ("/v1/traces", "application/x-protobuf", "collector:4318", "secret"))
        self.sidecar.wait_stat("tracing.opentelemetry.spans_sent", 2)
        self.assertEqual(self.sidecar.stats()["http.in.tracing.client_enabled"], 1)

    def test_one_trace_joins_two_sidecars(self):
        self.proxy(echo, service="users")
        inner = self.port
        client = self.proxy(port=inner, service="customer", direction="OUTBOUND")
        client.exchange(get("/"))
        spans = self.spans(4)
        self.assertEqual(len({span.trace for span in spans}), 1, spans)
        by_parent = {span.parent: span for span in spans}
        chain = [by_parent[""]]
        while chain[-1].id in by_parent:
            chain.append(by_parent[chain[-1].id])
        self.assertEqual([(span.service, span.kind) for span in chain],
                         [("customer", "SERVER"), ("customer", "CLIENT"), ("users", "SERVER"), ("users", "CLIENT")])

    def test_the_callers_context_is_the_parent(self):
        client = self.proxy(echo)
        fields = fields_of(client.exchange(get("/", f"traceparent: 00-{PARENT}-{CALLER}-01", "tracestate: a=1,b=2")))
        attempt, server = sorted(self.spans(2), key=lambda span: span.kind)
        self.assertEqual((server.trace, server.parent, server.state), (PARENT, CALLER, "a=1,b=2"))
        self.assertEqual(fields["traceparent"], f"00-{PARENT}-{attempt.id}-01")
        self.assertEqual(fields["tracestate"], "a=1,b=2")

    def test_a_caller_that_is_not_sampled_is_passed_on_untouched(self):
        client = self.proxy(echo)
        parent = f"00-{PARENT}-{CALLER}-00"
        self.assertEqual(fields_of(client.exchange(get("/", f"traceparent: {parent}")))["traceparent"], parent)
        client.exchange(get("/"))  # whose spans come behind what there might be of the first
        self.assertNotIn(PARENT, {span.trace for span in self.spans(2)})

    def test_b3_is_read_and_answered_in_both_forms(self):
        client = self.proxy(echo)
        single = fields_of(client.exchange(get("/", f"b3: {PARENT}-{CALLER}-1")))
        attempt, server = sorted(self.spans(2), key=lambda span: span.kind)
        self.assertEqual((server.trace, server.parent), (PARENT, CALLER))
        self.assertEqual(single["b3"], f"{PARENT}-{attempt.id}-1-{server.id}")
        self.assertEqual(single["traceparent"], f"00-{PARENT}-{attempt.id}-01")
        self.collector.spans.clear()
        many = fields_of(client.exchange(get("/", "X-B3-TraceId: a3ce929d0e0e4736", f"X-B3-SpanId: {CALLER}",
                                             "X-B3-Sampled: 1")))
        attempt, server = sorted(self.spans(2), key=lambda span: span.kind)
        self.assertEqual((server.trace, server.parent), ("0" * 16 + "a3ce929d0e0e4736", CALLER))
        self.assertEqual((many["x-b3-traceid"], many["x-b3-spanid"], many["x-b3-parentspanid"], many["x-b3-sampled"]),
                         ("a3ce929d0e0e4736", attempt.id, server.id, "1"))

    def test_a_malformed_context_begins_a_new_trace(self):
        client = self.proxy(echo)
        fields = fields_of(client.exchange(get("/", f"traceparent: 00-{'0' * 32}-{CALLER}-01", "tracestate: a=1")))
        attempt, server = sorted(self.spans(2), key=lambda span: span.kind)
        self.assertEqual(server.parent, "")
        self.assertEqual(fields["traceparent"], f"00-{server.trace}-{attempt.id}-01")
        self.assertNotIn("tracestate", fields)

    def test_sampling_of_none_sends_nothing_and_tells_those_behind(self):
        client = self.proxy(echo, random_sampling={"value": 0})
        for _ in range(10):
            self.assertRegex(fields_of(client.exchange(get("/")))["traceparent"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$")
        self.assertEqual(self.sidecar.stats()["http.in.tracing.not_traceable"], 10)
        self.assertEqual(self.collector.requests, [])

    def test_overall_sampling_limits_what_callers_ask_for(self):
        client = self.proxy(echo, overall_sampling={"value": 0})
        fields = fields_of(client.exchange(get("/", f"traceparent: 00-{PARENT}-{CALLER}-01")))
        self.assertRegex(fields["traceparent"], f"^00-{PARENT}-[0-9a-f]{{16}}-00$")
        self.assertNotIn(CALLER, fields["traceparent"], "the flag changes together with the id")

    def test_the_request_id_carries_the_decision(self):
        client = self.proxy(echo, random_sampling={"value": 0})
        traced = "12345678-1234-9234-8234-123456789012"
        self.assertEqual(fields_of(client.exchange(get("/", f"x-request-id: {traced}")))["x-request-id"], traced)
        self.spans(2)
        self.assertEqual(self.sidecar.stats()["http.in.tracing.random_sampling"], 1)
        client = self.proxy(echo)
        fresh = "12345678-1234-4234-8234-123456789012"
        self.assertEqual(fields_of(client.exchange(get("/", f"x-request-id: {fresh}")))["x-request-id"], traced)

    def test_each_attempt_is_a_span_and_failures_are_errors(self):
        def refuses(peer):
            peer.read_request()
            peer.reset()
        client = self.proxy(refuses, answers(reply(b"no", status="500 Internal Server Error")),
                            routes=[envoy.route(retry_policy={"retry_on": "reset", "num_retries": 1})])
        self.assertEqual(client.exchange(get("/")).status, 500)
        spans = sorted(self.spans(3), key=lambda span: (span.begin, span.kind == "CLIENT"))
        server, first, second = spans
        self.assertEqual([span.kind for span in spans], ["SERVER", "CLIENT", "CLIENT"])
        self.assertEqual((first.status, second.status, server.status), ("ERROR", "ERROR", "ERROR"))
        self.assertIn("connection_termination", first.attributes["error.type"])
        self.assertEqual((second.attributes["error.type"], second.attributes["http.request.resend_count"]), ("500", 1))
        self.assertEqual(server.attributes["error.type"], "500")
        self.assertEqual((first.parent, second.parent), (server.id, server.id))

    def test_a_response_that_is_not_used_is_a_span_of_its_own(self):
        client = self.proxy(answers(reply(b"no", status="503 Service Unavailable"), reply()),
                            routes=[envoy.route(retry_policy={"retry_on": "5xx", "num_retries": 1})])
        self.assertEqual(client.exchange(get("/")).status, 200)
        attempts = sorted((span for span in self.spans(3) if span.kind == "CLIENT"), key=lambda span: span.begin)
        self.assertEqual([span.attributes.get("http.response.status_code") for span in attempts], [503, 200])
        self.assertEqual([span.attributes.get("error.type") for span in attempts], ["503", None])

    def test_fields_of_every_form_name_the_same_parent(self):
        client = self.proxy(echo)
        fields = fields_of(client.exchange(get(
            "/", f"traceparent: 00-{PARENT}-{CALLER}-03", f"b3: {PARENT}-{CALLER}-1", "tracestate: a=1",
            "tracestate: b=2")))
        attempt, server = sorted(self.spans(2), key=lambda span: span.kind)
        self.assertEqual(fields["traceparent"], f"00-{PARENT}-{attempt.id}-03")
        self.assertEqual(fields["b3"], f"{PARENT}-{attempt.id}-1-{server.id}")
        self.assertEqual((server.state, attempt.state), ("a=1,b=2", "a=1,b=2"))

    def test_an_upstream_that_is_not_there(self):
        client = self.proxy(port=sidecar.free_port())
        self.assertEqual(client.exchange(get("/")).status, 503)
        attempt, server = sorted(self.spans(2), key=lambda span: span.kind)
        self.assertEqual((server.status, attempt.status), ("ERROR", "ERROR"))
        self.assertEqual(server.attributes["response_flags"], "UF")
        self.assertIn("remote_connection_failure", server.message)

    def test_without_a_span_for_attempts_the_kind_follows_the_direction(self):
        client = self.proxy(echo, spawn_upstream_span=False, direction="OUTBOUND", verbose=True, custom_tags=[
            {"tag": "zone", "literal": {"value": "a"}},
            {"tag": "tenant", "request_header": {"name": "X-Tenant", "default_value": "none"}},
            {"tag": "home", "environment": {"name": "NO_SUCH_VARIABLE", "default_value": "unset"}}],
            routes=[envoy.route() | {"decorator": {"operation": "list users"}}])
        fields = fields_of(client.exchange(get("/", "X-Tenant: t1")))
        (span,) = self.spans(1)
        self.assertEqual((span.kind, span.name), ("CLIENT", "list users"))
        self.assertEqual(fields["traceparent"], f"00-{span.trace}-{span.id}-01")
        self.assertEqual([span.attributes[tag] for tag in ("zone", "tenant", "home")], ["a", "t1", "unset"])
        self.assertIn("first_upstream_tx_byte_sent", span.events)

    def test_access_logs_know_the_trace(self):
        log = envoy.access_log()
        log[0]["typed_config"]["log_format"] = {"json_format": {"trace": "%TRACE_ID%", "span": "%SPAN_ID%"}}
        client = self.proxy(echo, hcm={"log": False, "access_log": log})
        client.exchange(get("/"))
        server = next(span for span in self.spans(2) if span.kind == "SERVER")
        self.assertEqual(self.sidecar.wait_access_log(1)[0], {"trace": server.trace, "span": server.id})

    def test_what_is_no_utf8_is_sent_as_question_marks(self):
        client = self.proxy(echo)
        client.exchange(get("/", "User-Agent: a").replace(b"User-Agent: a", b"User-Agent: a\xff\xc3"))
        server = next(span for span in self.spans(2) if span.kind == "SERVER")
        self.assertEqual(server.attributes["user_agent.original"], "a??")

    def test_spans_outlive_a_collector_that_is_away_for_a_while(self):
        client = self.proxy(echo)
        self.collector.stop()
        client.exchange(get("/"))
        self.sidecar.wait_stat("tracing.opentelemetry.http_reports_failed", lambda n: n >= 1)
        self.collector.start()
        self.spans(2)
        self.assertEqual(self.sidecar.stats()["tracing.opentelemetry.spans_dropped"], 0)
        self.collector.spans.clear()
        client.exchange(get("/"))
        self.spans(2)

    def test_spans_that_a_collector_refuses_are_dropped(self):
        self.collector.status = 400
        client = self.proxy(echo)
        client.exchange(get("/"))
        self.sidecar.wait_stat("tracing.opentelemetry.spans_dropped", 2)
        self.assertEqual(len(self.collector.requests), 1)

    def test_the_last_spans_leave_before_the_process(self):
        client = self.proxy(echo)
        client.exchange(get("/", "Connection: close"))
        self.sidecar.signal(signal.SIGTERM)
        self.assertEqual(self.sidecar.wait(), 0)
        self.assertEqual(len(self.collector.spans), 2)

    def test_the_short_form_traces_both_ways(self):
        upstream, listen = Upstream(self, echo), sidecar.free_port()
        self.sidecar = sidecar.start(self, f"""
workload: {{ name: users }}
inbound: {{ listen: 127.0.0.1:{listen}, capture: off, mtls: off, app: 127.0.0.1:{upstream.port} }}
telemetry: {{ tracing: {{ otlp: "http://127.0.0.1:{self.collector.port}", sample: 100% }} }}
admin: {{ listen: 127.0.0.1:ADMIN_PORT }}
""")
        connect(self, listen).exchange(get("/"))
        self.assertEqual({(span.service, span.kind) for span in self.spans(2)},
                         {("users", "SERVER"), ("users", "CLIENT")})


if __name__ == "__main__":
    unittest.main()
