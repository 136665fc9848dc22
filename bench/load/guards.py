"""Access control in front of the router: what it costs, RBAC and JSON Web Tokens.

A guard is a filter, which Envoy and Pillion read alike, requests that pass it, and requests that must not: before it is
measured a proxy shows that it tells them apart.  The base of a guard sends the same requests and has no filter.
"""

import functools
import http.client
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "support"))

import programs  # noqa: E402

TYPE = "type.googleapis.com/envoy.extensions.filters.http."
POLICIES = 1000
ISSUER, AUDIENCE = "https://issuer.example", "shop"
TOKENS, CACHED_TOKENS = 10000, 100

SCRIPT = """
local requests, count, turn = {}, 0, 0
function init()
  for line in io.lines('%s') do
    local name, value = line:match('^(.-): (.*)$')
    count = count + 1
    requests[count] = wrk.format('GET', nil, { [name] = value })
  end
end
function request()
  turn = turn %% count + 1
  return requests[turn]
end
"""


@dataclass
class Guard:
    headers: list                                # each request has the next of these (name, value)
    filters: str = ""                            # JSON, in front of the router's
    refused: list = field(default_factory=list)  # (path, headers, status)


def service(number):
    return f"/service/{number:04}/users"


def client(number):
    return "x-client", f"client-{number:04}"


LAST = service(POLICIES - 1)  # the path of the policy that is found last


def rbac(how=None):
    """Policies that allow one client one path each, as a control plane writes them for a large mesh; the last one, by
    name, matches.  `how` texts are compared (None: no filter): exact ones can be found by a hash, prefixes cannot."""
    last = [client(POLICIES - 1)]
    if how is None:
        return Guard(last)
    match = lambda name, value: {"header": {"name": name, "string_match": value}}
    policies = {f"p{number:04}": {
        "permissions": [{"and_rules": {"rules": [match(":method", {"exact": "GET"}),
                                                 {"url_path": {"path": {how: service(number)}}}]}}],
        "principals": [match(client(number)[0], {how: client(number)[1]})]} for number in range(POLICIES)}
    others = [(service(POLICIES - 2), last), (LAST, [client(POLICIES - 2)]), (LAST, []), ("/", last)]
    return Guard(last, one_filter("rbac", "rbac.v3.RBAC", rules={"policies": policies}),
                 [(path, headers, 403) for path, headers in others])


@functools.cache
def issue():
    """({kid: JWK}, {name: token}) of ES256: as many good tokens as are needed, "0" and on, and bad ones."""
    now = int(time.time())
    claims = lambda number, **more: json.dumps({
        "iss": ISSUER, "sub": f"user-{number}", "aud": AUDIENCE, "iat": now, "exp": now + 86400,
        "scope": "users.read users.write orders.read", "email": f"user-{number}@shop.example"} | more)
    tokens = {str(number): {"key": "good", "payload": claims(number)} for number in range(TOKENS)}
    tokens["of another key"] = {"key": "other", "payload": claims(0)}
    tokens["expired"] = {"key": "good", "payload": claims(0, exp=now - 3600)}
    tokens["for others"] = {"key": "good", "payload": claims(0, aud="bank")}
    order = {"keys": {"good": ["ES256", "key"], "other": ["ES256", "key"]}, "tokens": tokens}
    try:
        made = subprocess.run([programs.find_jwt_python(), os.path.join(programs.INTEROP, "jwt_issuer.py")], text=True,
                              input=json.dumps(order), capture_output=True, check=True, timeout=120)
    except AssertionError as missing:
        raise RuntimeError(missing) from None
    made = json.loads(made.stdout)
    return made["jwks"], made["tokens"]


def jwt(is_checked, **options):
    jwks, tokens = issue()
    bearer = lambda token: ("authorization", f"Bearer {token}")
    good = [bearer(tokens[str(number)]) for number in range(CACHED_TOKENS if options else TOKENS)]
    if not is_checked:
        return Guard(good)
    # Forwarded, so that what reaches the upstream is the base's.
    provider = {"issuer": ISSUER, "audiences": [AUDIENCE], "forward": True,
                "local_jwks": {"inline_string": json.dumps({"keys": [jwks["good"]]})}} | options
    text = tokens["0"]
    changed = text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:]
    bad = [([], 401), ([bearer(changed)], 401), ([bearer(tokens["of another key"])], 401),
           ([bearer(tokens["expired"])], 401), ([bearer(tokens["for others"])], 403)]
    return Guard(good, one_filter("jwt", "jwt_authn.v3.JwtAuthentication", providers={"issuer": provider},
                                  rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}]),
                 [("/b/1024", headers, status) for headers, status in bad])


def one_filter(name, message, **fields):
    return json.dumps({"name": name, "typed_config": {"@type": TYPE + message} | fields}) + ", "


ALL = {
    "rbac-none": rbac,
    "rbac-exact": lambda: rbac("exact"),
    "rbac-prefix": lambda: rbac("prefix"),
    "jwt-none": lambda: jwt(False),
    "jwt": lambda: jwt(True),
    "jwt-cached": lambda: jwt(True, jwt_cache_config={"jwt_cache_size": 1000}),
}


def check(guard, port, path):
    """Whoever may pass does, again too, when a cache may answer; whoever may not is refused."""
    passing = [(path, [header], 200) for header in guard.headers[:20]]
    for path, headers, wanted in passing + passing + guard.refused:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers=dict(headers))
        status = connection.getresponse().status
        connection.close()
        if status != wanted:
            raise RuntimeError(f"answers {status} and not {wanted} to GET {path} with {[name for name, _ in headers] or 'no header'}")


def script(guard, file):
    """For wrk: each request has the next header of the guard; they stand in `file`, a line each."""
    with open(file, "w") as lines:
        lines.writelines(f"{name}: {value}\n" for name, value in guard.headers)
    return SCRIPT % file
