"""RBAC policies, requests and connections that Envoy and Pillion judge side by side (envoy_rbac_test.py)."""

import itertools

import envoy_config as envoy
from authority import CUSTOMER, USERS

TYPE = envoy.TYPE
ANY = {"any": True}


def header(name, **how):
    return {"header": {"name": name} | how}


def path(**how):
    return {"url_path": {"path": how}}


def name(**how):
    return {"authenticated": {"principal_name": how}}


def cidr(address, length):
    return {"address_prefix": address, "prefix_len": length}


def extension(kind, **fields):
    return {"name": "e", "typed_config": {"@type": "type.googleapis.com/" + kind} | fields}


def rules(permission=ANY, principal=ANY, action="ALLOW", policy="p"):
    return {"rules": {"action": action, "policies": {policy: {"permissions": [permission], "principals": [principal]}}}}


PERMISSIONS = [
    header(":method", string_match={"exact": "GET"}), header(":method", string_match={"exact": "get"}),
    header(":path", string_match={"prefix": "/users"}), header(":authority", string_match={"prefix": "p"}),
    header("x-a", string_match={"exact": "1"}), header("x-a", string_match={"exact": "2"}),
    header("x-a", string_match={"exact": "1,2"}), header("x-a", string_match={"exact": "2"}, invert_match=True),
    header("x-a", string_match={"exact": "9"}, invert_match=True), header("x-a", present_match=True),
    header("x-a", present_match=False), header("x-a", present_match=True, invert_match=True),
    header("x-empty", present_match=True), header("x-empty", string_match={"exact": ""}),
    header("x-none", string_match={"exact": ""}, treat_missing_header_as_empty=True),
    header("x-none", string_match={"exact": "a"}, invert_match=True),
    header("x-n", range_match={"start": 1, "end": 43}), header("x-n", range_match={"start": 43, "end": 99}),
    header("x-a", string_match={"contains": "1", "ignore_case": True}),
    header("x-a", string_match={"safe_regex": {"regex": "[0-9]"}}),
    path(exact="/users/7"), path(prefix="/users/"), path(suffix="/7"), path(contains="admin"),
    path(exact="/USERS/7", ignore_case=True), path(safe_regex={"regex": "/users/[0-9]+"}), path(exact="/users"),
    {"destination_ip": cidr("127.0.0.0", 8)}, {"destination_ip": cidr("10.0.0.0", 8)},
    {"destination_port_range": {"start": 1, "end": 65536}}, {"destination_port_range": {"start": 1, "end": 2}},
    {"requested_server_name": {"exact": "users.mesh"}}, {"requested_server_name": {"exact": ""}},
    {"metadata": {"filter": "nobody", "path": [{"key": "k"}], "value": {"string_match": {"exact": "v"}}}},
    {"metadata": {"filter": "nobody", "path": [{"key": "k"}], "value": {"present_match": True}, "invert": True}},
    {"and_rules": {"rules": [header(":method", string_match={"exact": "GET"}), path(prefix="/users")]}},
    {"or_rules": {"rules": [header(":method", string_match={"exact": "POST"}), path(prefix="/users")]}},
    {"and_rules": {"rules": [path(prefix="/"), {"not_rule": path(prefix="/users")}]}},
    *({"uri_template": extension("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", path_template=each)}
      for each in ("/users/*", "/users/**", "/{part}/7", "/*")),
]

PRINCIPALS = [
    {"authenticated": {}}, name(exact=CUSTOMER), name(exact=USERS), name(prefix="spiffe://mesh.local/"),
    name(contains="customer"), name(safe_regex={"regex": ".*/ns/shop/.*"}), name(exact="nobody"),
    {"source_ip": cidr("127.0.0.1", 32)}, {"direct_remote_ip": cidr("127.0.0.1", 32)},
    {"remote_ip": cidr("10.1.0.0", 16)}, {"remote_ip": cidr("127.0.0.0", 8)}, {"direct_remote_ip": cidr("10.0.0.0", 8)},
    header("x-n", string_match={"exact": "42"}), path(prefix="/users"),
    {"filter_state": {"key": "k", "string_match": {"exact": "v"}}},
    {"and_ids": {"ids": [name(exact=CUSTOMER), header("x-n", present_match=True)]}},
    {"or_ids": {"ids": [name(exact=CUSTOMER), {"remote_ip": cidr("10.1.0.0", 16)}]}},
    {"and_ids": {"ids": [{"not_id": name(exact=USERS)}, ANY]}},
    {"custom": extension("envoy.extensions.rbac.principals.mtls_authenticated.v3.Config",
                         any_validated_client_certificate=True)},
    {"custom": extension("envoy.extensions.rbac.principals.mtls_authenticated.v3.Config", san_matcher={
        "san_type": "URI", "matcher": {"exact": CUSTOMER}})},
    name(safe_regex={"regex": ".+"}),
]


def action(named, what):
    return {"action": extension("envoy.config.rbac.v3.Action", name=named, action=what)}


def single(kind, **fields):
    of = dict(itertools.islice(fields.items(), len(fields) - 1))
    return {"single_predicate": {"input": extension(kind, **of), "value_match": fields["value"]}}


def listed(*pairs, otherwise=None):
    made = {"matcher_list": {"matchers": [{"predicate": predicate, "on_match": then} for predicate, then in pairs]}}
    return {"matcher": made | ({"on_no_match": otherwise} if otherwise else {})}


HEADER, URI = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput"
NETWORK = "envoy.extensions.matching.common_inputs.network.v3."
GET = single(HEADER, header_name=":method", value={"exact": "GET"})
SEVEN = single(HEADER, header_name=":path", value={"prefix": "/users/7"})

MATCHERS = [
    listed((GET, action("get", "ALLOW"))), listed((GET, action("get", "DENY")), otherwise=action("else", "ALLOW")),
    listed((GET, action("get", "LOG")), otherwise=action("else", "ALLOW")),
    listed(({"and_matcher": {"predicate": [GET, SEVEN]}}, action("both", "ALLOW"))),
    listed(({"or_matcher": {"predicate": [GET, SEVEN]}}, action("either", "ALLOW"))),
    listed(({"not_matcher": GET}, action("not", "ALLOW"))),
    listed((single(URI, value={"exact": CUSTOMER}), action("customer", "ALLOW"))),
    listed((single(NETWORK + "DirectSourceIPInput", value={"prefix": "127."}), action("local", "ALLOW"))),
    listed((single(NETWORK + "ServerNameInput", value={"exact": "users.mesh"}), action("sni", "ALLOW"))),
    listed((GET, {"matcher": listed((SEVEN, action("deep", "ALLOW")))["matcher"]}), (GET, action("next", "DENY"))),
    {"matcher": {"matcher_tree": {
        "input": extension(HEADER, header_name=":method"),
        "exact_match_map": {"map": {"GET": action("get", "ALLOW"), "POST": action("post", "DENY")}}},
        "on_no_match": action("else", "ALLOW")}},
    {"matcher": {"matcher_tree": {
        "input": extension(HEADER, header_name=":path"),
        "prefix_match_map": {"map": {"/": action("root", "DENY"), "/users": action("users", "ALLOW")}}}}},
]


def cases():
    """(name, RBAC); names are hosts too."""
    for i, permission in enumerate(PERMISSIONS):
        yield f"p{i}", rules(permission)
        yield f"np{i}", rules({"not_rule": permission}, action="DENY")
    for i, principal in enumerate(PRINCIPALS):
        yield f"i{i}", rules(principal=principal)
        yield f"di{i}", rules(principal=principal, action="DENY")
        yield f"ni{i}", rules(principal={"not_id": principal})
        yield f"dni{i}", rules(principal={"not_id": principal}, action="DENY")
    for i, matcher in enumerate(MATCHERS):
        yield f"m{i}", matcher
    yield "empty", {"rules": {}}
    yield "emptydeny", {"rules": {"action": "DENY"}}
    yield "emptymatcher", {"matcher": {}}
    yield "nothing", {}
    yield "log", rules(path(prefix="/users"), action="LOG", policy="to be logged")
    yield "deny", rules(path(prefix="/users"), action="DENY", policy="no users here")
    yield "shadow", {"shadow_rules": rules(path(prefix="/users"))["rules"], "shadow_rules_stat_prefix": "dry_"}
    yield "both", rules(path(prefix="/users")) | {
        "shadow_rules": rules(path(prefix="/users"), action="DENY", policy="q")["rules"], "track_per_rule_stats": True}
    yield "order", {"rules": {"action": "DENY", "policies": {
        each: {"permissions": [ANY], "principals": [ANY]} for each in ("b", "a", "B", "10", "9")}}}


REQUESTS = [
    ("GET", "/users/7?x=/admin", ["X-A: 1", "X-A: 2", "X-N: 42", "X-Forwarded-For: 10.1.2.3"]),
    ("POST", "/users/", ["X-A: 1,2", "X-Empty:"]),
    ("GET", "/admin/../users/7", ["X-A: 2"]),
    ("DELETE", "/admin%2e/7", ["X-N: 043"]),
    ("GET", "/USERS/7", []),
    ("OPTIONS", "/", ["X-N: x"]),
]

LOG = {"n": "%REQ(X-ID)%", "status": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%",
       "flags": "%RESPONSE_FLAGS%", "rbac": "%DYNAMIC_METADATA(envoy.filters.http.rbac)%",
       "hint": "%DYNAMIC_METADATA(envoy.common:access_log_hint)%"}


def logs(fields):
    return [{"name": "envoy.access_loggers.file", "typed_config": {
        "@type": TYPE + "access_loggers.file.v3.FileAccessLog", "path": "access.log",
        "log_format": {"json_format": fields}}}]


def http_listener(title, port, tls):
    hosts = [{"name": case, "domains": [case], "routes": [
        {"match": {"prefix": ""}, "direct_response": {"status": 200}}],
        "typed_per_filter_config": {"rbac": {"@type": TYPE + "filters.http.rbac.v3.RBACPerRoute", "rbac": rbac}}}
        for case, rbac in cases()]
    # Without the inspector Envoy has no server name, though it has shaken hands by it.
    inspector = {"listener_filters": [{"name": "tls", "typed_config": {
        "@type": TYPE + "filters.listener.tls_inspector.v3.TlsInspector"}}]}
    return envoy.http(title, port, hosts=hosts, log=False, access_log=logs(LOG), tls=tls, normalize_path=True,
                      listener=inspector,
                      http_filters=[
                          {"name": "rbac", "typed_config": {"@type": TYPE + "filters.http.rbac.v3.RBAC"}},
                          {"name": "router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}])


TCP_LOG = {"details": "%CONNECTION_TERMINATION_DETAILS%", "flags": "%RESPONSE_FLAGS%", "local": "%DOWNSTREAM_LOCAL_PORT%"}

# Of connections: name, RBAC.
TCP_CASES = [
    ("allows", rules(principal={"direct_remote_ip": cidr("127.0.0.0", 8)})),
    ("denies", rules(principal={"direct_remote_ip": cidr("10.0.0.0", 8)})),
    ("names", rules(principal={"direct_remote_ip": cidr("127.0.0.0", 8)}, action="DENY", policy="a b")),
    ("delays", rules(principal={"direct_remote_ip": cidr("10.0.0.0", 8)}) | {"delay_deny": "0.3s"}),
    ("dry", {"shadow_rules": {}, "shadow_rules_stat_prefix": "dry_"}),
]


def tcp_listener(title, port, rbac):
    made = envoy.tcp(title, port, log=False, access_log=logs(TCP_LOG))
    made["filter_chains"][0]["filters"].insert(0, {"name": "rbac", "typed_config": {
        "@type": TYPE + "filters.network.rbac.v3.RBAC", "stat_prefix": f"{title}."} | rbac})
    return made


def bootstrap(ports, origin, certificates):
    optional = envoy.tls_server(certificates, require=False)
    trusting = envoy.tls_server(certificates, require=False)
    validation = trusting["typed_config"]["common_tls_context"]["validation_context"]
    validation["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
    listeners = [http_listener("plain", ports["plain"], None), http_listener("mtls", ports["mtls"], optional),
                 http_listener("untrusted", ports["untrusted"], trusting)]
    listeners += [tcp_listener(title, ports[title], rbac) for title, rbac in TCP_CASES]
    return envoy.bootstrap(listeners, [envoy.cluster(ports=[origin])])


# What Pillion decides otherwise, and why: (client: case, reason).
VERDICTS = [
    (r"(plain|nobody|untrusted): ni[1-6]", "a peer without a proven name could be the one that is excluded"),
    (r"(plain|nobody|untrusted): ni(15|16)", "the same below and_ids and or_ids"),
    (r"(plain|nobody|untrusted): i17", "the same: and_ids of a negated name"),
    (r"(plain|nobody|untrusted): ni19", "the same of a SAN"),
    (r"nobody: (i|di|ni|dni)(0|20)", "TLS without a certificate authenticates nobody"),
    (r"untrusted: (i|di|ni|dni)(0|[1-5]|15|16|17|20)", "a certificate that nobody verified names nobody"),
    (r"untrusted: m6", "a certificate that nobody verified names nobody"),
]
