"""Failure scenarios for Envoy and Pillion: what the origin does at each attempt, and the policies that meet it.

A request names its plan in x-plan: what the origin does at the first, second ... attempt; the last word goes on.
"""

import http
import socket

import envoy_config as envoy
from envoy_parity import access_log, ask
from peers import LINGER_RESET, reply

TIMEOUT = "15s"


def policy(on, tries=2, **more):
    return {"retry_on": on, "num_retries": tries,
            "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}} | more


def to(prefix, cluster="app", retry=None, **action):
    route = {"cluster": cluster, "timeout": TIMEOUT} | action
    if retry:
        route["retry_policy"] = retry
    return {"match": {"prefix": prefix}, "name": prefix.strip("/"), "route": route}


ROUTES = [
    to("/none"),
    to("/5xx", retry=policy("5xx")),
    to("/gateway", retry=policy("gateway-error")),
    to("/reset", retry=policy("reset")),
    to("/before", retry=policy("reset-before-request")),
    to("/connect", retry=policy("connect-failure")),
    to("/refused-stream", retry=policy("refused-stream")),
    to("/4xx", retry=policy("retriable-4xx")),
    to("/codes", retry=policy("retriable-status-codes", retriable_status_codes=[418, 503])),
    to("/grpc", retry=policy("cancelled,deadline-exceeded,internal,resource-exhausted,unavailable")),
    to("/many", retry=policy("5xx", tries=5)),
    to("/once", retry={"retry_on": "5xx"}),
    to("/per-try", retry=policy("5xx", per_try_timeout="0.2s")),
    to("/per-try-only", retry=policy("connect-failure", per_try_timeout="0.2s")),
    to("/short", timeout="0.3s", retry=policy("5xx", tries=9)),
    to("/idle", idle_timeout="0.3s", timeout="0s"),
    to("/timeout", timeout="0.2s"),
    to("/closed-5xx", "closed", retry=policy("5xx")),
    to("/closed-connect", "closed", retry=policy("connect-failure")),
    to("/closed", "closed"),
    to("/empty-5xx", "empty", retry=policy("5xx")),
    to("/empty", "empty"),
    to("/no-requests", "no-requests", retry=policy("5xx")),
    to("/no-connections", "no-connections"),
    to("/no-pending", "no-pending", retry=policy("5xx")),
    to("/no-retries", "no-retries", retry=policy("5xx")),
]


def thresholds(**values):
    return {"circuit_breakers": {"thresholds": [values]}}


def bootstrap(ports, origin, closed):
    clusters = [
        envoy.cluster("app", [origin]), envoy.cluster("closed", [closed]), envoy.cluster("empty"),
        envoy.cluster("no-requests", [origin], **thresholds(max_requests=0)),
        envoy.cluster("no-connections", [origin], **thresholds(max_connections=0)),
        envoy.cluster("no-pending", [origin], **thresholds(max_pending_requests=0)),
        envoy.cluster("no-retries", [origin], **thresholds(max_retries=0)),
    ]
    listener = envoy.http("plain", ports["plain"], ROUTES, log=False,
                          access_log=access_log())
    return envoy.bootstrap([listener], clusters)


def serve(peer, request, attempt):
    """One attempt."""
    plan = (request.get("x-plan") or "200").split(",")
    return act(peer, plan[min(attempt, len(plan)) - 1])


def status_line(status):
    """With the standard reason: Envoy knows no other."""
    return f"{status} {http.HTTPStatus(int(status)).phrase}"


def act(peer, what):
    if what == "stall":
        peer.hang()
        return False
    if what in ("close", "reset"):
        return end(peer, what)
    if what.startswith("grpc"):
        peer.send(reply(b"", "Content-Type: application/grpc", f"Grpc-Status: {what[4:]}"))
        return True
    status, _, then = what.partition("+")
    if then in ("", "later", "now"):
        more = {"later": ["Retry-After: 1"], "now": ["Retry-After: 0"]}.get(then, [])
        peer.send(reply(b"body of " + status.encode(), *more, status=status_line(status)))
        return True
    head = f"HTTP/1.1 {status_line(status)}\r\n".encode()
    if then.startswith("head"):  # of a head, half
        peer.send(head + b"X-Half: ")
    elif then.startswith("chunks"):
        peer.send(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    else:
        peer.send(head + b"Content-Length: 10\r\n\r\nhello")
    return end(peer, then.rpartition("-")[2])


def end(peer, how):
    if how == "stall":
        peer.hang()
    elif how == "reset":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    return False


def plan(name, path, what, **more):
    return (name, "plain", ask(path, f"X-Plan: {what}", **more))


POST = {"method": "POST", "body": b"hello"}
LARGE = {"method": "POST", "body": b"x" * 2_000_000}

REQUESTS = [
    plan("a 503 without a policy", "/none", "503"),
    plan("a 503 with Retry-After, without a policy", "/none", "503+later"),
    plan("a stall until the timeout", "/timeout", "stall"),
    plan("a head, then a stall until the timeout", "/timeout", "200+body-stall"),
    plan("a body that ends too early", "/none", "200+body-close"),
    plan("a body that is reset", "/none", "200+body-reset"),
    plan("chunks that end too early", "/none", "200+chunks-close"),
    plan("half a head, then the end", "/none", "200+head-close"),
    plan("half a head, then a reset", "/none", "200+head-reset"),
    plan("an end without an answer", "/none", "close"),
    plan("an end without an answer to a POST", "/none", "close", **POST),
    plan("a reset without an answer to a POST", "/none", "reset", **POST),
    plan("an idle response", "/idle", "200+body-stall"),
    plan("an idle upstream", "/idle", "stall"),
    plan("5xx: 503, then 200", "/5xx", "503,200"),
    plan("5xx: 500, then 200", "/5xx", "500,200"),
    plan("5xx: 503 with Retry-After, then 200", "/5xx", "503+now,200"),
    plan("5xx: 503 for ever", "/5xx", "503"),
    plan("5xx: a POST", "/5xx", "503,200", **POST),
    plan("5xx: a POST of two megabytes", "/5xx", "503,200", **LARGE),
    plan("5xx: 404", "/5xx", "404,200"),
    plan("5xx: a reset, then 200", "/5xx", "reset,200"),
    plan("5xx: an end, then 200", "/5xx", "close,200"),
    plan("5xx: a reset of a POST", "/5xx", "reset,200", **POST),
    plan("5xx: a body that ends too early", "/5xx", "503+body-close,200"),
    plan("5xx: a body of 200 that ends too early", "/5xx", "200+body-close,200"),
    plan("5xx: half a head, then 200", "/5xx", "200+head-close,200"),
    plan("5xx: 503, then a reset, then 200", "/5xx", "503,reset,200"),
    plan("5xx: a POST: 503, then a reset, then 503", "/5xx", "503,reset,503", **POST),
    plan("5xx: HEAD", "/5xx", "503,200", method="HEAD"),
    plan("gateway-error: 502, then 200", "/gateway", "502,200"),
    plan("gateway-error: 500", "/gateway", "500,200"),
    plan("gateway-error: 504, then 503, then 200", "/gateway", "504,503,200"),
    plan("reset: a reset, then 200", "/reset", "reset,200"),
    plan("reset: an end, then 200", "/reset", "close,200"),
    plan("reset: 503", "/reset", "503,200"),
    plan("reset: a POST in vain", "/reset", "reset", **POST),
    plan("reset: a POST", "/reset", "reset,200", **POST),
    plan("reset-before-request: a reset of a POST", "/before", "reset,200", **POST),
    plan("connect-failure: a reset of a POST", "/connect", "reset,200", **POST),
    plan("connect-failure: a reset of a GET on a new connection", "/connect", "reset,200"),
    plan("connect-failure: refused", "/closed-connect", "200"),
    plan("connect-failure: refused, a POST", "/closed-connect", "200", **POST),
    plan("5xx: refused", "/closed-5xx", "200"),
    plan("refused without a policy", "/closed", "200"),
    plan("refused-stream: a reset of a POST", "/refused-stream", "reset,200", **POST),
    plan("retriable-4xx: 409, then 200", "/4xx", "409,200"),
    plan("retriable-4xx: 404", "/4xx", "404,200"),
    plan("retriable-status-codes: 418, then 200", "/codes", "418,200"),
    plan("retriable-status-codes: 500", "/codes", "500,200"),
    plan("grpc: unavailable, then fine", "/grpc", "grpc14,grpc0"),
    plan("grpc: internal, then fine", "/grpc", "grpc13,grpc0"),
    plan("grpc: unauthenticated", "/grpc", "grpc16,grpc0"),
    plan("grpc: unavailable for ever", "/grpc", "grpc14"),
    plan("five tries", "/many", "503,503,503,503,503,200"),
    plan("five tries in vain", "/many", "503"),
    plan("one try, which is the default", "/once", "503,503,200"),
    plan("a stall of one try, then 200", "/per-try", "stall,200"),
    plan("stalls of all tries", "/per-try", "stall"),
    plan("a stall of one try that is not tried again", "/per-try-only", "stall,200"),
    plan("tries until the timeout", "/short", "503,503,stall"),
    plan("no host, with a policy", "/empty-5xx", "200"),
    plan("no host", "/empty", "200"),
    plan("the breaker of requests", "/no-requests", "200"),
    plan("the breaker of connections", "/no-connections", "200"),
    plan("the breaker of pending requests", "/no-pending", "200"),
    plan("the breaker of retries", "/no-retries", "503,200"),
]

# (pattern of "request | aspect", reason): what Pillion does otherwise, on purpose.
DIFFERENCES = [
    (r"(no host.*|the breaker of requests) \| log: attempts", "nothing was attempted"),
]

READ_TO_ITS_END = "a response that is retried is read to its end, so that its connection is used again"
FLOW = "Pillion takes the two megabytes in pieces of another size"

# The same of counters.
STATS = [
    (r"cluster\.[\w-]+\.external\..*", "the same numbers again, by where the client is: Pillion does not tell"),
    (r"cluster\.[\w-]+\.default\.total_match_count", "of the matcher of transport sockets: how often it chose this one"),
    (r"cluster\.app\.http1\..*", "finer than protocol_error"),
    (r"cluster\.app\.upstream_rq_[rt]x_reset", "Envoy counts resets of HTTP/2 only"),
    (r"cluster\.app\.upstream_cx_(destroy.*|http1_total|total)", READ_TO_ITS_END),
    (r"cluster\.app\.upstream_rq_pending_total", READ_TO_ITS_END),
    (r"cluster\.app\.upstream_cx_protocol_error", "by the same, the body of a HEAD is seen twice, not once"),
    (r"cluster\.app\.upstream_rq_retry(_success|_backoff_exponential)?",
     "a GET is repeated once without the policy when a connection that was used before is reset"),
    (r"cluster\.empty\.membership_change", "the first set of hosts is one"),
    (r"cluster\.no-requests\.upstream_(cx_(http1_)?total|rq_pending_total)",
     "a request too many is refused before a connection is made for it"),
    (r"cluster\.app\.upstream_flow_control_.*", FLOW),
    (r"http\.plain\.downstream_flow_control_.*", FLOW),
    (r"http\.plain\.downstream_(rq_rx_reset|cx_delayed_close_timeout)",
     "of responses that are cut: Envoy waits a second for the client, and takes its end for a reset"),
    (r"listener\.ADDRESS\.worker_0\..*", "by worker"),
    (r"http\.plain\.downstream_cx_tx_bytes_total", "of the value of x-envoy-upstream-service-time"),
]
