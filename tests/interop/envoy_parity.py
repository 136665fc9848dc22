"""What envoy_parity_test.py gives to Envoy and to Pillion: one configuration, and the requests to it."""

import envoy_config as envoy
from peers import get

LOG = {name: f"%{operator}%" for name, operator in {
    "status": "RESPONSE_CODE", "flags": "RESPONSE_FLAGS", "long flags": "RESPONSE_FLAGS_LONG",
    "details": "RESPONSE_CODE_DETAILS", "end": "CONNECTION_TERMINATION_DETAILS", "method": "REQ(:METHOD)",
    "path": "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", "authority": "REQ(:AUTHORITY)", "scheme": "REQ(:SCHEME)",
    "cut": "REQ(USER-AGENT):4", "protocol": "PROTOCOL", "received": "BYTES_RECEIVED", "sent": "BYTES_SENT",
    "wire received": "DOWNSTREAM_WIRE_BYTES_RECEIVED", "wire sent": "DOWNSTREAM_WIRE_BYTES_SENT",
    "service time": "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)",
    "cluster": "UPSTREAM_CLUSTER", "route": "ROUTE_NAME", "attempts": "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "upstream": "UPSTREAM_TRANSPORT_FAILURE_REASON", "from": "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "direct": "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "to": "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "sni": "REQUESTED_SERVER_NAME", "type": "RESP(CONTENT-TYPE)", "absent": "REQ(X-ABSENT)", "grpc": "GRPC_STATUS",
}.items()}


def access_log():
    return [{"name": "envoy.access_loggers.file", "typed_config": {
        "@type": envoy.TYPE + "access_loggers.file.v3.FileAccessLog", "path": "access.log",
        "log_format": {"json_format": LOG}}}]


def field(name, value, action=None):
    return {"header": {"key": name, "value": value}} | ({"append_action": action} if action else {})


def at(prefix, name=None, **what):
    return {"match": {"prefix": prefix}, "name": name or prefix.strip("/")} | what


def to(prefix, cluster="app", more=None, **action):
    return at(prefix, **(more or {}), route={"cluster": cluster, "timeout": "10s"} | action)


PREVIOUS_HOSTS = [{"name": "previous", "typed_config": {
    "@type": envoy.TYPE + "retry.host.previous_hosts.v3.PreviousHostsPredicate"}}]
RETRIES = {
    "5xx": {"retry_on": "5xx", "num_retries": 2}, "gateway": {"retry_on": "gateway-error"},
    "4xx": {"retry_on": "retriable-4xx,retriable-status-codes", "retriable_status_codes": [429]},
    "reset": {"retry_on": "reset"}, "unsent": {"retry_on": "reset-before-request,connect-failure"},
    "grpc": {"retry_on": "unavailable,cancelled"},
    "header": {"retry_on": "retriable-headers", "retriable_headers": [{"name": "x-origin"}]},
    "slow": {"retry_on": "gateway-error", "per_try_timeout": "0.2s"}, "slow-once": {"per_try_timeout": "0.2s"},
    "after": {"retry_on": "5xx", "rate_limited_retry_back_off": {"reset_headers": [{"name": "retry-after"}]}},
    "hosts": {"retry_on": "5xx", "retry_host_predicate": PREVIOUS_HOSTS, "host_selection_retry_max_attempts": 3},
}

ROUTES = [
    at("/direct/empty", direct_response={"status": 204}),
    at("/direct", direct_response={"status": 418, "body": {"inline_string": "a teapot"}},
       response_headers_to_add=[field("x-direct", "%PROTOCOL% %REQ(:PATH)%")]),
    at("/redirect/host", redirect={"host_redirect": "other.example"}),
    at("/redirect/https", redirect={"https_redirect": True}),
    at("/redirect/path", redirect={"path_redirect": "/new", "response_code": "TEMPORARY_REDIRECT"}),
    at("/redirect/prefix", redirect={"prefix_rewrite": "/new", "response_code": "PERMANENT_REDIRECT"}),
    at("/redirect/query", redirect={"path_redirect": "/new", "strip_query": True, "response_code": "SEE_OTHER"}),
    at("/redirect/port", redirect={"port_redirect": 8443, "scheme_redirect": "https", "response_code": "FOUND"}),
    at("/redirect/regex", redirect={"regex_rewrite": {
        "pattern": {"regex": "^/redirect/regex/(.*)$"}, "substitution": "/r/\\1"}}),
    to("/rewrite/prefix", prefix_rewrite="/p"),
    to("/rewrite/regex", regex_rewrite={"pattern": {"regex": "/rewrite/regex/(\\w+)/(\\w+)"},
                                        "substitution": "/\\2/\\1"}),
    to("/rewrite/host", host_rewrite_literal="rewritten.example"),
    to("/rewrite/header", host_rewrite_header="x-new-host"),
    to("/fields", more={
        "request_headers_to_add": [
            field("x-add", "1"), field("x-over", "new", "OVERWRITE_IF_EXISTS_OR_ADD"),
            field("x-if", "new", "ADD_IF_ABSENT"),
            field("x-from", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
            field("x-echo", "%REQ(X-IN)% %PROTOCOL% 100%%")],
        "request_headers_to_remove": ["x-gone"],
        "response_headers_to_add": [field("x-more", "2"), field("x-status", "%RESPONSE_CODE%"),
                                    field("content-type", "text/x", "OVERWRITE_IF_EXISTS")],
        "response_headers_to_remove": ["x-origin"]}),
    to("/refused", "refused"), to("/empty", "empty"), at("/nowhere", route={"cluster_header": "x-cluster"}),
    to("/slow", timeout="0.2s"), to("/second", timeout="1s"),
    *(to(f"/retry-{name}", retry_policy={"retry_back_off": {"base_interval": "0.001s"}} | policy,
         timeout="10s") for name, policy in RETRIES.items()),
    to("/retry-in-vain", "refused", retry_policy={"retry_on": "connect-failure,reset", "num_retries": 2}),
    to("/retry", "half", retry_policy={"retry_on": "connect-failure", "num_retries": 5}),
    {"match": {"path": "/match/path"}, "name": "path", "direct_response": {"status": 200}},
    {"match": {"path_separated_prefix": "/match/sep"}, "name": "sep", "direct_response": {"status": 200}},
    {"match": {"safe_regex": {"regex": "/match/re/[a-z]+"}}, "name": "re", "direct_response": {"status": 200}},
    {"match": {"prefix": "/match/", "headers": [{"name": "x-m", "string_match": {"exact": "v"}}]}, "name": "exact",
     "direct_response": {"status": 200}},
    {"match": {"prefix": "/match/", "headers": [{"name": "x-r", "range_match": {"start": 1, "end": 10}}]},
     "name": "range",
     "direct_response": {"status": 200}},
    {"match": {"prefix": "/match/", "query_parameters": [{"name": "q", "string_match": {"prefix": "v"}}]},
     "name": "query",
     "direct_response": {"status": 200}},
    {"match": {"prefix": "/match/", "headers": [{"name": "x-n", "present_match": True, "invert_match": True}]},
     "name": "absent", "direct_response": {"status": 200}},
    {"match": {"prefix": "/MATCH/any", "case_sensitive": False}, "name": "any case",
     "direct_response": {"status": 200}},
    to("/app"),
]

MAPPERS = [
    {"filter": {"status_code_filter": {"comparison": {"op": "EQ",
                                                      "value": {"default_value": 404, "runtime_key": "k"}}}},
     "status_code": 410, "body": {"inline_string": "gone"}, "headers_to_add": [field("x-mapped", "yes")]},
    {"filter": {"status_code_filter": {"comparison": {"op": "GE",
                                                      "value": {"default_value": 500, "runtime_key": "k"}}}},
     "body_format_override": {"json_format": {"status": "%RESPONSE_CODE%", "text": "%LOCAL_REPLY_BODY%"}}},
]


def bootstrap(ports, origin, closed):
    """ports: of the listeners plain, mapped, paths; `closed` refuses connections."""
    common = {"log": False, "access_log": access_log()}
    mapped = {"mappers": MAPPERS, "body_format": {"text_format_source": {
        "inline_string": "%RESPONSE_CODE%: %LOCAL_REPLY_BODY%\n"}, "content_type": "text/x; charset=a"}}
    listeners = [
        envoy.http("plain", ports["plain"], hosts=[
            {"name": "main", "domains": ["a", "a:*", "shop.example"], "routes": ROUTES,
             "response_headers_to_add": [field("x-host", "main")]},
            {"name": "wild", "domains": ["*.wild.example", "wild.*"], "routes": [
                at("/", direct_response={"status": 200, "body": {"inline_string": "wild"}})]},
            {"name": "secure", "domains": ["secure.example"], "require_tls": "ALL", "routes": [to("/")]}], **common),
        envoy.http("mapped", ports["mapped"], ROUTES, local_reply_config=mapped, use_remote_address=True,
                   server_name="mapped", via="hop", generate_request_id=False, xff_num_trusted_hops=1, **common),
        envoy.http("paths", ports["paths"], [to("/app"), to("/b")], normalize_path=True, merge_slashes=True,
                   path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT", use_remote_address=True,
                   server_header_transformation="PASS_THROUGH", preserve_external_request_id=True,
                   skip_xff_append=True, strip_any_host_port=True, **common),
    ]
    clusters = [envoy.cluster("app", [origin]), envoy.cluster("refused", [closed]), envoy.cluster("empty"),
                envoy.cluster("half", [closed, origin])]
    return envoy.bootstrap(listeners, clusters)


def ask(path, *fields, **more):
    return get(path, "User-Agent: parity", *fields, **({"host": "a"} | more))


def post(path, *fields):
    return ask(path, *fields, method="POST", body=b"hello")


CHUNKS = b"5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n"

# name, listener, bytes.
REQUESTS = [(name, "plain", data) for name, data in (
    ("no route", ask("/nothing")),
    ("no virtual host", ask("/app", host="other.example")),
    ("a host of a wildcard suffix", ask("/", host="x.wild.example")),
    ("a host of a wildcard prefix", ask("/", host="wild.x")),
    ("a host with a port", ask("/app", host="a:8080")),
    ("a host in capitals", ask("/app", host="SHOP.Example")),
    ("a host that wants TLS", ask("/app", host="secure.example")),
    ("a direct response", ask("/direct/x?y")),
    ("a direct response without a body", ask("/direct/empty")),
    ("a direct response to HEAD", ask("/direct", method="HEAD")),
    ("a direct response to a POST", post("/direct")),
    ("a redirect of the host", ask("/redirect/host/x?y=1")),
    ("a redirect to https", ask("/redirect/https/x?y=1")),
    ("a redirect to https with a port", ask("/redirect/https/x", host="a:80")),
    ("a redirect of the path", ask("/redirect/path/x?y=1")),
    ("a redirect of the prefix", ask("/redirect/prefix/x?y=1")),
    ("a redirect without the query", ask("/redirect/query/x?y=1")),
    ("a redirect of the port", ask("/redirect/port/x?y=1")),
    ("a redirect by regex", ask("/redirect/regex/x?y=1")),
    ("a redirect of a POST", post("/redirect/host/x")),
    ("a prefix rewrite", ask("/rewrite/prefix/x?y=1")),
    ("a regex rewrite", ask("/rewrite/regex/one/two?y=1")),
    ("a host rewrite", ask("/rewrite/host")),
    ("a host rewrite by a field", ask("/rewrite/header", "X-New-Host: n.example")),
    ("a host rewrite by an absent field", ask("/rewrite/header")),
    ("mutations of fields", ask("/fields", "X-In: i", "X-Over: old", "X-Over: older", "X-If: old", "X-Add: 0",
                                "X-Gone: 1")),
    ("a refused connection", ask("/refused")),
    ("a refused connection of a POST", post("/refused")),
    ("no host", ask("/empty")),
    ("no cluster", ask("/nowhere", "X-Cluster: c")),
    ("no name of a cluster", ask("/nowhere")),
    ("a timeout", ask("/slow/hang")),
    ("a timeout of the client's choice", ask("/second/hang", "X-Envoy-Upstream-Rq-Timeout-Ms: 100")),
    ("a retry", ask("/retry")),
    ("retries in vain", ask("/retry-in-vain")),
    ("an upstream that closes", ask("/app/close")),
    ("an upstream that resets", ask("/app/reset")),
    ("an upstream that is no server", ask("/app/noise")),
    ("an upstream that frames twice", ask("/app/twice")),
    ("a 503 and a retry", ask("/retry-5xx/busy-once")),
    ("503s and retries", ask("/retry-5xx/busy")),
    ("a 503 and a retry of a POST", post("/retry-5xx/busy-once")),
    ("a reset and a retry for 5xx", ask("/retry-5xx/reset-once")),
    ("noise and a retry for 5xx", ask("/retry-5xx/noise-once")),
    ("a close and a retry for a reset", post("/retry-reset/close-once")),
    ("a 503 and no retry for a reset", ask("/retry-reset/busy")),
    ("a 500 and no retry for a gateway", ask("/retry-gateway/broken")),
    ("a 503 and a retry for a gateway", ask("/retry-gateway/busy-once")),
    ("409s and a retry", ask("/retry-4xx/conflict")),
    ("a 429 and a retry", ask("/retry-4xx/many-once")),
    ("a reset that came after the request", post("/retry-unsent/reset")),
    ("a gRPC status and a retry", ask("/retry-grpc/unavailable")),
    ("a response that a field has retried", ask("/retry-header/x")),
    ("an attempt that is too slow, and a retry", ask("/retry-slow/hang")),
    ("an attempt that is too slow", ask("/retry-slow-once/hang")),
    ("a retry when the upstream says", ask("/retry-after/after-once")),
    ("a retry on the only host", ask("/retry-hosts/busy-once")),
    ("a rate limited response", ask("/retry-5xx/limited")),
    ("a POST", post("/app")),
    ("a POST in chunks with trailers", get("/app", "Transfer-Encoding: chunked", "Trailer: x-sum", host="a",
                                           method="POST") + CHUNKS),
    ("a response in chunks with trailers", ask("/app/chunks")),
    ("a response until close", ask("/app/until-close")),
    ("HEAD", ask("/app", method="HEAD")),
    ("OPTIONS", ask("/app", method="OPTIONS")),
    ("OPTIONS of all", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an unknown method", ask("/app", method="BREW")),
    ("a method in lower case", ask("/app", method="get")),
    ("absolute-form", b"GET http://shop.example/app HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
    ("absolute-form with a query only", b"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HTTP/1.0", b"GET /app HTTP/1.0\r\nHost: a\r\n\r\n"),
    ("HTTP/1.0 without a host", b"GET /app HTTP/1.0\r\n\r\n"),
    ("Expect", ask("/app", "Expect: 100-continue", method="POST", body=b"hello")),
    ("hop-by-hop fields", ask("/app", "Connection: x-hop, keep-alive", "X-Hop: 1", "Keep-Alive: 1",
                              "Proxy-Connection: x",
                              "TE: trailers", "Proxy-Authorization: p")),
    ("Connection: close", ask("/app", "Connection: close")),
    ("fields of a proxy before", ask("/app", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https",
                                     "X-Request-Id: mine",
                                     "X-Envoy-Internal: true", "Via: 1.1 x", "Forwarded: for=1.2.3.4")),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    ("an upgrade", ask("/app", "Connection: Upgrade", "Upgrade: websocket")),
    ("a match of the path", ask("/match/path?x")),
    ("a match of a part", ask("/match/sep/x", "X-N: 1")),
    ("no match of half a part", ask("/match/separate", "X-N: 1")),
    ("a match by regex", ask("/match/re/abc?x", "X-N: 1")),
    ("no match by half a regex", ask("/match/re/abc1", "X-N: 1")),
    ("a match of a field", ask("/match/f", "X-M: v", "X-N: 1")),
    ("a match of a field of two values", ask("/match/f", "X-M: u", "X-M: v", "X-N: 1")),
    ("a match of a range", ask("/match/f", "X-R: 9", "X-N: 1")),
    ("no match at the end of a range", ask("/match/f", "X-R: 10", "X-N: 1")),
    ("a match of the query", ask("/match/f?a=1&q=value", "X-N: 1")),
    ("a match of an absent field", ask("/match/f")),
    ("a match in any case", ask("/match/ANY", "X-N: 1")),
    ("many fields", ask("/app", *[f"X-{n}: 1" for n in range(120)])),
    ("long fields", ask("/app", *[f"X-{n}: " + "a" * 1000 for n in range(70)])),
    ("a response of many fields", ask("/app/many")),
    ("no Host", b"GET /app HTTP/1.1\r\nUser-Agent: parity\r\n\r\n"),
    ("TE with CL", ask("/app", "Transfer-Encoding: chunked", method="POST", body=b"hello")),
    ("a NUL", ask("/app", "X: \0")),
    ("a space before the colon", ask("/app", "X : 1")),
)] + [(f"mapped: {name}", "mapped", data) for name, data in (
    ("HTTP/1.0 without a host", b"GET /app HTTP/1.0\r\n\r\n"),
    ("no route", ask("/nothing")), ("a direct response", ask("/direct")), ("a refused connection", ask("/refused")),
    ("no host", ask("/empty")), ("a timeout", ask("/slow/hang")), ("a request", ask("/app")),
    ("fields of a proxy before", ask("/app", "X-Forwarded-For: 10.0.0.1, 1.2.3.4", "X-Forwarded-Proto: https",
                                     "X-Request-Id: mine", "X-Envoy-Internal: true", "X-Envoy-Max-Retries: 5",
                                     "Via: 1.1 x")),
    ("a redirect", ask("/redirect/host/x", "X-Forwarded-Proto: https")),
    ("a bad request", ask("/app", "X : 1")), ("an upstream that is no server", ask("/app/noise")),
)] + [(f"paths: {name}", "paths", data) for name, data in (
    ("dots", ask("/app/../b/./c?x=/../y")), ("escaped dots", ask("/app/%2e%2e/b")), ("slashes", ask("//app///x")),
    ("escaped slashes", ask("/app%2Fx%5cy")), ("beyond the root", ask("/../../app")),
    ("escapes", ask("/app/%41%7e%c3%a9%3f")),
    ("a broken escape", ask("/app/%4")), ("a fragment", ask("/app#x")),
    ("a host with a port", ask("/app", host="a:80")),
    ("a request id", ask("/app", "X-Request-Id: mine", "X-Forwarded-For: 10.0.0.1")),
)]
