"""What jwt_parity_test.py gives to Envoy and to Pillion: one configuration of jwt_authn, and requests with tokens of
an issuer on PyPI's pyjwt."""

import base64
import json
import subprocess
import time

import envoy_config as envoy
import programs
from envoy_parity import access_log
from peers import get

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
JWT = envoy.TYPE + "filters.http.jwt_authn.v3."
ROUTER = {"name": "envoy.filters.http.router", "typed_config": {"@type": envoy.TYPE + "filters.http.router.v3.Router"}}
NOW = int(time.time())


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


class Issuer:
    """Collects what is to be signed; issue() signs it all at once."""

    def __init__(self):
        self.order = {"keys": {alg: [alg, alg.lower()] for alg in ALGORITHMS}, "tokens": {}}
        self.order["keys"] |= {"other": ["ES256", "es256"], "nameless": ["ES256", None]}

    def token(self, payload, key="ES256", **header):
        text = payload if isinstance(payload, str) else json.dumps(payload)
        name = json.dumps([text, key, header])
        self.order["tokens"][name] = {"key": key, "payload": text, "header": header}
        return name

    def issue(self):
        made = subprocess.run([programs.find_jwt_python(), f"{programs.INTEROP}/jwt_issuer.py"], text=True,
                              input=json.dumps(self.order), capture_output=True, check=True, timeout=60)
        return json.loads(made.stdout)


def provider(issuer, jwks, names=ALGORITHMS, **more):
    keys = [jwks[name] for name in names]
    return ({"issuer": issuer} if issuer else {}) | {
        "local_jwks": {"inline_string": json.dumps({"keys": keys})}, "forward": True} | more


def providers(jwks):
    claims = [{"header_name": f"x-{name}", "claim_name": name} for name in
              ("sub", "number", "float", "negative", "yes", "list", "deep.er.name", "absent")]
    places = {"from_headers": [{"name": "x-token"}, {"name": "x-prefixed", "value_prefix": "Token "}],
              "from_params": ["t", "u"], "from_cookies": ["c"]}
    return {
        "ann": provider("ann", jwks, claim_to_headers=claims, forward_payload_header="x-payload"),
        "aud": provider("aud", jwks, audiences=["one.example", "https://two.example/"]),
        "sub": provider("sub", jwks, subjects={"prefix": "good"}),
        "life": provider("life", jwks, max_lifetime="3600s"),
        "exp": provider("exp", jwks, require_expiration=True),
        "skew": provider("skew", jwks, clock_skew_seconds=5),
        "places": provider("places", jwks, **places),
        "any": provider("", jwks, from_headers=[{"name": "x-any"}]),
        "p": provider("p", jwks, from_headers=[{"name": "x-p"}]),
        "q": provider("q", jwks, from_headers=[{"name": "x-q"}], audiences=["q"]),
        "nameless": provider("nameless", jwks, ["nameless"], from_headers=[{"name": "x-nameless"}]),
        "drop": provider("drop", jwks, forward=False, from_headers=[{"name": "x-drop"}, {"name": "authorization",
                                                                                    "value_prefix": "Bearer "}],
                         from_params=["drop"], pad_forward_payload_header=True, forward_payload_header="x-payload"),
        "cached": provider("cached", jwks, jwt_cache_config={"jwt_cache_size": 5}, from_headers=[{"name": "x-cached"}]),
    }


def name(provider_name):
    return {"provider_name": provider_name}


def any_of(*requirements):
    return {"requires_any": {"requirements": list(requirements)}}


def all_of(*requirements):
    return {"requires_all": {"requirements": list(requirements)}}


MISSING, FAILED = {"allow_missing": {}}, {"allow_missing_or_failed": {}}
RULES = {
    **{f"/{each}": name(each) for each in ("ann", "aud", "sub", "life", "exp", "skew", "places", "any", "nameless",
                                           "drop", "cached")},
    "/or": any_of(name("p"), name("q")), "/and": all_of(name("p"), name("q")),
    "/optional": any_of(name("p"), MISSING), "/lax": any_of(name("p"), FAILED),
    "/nested": all_of(name("p"), any_of(name("q"), MISSING)),
    "/missing": MISSING, "/failed": FAILED,
    "/role": {"provider_and_audiences": {"provider_name": "q", "audiences": ["r"]}},
}


def bootstrap(jwks):
    """For EnvoySide and PillionSide."""
    def configuration(ports, origin, _closed):
        filters = [{"name": "jwt", "typed_config": {
            "@type": JWT + "JwtAuthentication", "providers": providers(jwks), "bypass_cors_preflight": True,
            "requirement_map": {"need": name("p"), "lax": MISSING},
            "rules": [{"match": {"prefix": path}, "requires": what} for path, what in RULES.items()]}}, ROUTER]
        routes = [envoy.route(prefix="/route/off") | {"typed_per_filter_config": {"jwt": {
            "@type": JWT + "PerRouteConfig", "disabled": True}}}]
        routes += [envoy.route(prefix=f"/route/{each}") | {"typed_per_filter_config": {"jwt": {
            "@type": JWT + "PerRouteConfig", "requirement_name": each}}} for each in ("need", "lax", "none")]
        listener = envoy.http("jwt", ports["jwt"], [*routes, envoy.route()], http_filters=filters, log=False,
                              access_log=access_log())
        return envoy.bootstrap([listener], [envoy.cluster("app", [origin])])
    return configuration


def cases(issuer):
    """(what, path, [(header, name of a token or text)]); a path may have {token}."""
    t = issuer.token
    later, past = NOW + 3000, NOW - 3000

    def bearer(what, path, token):
        return what, path, [("Authorization", "Bearer ", token)]

    for alg in ALGORITHMS:
        yield bearer(f"{alg}", "/ann", t({"iss": "ann", "exp": later}, alg))
        yield bearer(f"{alg} without kid", "/ann", t({"iss": "ann"}, alg, kid=None))
        yield bearer(f"{alg} with an unknown kid", "/ann", t({"iss": "ann"}, alg, kid="x"))
        yield bearer(f"{alg} with the kid of another", "/ann", t(
            {"iss": "ann"}, alg, kid="rs256" if alg != "RS256" else "es256"))
        yield f"{alg} changed", "/ann", [("Authorization", "Bearer ", t({"iss": "ann", "a": 1}, alg), "change")]
        yield f"{alg} cut", "/ann", [("Authorization", "Bearer ", t({"iss": "ann", "a": 2}, alg), "cut")]
    yield bearer("signed by another", "/ann", t({"iss": "ann"}, "other"))
    yield bearer("an expired one signed by another", "/ann", t({"iss": "ann", "exp": past}, "other"))
    good = t({"iss": "ann", "sub": "s", "number": 42, "float": 1.5, "negative": -3, "yes": True, "list": [1, 2],
              "deep": {"er": {"name": "deep"}}})
    yield "claims become headers", "/ann", [("Authorization", "Bearer ", good), ("X-Sub", "forged"),
                                            ("X-Absent", "forged"), ("X-Payload", "forged")]
    for text in ("x", "a.b", "a.b.c", "a.b.c.d", "..", "", "e30.e30.e30", f"{b64('{')}.e30.x", f"{b64('[]')}.e30.x",
                 *(f"{b64(json.dumps(header))}.{b64('{}')}.x" for header in (
                     {}, {"alg": 1}, {"alg": "none"}, {"alg": "ES256", "kid": 1}, {"alg": "ES999"}, {"alg": None})),
                 f"{b64('{' + chr(34) + 'alg' + chr(34) + ':' + chr(34) + 'ES256' + chr(34) + '}')}.!.x"):
        yield f"the text {text}", "/ann", [("Authorization", "Bearer ", None, text)]
    for payload in ("{", "[]", "1", '{"iss":1}', '{"iss":"ann","sub":1}', '{"iss":"ann","jti":1}', '{"iss":"ann","aud":1}',
                    '{"iss":"ann","aud":["a",1]}', '{"iss":"ann","aud":{}}', '{"iss":"ann","iat":"x"}',
                    '{"iss":"ann","iat":-1}', '{"iss":"bob"}', "{}", '{"iss":"ann","a":[[[[[[[[[[1]]]]]]]]]]}'):
        yield bearer(f"the payload {payload}", "/ann", t(payload))
    for claim in (f'"exp":{later}', f'"exp":{past}', f'"exp":{NOW - 30}', f'"exp":{NOW - 90}', f'"exp":{past}.5',
                  '"exp":1e3', '"exp":1e15', '"exp":1e30', '"exp":-1', '"exp":-0.5', '"exp":"1"', '"exp":true', '"exp":[]',
                  f'"nbf":{past}', f'"nbf":{later}', f'"nbf":{NOW + 30}', '"nbf":1e19', '"nbf":-1', '"nbf":"x"',
                  '"iat":99999999999', f'"exp":{past},"nbf":{later}', '"exp":0', '"exp":null', '"exp":1e999'):
        yield bearer(f"the claim {claim}", "/ann", t('{"iss":"ann",' + claim + "}"))
        if NOW - 90 > 0 and "30" in claim:
            yield bearer(f"little skew, the claim {claim}", "/skew", t('{"iss":"skew",' + claim + "}"))
    for audience in ("one.example", "http://one.example", "https://one.example/", "two.example", "http://two.example",
                     "three", "", ["three", "two.example/"], [], ["three"], None):
        payload = {"iss": "aud"} | ({} if audience is None else {"aud": audience})
        yield bearer(f"the audience {audience}", "/aud", t(payload))
    for subject in ("good", "good-1", "bad", None):
        yield bearer(f"the subject {subject}", "/sub", t({"iss": "sub"} | ({"sub": subject} if subject else {})))
    for path in ("life", "exp"):
        for exp in (NOW + 1000, NOW + 5000, NOW - 30, None):
            yield bearer(f"{path}: exp {exp and exp - NOW}", f"/{path}", t({"iss": path} | ({"exp": exp} if exp else {})))
    placed = t({"iss": "places"})
    yield "in a header", "/places", [("X-Token", "", placed)]
    for prefix in ("Token ", "Token  ", "token ", "x Token ", "Token \"", "Token"):
        yield f"behind the prefix {prefix}", "/places", [("X-Prefixed", prefix, placed)]
    for path in ("?t={token}", "?a=b&t={token}&c=d", "?%74={token}", "?T={token}", "?u={token}", "?t=", "?t"):
        yield f"in the query {path}", "/places" + path, [(None, "", placed)]
    for cookie in ("c=", "a=b; c=", "C=", "cc=", 'c="'):
        yield f"in the cookie {cookie}", "/places", [("Cookie", cookie, placed)]
    expired = t({"iss": "places", "exp": past})
    yield "two headers, one bad", "/places", [("X-Token", "", placed), ("X-Token", "", expired)]
    yield "two headers, the first bad", "/places", [("X-Token", "", expired), ("X-Token", "", placed)]
    yield "a good header and a bad parameter", "/places?t={token}", [("X-Token", "", placed), (None, "", expired)]
    yield "none where one may be", "/places", [("Authorization", "Bearer ", placed)]
    dropped = t({"iss": "drop"})
    for path, place in (("/drop", ("X-Drop", "", dropped)), ("/drop", ("Authorization", "Bearer ", dropped)),
                        ("/drop?drop={token}", (None, "", dropped)), ("/drop?a=b&drop={token}&c=d", (None, "", dropped))):
        yield f"taken away {path} {place[0]}", path, [place]
    yield "any issuer", "/any", [("X-Any", "", t({"iss": "whoever"}))]
    yield "no issuer", "/any", [("X-Any", "", t({}))]
    yield "a key without a name", "/nameless", [("X-Nameless", "", t({"iss": "nameless"}, "nameless"))]
    yield "a kid, and a key without a name", "/nameless", [("X-Nameless", "", t({"iss": "nameless"}, "nameless", kid="z"))]
    for turn in (1, 2, 3):
        yield f"cached {turn}", "/cached", [("X-Cached", "", t({"iss": "cached"}))]
    tokens = {"p": t({"iss": "p"}), "q": t({"iss": "q", "aud": "q"}), "r": t({"iss": "q", "aud": "r"}),
              "old p": t({"iss": "p", "exp": past}), "forged p": t({"iss": "p"}, "other"), "foreign": t({"iss": "q2"})}
    held = {"nothing": [], "p": ["p"], "q": ["q"], "p and q": ["p", "q"], "p and r": ["p", "r"], "r": ["r"],
            "old p": ["old p"], "old p and q": ["old p", "q"], "forged p": ["forged p"],
            "forged p and q": ["forged p", "q"], "foreign": ["foreign"], "foreign and q": ["foreign", "q"]}
    for path in ("/or", "/and", "/optional", "/lax", "/nested", "/missing", "/failed", "/role"):
        for what, names in held.items():
            yield f"{path} with {what}", path, [
                ("X-Q" if each in ("q", "r") else "X-P", "", tokens[each]) for each in names]
    for path in ("/route/off", "/route/need", "/route/lax", "/route/none", "/free", "/ann?a=b"):
        yield f"the route {path}", path, []
        yield f"the route {path} with p", path, [("X-P", "", tokens["p"])]
    yield "a preflight", "/ann", [("Origin", "", None, "http://b"), ("Access-Control-Request-Method", "", None, "GET")]


def request(what, path, fields, tokens):
    lines = []
    for field, prefix, *rest in ((each[0], "", None, each[1]) if len(each) == 2 else each for each in fields):
        token, how = rest[0], rest[1] if len(rest) > 1 else None
        value = tokens[token] if token else how
        if token and how == "change":
            value = value[:-10] + ("A" if value[-10] != "A" else "B") + value[-9:]
        elif token and how == "cut":
            value = value[:value.rfind(".") + 9]
        if field is None:
            path = path.replace("{token}", value)
        else:
            lines.append(f"{field}: {prefix}{value}")
    return get(path, *lines, host="a", method="OPTIONS" if what == "a preflight" else "GET")
