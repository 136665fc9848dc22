"""A real Prometheus that scrapes what a test names.

    server = prometheus.start(test, ["127.0.0.1:15090"])
    server.query('up') -> {target: value}, server.value('sum(up)') -> number or None
"""

import http.client
import json
import urllib.parse

import programs
from sidecar import free_port

CONFIG = """
scrape_configs:
- job_name: mesh
  scrape_interval: 200ms
  scrape_timeout: 200ms
  metrics_path: /stats/prometheus
  static_configs: [ { targets: %s } ]
"""


class Prometheus(programs.Program):
    def query(self, expression):
        """{instance: value}; what was aggregated over instances is of ''."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        client.request("GET", "/api/v1/query?query=" + urllib.parse.quote(expression))
        answer = client.getresponse()
        body = answer.read()  # no JSON until it is ready
        client.close()
        rows = json.loads(body)["data"]["result"] if answer.status == 200 else []
        return {row["metric"].get("instance", ""): float(row["value"][1]) for row in rows}

    def value(self, expression):
        return next(iter(self.query(expression).values()), None)


def start(test, targets):
    port = free_port()
    command = [programs.find_debian("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
               f"--web.listen-address=127.0.0.1:{port}"]
    return Prometheus(test, command, {"prometheus.yml": CONFIG % json.dumps(targets)}, port)
