#!/usr/bin/env python3
"""The numbers as those see them who live by them: promtool, a real Prometheus, and Envoy's dashboards.

One proxy with an HTTP listener, a TCP listener and two clusters, one of which nobody calls; an origin
in this process.  PILLION names the binary; without it the newest of build/*/pillion is taken.  Needs
promtool and prometheus (Debian's package prometheus).
"""

import glob
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import prometheus

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE = 30  # seconds

# Complaints of promtool about names that are Envoy's: keeping them is the point.
NAMING = (
    'counter metrics should have "_total" suffix',
    'non-counter metrics should not have "_total" suffix',
    "metric names should not contain abbreviated units",
    "use base unit",
)


def find_pillion():
    built = glob.glob(os.path.join(ROOT, "build", "*", "pillion"))
    return os.environ.get("PILLION") or max(built, key=os.path.getmtime, default=None)


PILLION = find_pillion()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def until(what, condition):
    """Waits until condition() is true; fails with `what` after the deadline."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {DEADLINE} s: {what}")


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status = int(self.path.strip("/") or 200)
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "2")
        self.end_headers()
        if status != 204:
            self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


CONFIG = """
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin} }} }} }}
static_resources:
  listeners:
  - name: web
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {web} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: / }}
                route: {{ cluster: "outbound|80||origin" }}
  - name: raw
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {raw} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: pipe
          cluster: "outbound|80||origin"
  clusters:
  - name: "outbound|80||origin"
    type: STATIC
    connect_timeout: 1s
    load_assignment: &endpoints
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {origin} }} }} }}
  - name: idle
    type: STATIC
    connect_timeout: 1s
    load_assignment: *endpoints
"""


class Fixture:
    """The proxy and its origin; stopped in reverse order."""

    def __init__(self):
        self.dir = tempfile.mkdtemp()
        self.origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        self.origin.daemon_threads = True
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.admin, self.web, self.raw = free_ports(3)
        config = os.path.join(self.dir, "envoy.yaml")
        with open(config, "w") as f:
            f.write(CONFIG.format(admin=self.admin, web=self.web, raw=self.raw,
                                  origin=self.origin.server_port))
        self.log = open(os.path.join(self.dir, "log"), "w+b")
        self.proxy = subprocess.Popen([PILLION, "run", "-c", config, "--concurrency", "2"],
                                      stdout=self.log, stderr=self.log)
        try:
            until("the proxy is ready", self.is_ready)
        except AssertionError:
            self.log.seek(0)
            output = self.log.read().decode(errors="replace")
            self.close()
            raise AssertionError(f"the proxy is not ready:\n{output}") from None

    def is_ready(self):
        if self.proxy.poll() is not None:
            raise AssertionError("the proxy has exited")
        try:
            return self.ask("/ready")[0] == 200
        except OSError:
            return False

    def ask(self, path, method="GET", port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.admin, timeout=DEADLINE)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def call(self, status):
        got = self.ask(f"/{status}", port=self.web)[0]
        assert got == status, got

    def close(self):
        self.proxy.terminate()
        try:
            self.proxy.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.proxy.kill()
            self.proxy.wait()
        self.log.close()
        self.origin.shutdown()
        self.origin.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)


SERIES = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')


def parse(text):
    """name -> {labels as a frozenset of pairs -> value}"""
    out = {}
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        name, labels, value = SERIES.match(line).groups()
        pairs = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))
        out.setdefault(name, {})[pairs] = float(value)
    return out


@unittest.skipUnless(PILLION, "no binary")
class PrometheusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fixture = Fixture()
        cls.addClassCleanup(cls.fixture.close)
        for status in (200, 200, 204, 404, 503):
            cls.fixture.call(status)
        cls.fixture.ask("/200", port=cls.fixture.raw)
        until("the TCP connection is counted",
              lambda: cls.value("envoy_tcp_downstream_cx_total", envoy_tcp_prefix="pipe") == 1)

    @classmethod
    def scrape(cls, query=""):
        status, text = cls.fixture.ask("/stats/prometheus" + query)
        assert status == 200
        return text

    @classmethod
    def value(cls, metric, **labels):
        return parse(cls.scrape()).get(metric, {}).get(frozenset(labels.items()))

    def test_promtool_finds_nothing_wrong_but_the_names_that_are_envoys(self):
        result = subprocess.run(["promtool", "check", "metrics"], input=self.scrape(),
                                capture_output=True, text=True, timeout=DEADLINE)
        self.assertIn(result.returncode, (0, 3), result.stderr)  # 1: it does not parse
        complaints = [line for line in (result.stdout + result.stderr).splitlines()
                      if not any(known in line for known in NAMING)]
        self.assertEqual(complaints, [])

    def test_counts_responses_by_code_class_and_cluster(self):
        cluster = {"envoy_cluster_name": "outbound|80||origin"}
        for code, count in (("200", 2), ("204", 1), ("404", 1), ("503", 1)):
            self.assertEqual(self.value("envoy_cluster_upstream_rq", envoy_response_code=code,
                                        **cluster), count, code)
        for digit, count in (("2", 3), ("4", 1), ("5", 1)):
            self.assertEqual(self.value("envoy_cluster_upstream_rq_xx",
                                        envoy_response_code_class=digit, **cluster), count)
            self.assertEqual(self.value("envoy_http_downstream_rq_xx",
                                        envoy_response_code_class=digit,
                                        envoy_http_conn_manager_prefix="ingress"), count)
            self.assertEqual(self.value("envoy_listener_http_downstream_rq_xx",
                                        envoy_response_code_class=digit,
                                        envoy_http_conn_manager_prefix="ingress",
                                        envoy_listener_address=f"127.0.0.1_{self.fixture.web}"),
                             count)

    def test_has_the_series_that_envoys_dashboards_draw(self):
        series = parse(self.scrape())
        origin = frozenset({("envoy_cluster_name", "outbound|80||origin")})
        ingress = frozenset({("envoy_http_conn_manager_prefix", "ingress")})
        web = frozenset({("envoy_listener_address", f"127.0.0.1_{self.fixture.web}")})
        for metric in ("upstream_cx_total", "upstream_cx_active", "upstream_cx_connect_fail",
                       "upstream_cx_rx_bytes_total", "upstream_cx_tx_bytes_total",
                       "upstream_rq_total", "upstream_rq_active", "upstream_rq_pending_active",
                       "upstream_rq_timeout", "upstream_rq_retry", "membership_total",
                       "membership_healthy", "upstream_rq_time_count", "upstream_rq_time_sum",
                       "upstream_cx_connect_ms_count"):
            self.assertIn(origin, series.get("envoy_cluster_" + metric, {}), metric)
        for metric in ("downstream_cx_total", "downstream_cx_active", "downstream_rq_total",
                       "downstream_rq_active", "downstream_rq_time_count",
                       "downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total"):
            self.assertIn(ingress, series.get("envoy_http_" + metric, {}), metric)
        for metric in ("downstream_cx_total", "downstream_cx_active", "downstream_cx_destroy"):
            self.assertIn(web, series.get("envoy_listener_" + metric, {}), metric)
        for metric in ("live", "uptime", "concurrency", "memory_allocated",
                       "memory_heap_size", "memory_physical_size",
                       "days_until_first_cert_expiring"):
            self.assertIn(frozenset(), series.get("envoy_server_" + metric, {}), metric)
        self.assertEqual(series["envoy_server_live"][frozenset()], 1)
        self.assertEqual(series["envoy_server_concurrency"][frozenset()], 2)

    def test_gauges_of_connections_go_back_to_zero(self):
        until("no request is active",
              lambda: self.value("envoy_http_downstream_rq_active",
                                 envoy_http_conn_manager_prefix="ingress") == 0)
        until("no client is connected",
              lambda: self.value("envoy_http_downstream_cx_active",
                                 envoy_http_conn_manager_prefix="ingress") == 0)

    def test_usedonly_leaves_out_what_never_happened(self):
        series = parse(self.scrape("?usedonly"))
        self.assertNotIn("envoy_cluster_upstream_rq_timeout", series)
        names = {dict(labels).get("envoy_cluster_name")
                 for labels in series["envoy_cluster_upstream_rq_total"]}
        self.assertEqual(names, {"outbound|80||origin"})

    def test_filter_is_a_regex_found_anywhere_in_the_name(self):
        series = parse(self.scrape("?filter=" + urllib.parse.quote(r"cx_(total|active)$")))
        self.assertTrue(all(name.endswith(("cx_total", "cx_active")) for name in series), series)
        self.assertIn("envoy_tcp_downstream_cx_total", series)
        self.assertEqual(self.fixture.ask("/stats/prometheus?filter=(")[0], 400)

    def test_text_json_and_prometheus_tell_the_same(self):
        text = self.fixture.ask("/stats")[1]
        lines = dict(line.split(": ", 1) for line in text.splitlines())
        stats = json.loads(self.fixture.ask("/stats?format=json")[1])["stats"]
        numbers = {s["name"]: s["value"] for s in stats if "name" in s}
        histograms = next(s["histograms"] for s in stats if "histograms" in s)
        name = "cluster.outbound|80||origin.upstream_rq_200"
        self.assertEqual(lines[name], "2")
        self.assertEqual(numbers[name], 2)
        self.assertEqual(histograms["supported_quantiles"],
                         [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100])
        computed = {h["name"] for h in histograms["computed_quantiles"]}
        self.assertIn("cluster.outbound|80||origin.upstream_rq_time", computed)
        self.assertRegex(lines["cluster.outbound|80||origin.upstream_rq_time"],
                         r"^P0\(\S+,\S+\) P25\(.* P100\(\S+\)$")
        plain = [n for n in lines if n in numbers]
        self.assertEqual(plain, sorted(plain))

    def test_a_real_prometheus_scrapes_it(self):
        query = prometheus.start(self, [f"127.0.0.1:{self.fixture.admin}"]).value
        until("Prometheus has scraped", lambda: query('up{job="mesh"}') == 1)
        self.assertEqual(query('sum(envoy_cluster_upstream_rq{envoy_response_code="404"})'), 1)
        self.assertEqual(query('count(envoy_cluster_membership_total)'), 2)
        self.assertGreater(query('sum(envoy_cluster_upstream_rq_time_bucket{le="+Inf"})'), 0)
        self.assertIsNotNone(query('histogram_quantile(0.5, sum by (le) '
                                   '(envoy_http_downstream_rq_time_bucket'
                                   '{envoy_http_conn_manager_prefix="ingress"}))'))


if __name__ == "__main__":
    unittest.main()
