#!/usr/bin/env python3
"""The filters of gRPC beside Envoy's: the same configuration, the same requests of HTTP/1.1 clients to the same server,
and each difference in answers, access logs and counters named with its reason."""

import base64
import unittest

import envoy_config as envoy
import programs
import sidecar
from envoy_side import EnvoySide, PillionSide, compare, differences
from peers import connect, get

FILTERS = envoy.TYPE + "filters.http."
LOG = [{"name": "log", "typed_config": {
    "@type": envoy.TYPE + "access_loggers.file.v3.FileAccessLog", "path": "access.log", "log_format": {"json_format": {
        "code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%",
        "status": "%GRPC_STATUS%", "snake": "%GRPC_STATUS(SNAKE_STRING)%", "number": "%GRPC_STATUS_NUMBER%"}}}}]
LISTENERS = {
    "web": [("web", "grpc_web.v3.GrpcWeb", {})],
    "bridge": [("bridge", "grpc_http1_bridge.v3.Config", {"upgrade_protobuf_to_grpc": True,
                                                          "ignore_query_parameters": True})],
    "none": [],
}
STATS = {"stats_for_all_methods": True, "enable_upstream_stats": True, "replace_dots_in_grpc_service_name": True}
ROUTES = [
    {"match": {"path": "/direct"}, "direct_response": {"status": 429, "body": {"inline_string": "50% \u00e4\n"}}},
    {"match": {"path": "/redirect"}, "redirect": {"path_redirect": "/other"}},
    {"match": {"path": "/nowhere"}, "route": {"cluster_header": "x-cluster"}},
    envoy.route(prefix="/echo.Echo/"),
]

# (pattern, reason) of what differs.
EXPECTED = [
    (r"web (unary|bare type|text|text in, binary out|stream) \| log (status|snake|number)",
     "Envoy has cleared the trailers, which it puts into the body, when it writes its log"),
    (r"web (bad text|text of a bad size|direct|no route|no cluster) \| (log code|status)",
     "replies of the proxy are those of gRPC: of a 4xx or 5xx Google's client reads neither status nor message"),
    (r"web no (route|cluster) \| grpc-status", "none of Envoy's, if its reply has no body"),
    (r"(.* direct|grpc get) \| grpc-message", "without the line end of a text"),
    (r"bridge (error|no method|protobuf error|direct) \| (log code|status)",
     "an error is 503 whether its trailers come behind a body or alone; Envoy: 200 if alone"),
    (r"bridge protobuf( error)? \| content-type", "an answer is of the type of its request"),
    (r"grpc with parameters direct \| .*", "application/grpc;x=y is gRPC; not to Envoy"),
    (r"counter \| cluster\.app\.grpc-web\..*", "grpc_web counts nothing: grpc_stats does"),
    (r"counter \| cluster\.app\.grpc\.(echo_Echo\.None\.)?(12|failure|total|request_message_count)",
     "a method that no server has gets no row of its own"),
    (r"counter \| cluster\.app\.grpc\.echo_Echo\.Unary\.(13|failure|total|request_message_count)",
     "a call that ends with text that is no base64 counts as one that failed"),
]


def frame(content):
    return len(content).to_bytes(5, "big") + content


def unframed(body, content_type):
    """Text as the bytes that it stands for: its pieces may be cut differently."""
    if content_type and "grpc-web-text" in content_type:
        return b"".join(base64.b64decode(body[at:at + 4]) for at in range(0, len(body), 4))
    return body


def post(path, content_type, body, *fields):
    # Envoy lets servers complain of clients without TE; the bridge here adds it.
    return get(path, f"Content-Type: {content_type}", "TE: trailers", *fields, method="POST", body=body)


GRPC, WEB, TEXT, PROTO = ("application/" + name for name in ("grpc", "grpc-web+proto", "grpc-web-text", "x-protobuf"))
HELLO = frame(b"hello")
CASES = {
    "web unary": ("web", post("/echo.Echo/Unary", WEB, HELLO)),
    "web bare type": ("web", post("/echo.Echo/Unary", "application/grpc-web", HELLO)),
    "web with parameters": ("web", post("/echo.Echo/Unary", WEB + ";charset=utf-8", HELLO)),
    "web text": ("web", post("/echo.Echo/Unary", TEXT, base64.b64encode(HELLO), "Accept: " + TEXT)),
    "web text in, binary out": ("web", post("/echo.Echo/Unary", TEXT, base64.b64encode(HELLO))),
    "web stream": ("web", post("/echo.Echo/ServerStream", TEXT, base64.b64encode(frame(b"3,10")), "Accept: " + TEXT)),
    "web error": ("web", post("/echo.Echo/Fail", WEB, frame(b"5"))),
    "web error as text": ("web", post("/echo.Echo/Fail", TEXT, base64.b64encode(frame(b"5")), "Accept: " + TEXT)),
    "web no method": ("web", post("/echo.Echo/None", WEB, HELLO)),
    "web bad text": ("web", post("/echo.Echo/Unary", TEXT, b"A!AA")),
    "web text of a bad size": ("web", post("/echo.Echo/Unary", TEXT, b"AAAAAA")),
    "web direct": ("web", post("/direct", WEB, HELLO)),
    "web no route": ("web", post("/none", WEB, HELLO)),
    "web no cluster": ("web", post("/nowhere", WEB, HELLO, "x-cluster: none")),
    "web json": ("web", post("/direct", "application/json", b"{}")),
    "bridge unary": ("bridge", post("/echo.Echo/Unary", GRPC, HELLO)),
    "bridge with a query": ("bridge", post("/echo.Echo/Unary?x=1", GRPC, HELLO)),
    "bridge error": ("bridge", post("/echo.Echo/Fail", GRPC, frame(b"5"))),
    "bridge no method": ("bridge", post("/echo.Echo/None", GRPC, HELLO)),
    "bridge protobuf": ("bridge", post("/echo.Echo/Unary", PROTO, b"hello")),
    "bridge protobuf error": ("bridge", post("/echo.Echo/Fail", PROTO, b"5")),
    "bridge direct": ("bridge", post("/direct", GRPC, HELLO)),
    "grpc direct": ("none", post("/direct", GRPC, HELLO)),
    "grpc+proto direct": ("none", post("/direct", GRPC + "+proto", HELLO)),
    "grpc with parameters direct": ("none", post("/direct", GRPC + ";x=y", HELLO)),
    "grpc redirect": ("none", post("/redirect", GRPC, HELLO)),
    "grpc no route": ("none", post("/none", GRPC, HELLO)),
    "grpc no cluster": ("none", post("/nowhere", GRPC, HELLO, "x-cluster: none")),
    "grpc get": ("none", get("/direct", "Content-Type: application/grpc")),
}


def bootstrap(server):
    def of(ports, *_):
        listeners = [envoy.http(name, port, log=False, access_log=LOG, routes=ROUTES, http_filters=[
            *({"name": label, "typed_config": {"@type": FILTERS + message} | fields}
              for label, message, fields in LISTENERS[name]),
            {"name": "stats", "typed_config": {"@type": FILTERS + "grpc_stats.v3.FilterConfig"} | STATS},
            {"name": "router", "typed_config": {"@type": FILTERS + "router.v3.Router"}}]) for name, port in ports.items()]
        return envoy.bootstrap(listeners, [envoy.http_cluster(server.port, envoy.EXPLICIT_H2)])
    return of


class Parity(unittest.TestCase):
    def one(self, side, listener, data):
        before = len(side.log())
        answer = connect(self, side.ports[listener]).exchange(data)
        kind = answer.get("content-type")
        sidecar.until("a line in the log", lambda: len(side.log()) > before)
        return {"status": answer.status, "body": unframed(answer.body, kind), "trailers": answer.trailers} | {
            name: answer.get(name) for name in ("content-type", "content-length", "grpc-status", "grpc-message", "location",
                                                "transfer-encoding")} | {
            f"log {key}": value for key, value in side.log()[before].items()}

    def test_answers_logs_and_counters(self):
        server = programs.grpc_server(self)
        what = (LISTENERS, bootstrap(server), lambda *_: True)
        ours, theirs = PillionSide(self, *what), EnvoySide(self, *what)
        found = []
        for name, (listener, data) in CASES.items():
            found += differences(name, self.one(ours, listener, data), self.one(theirs, listener, data))
        counters = [{name: n for name, n in side.counters().items() if name.startswith("cluster.app.grpc")}
                    for side in (ours, theirs)]
        self.assertGreater(len(counters[0]), 10)
        found += differences("counter", *counters)
        self.assertEqual(compare(self, found, EXPECTED), {pattern for pattern, _ in EXPECTED})


if __name__ == "__main__":
    unittest.main()
