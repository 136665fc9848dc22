#!/usr/bin/env python3
"""The same CORS policies and the same requests, to Envoy and to Pillion: the same answers and counters."""

import itertools
import unittest

import envoy_config as envoy
from envoy_parity import access_log, ask
from envoy_side import EnvoySide, PillionSide, differences
from peers import reply

TYPE = envoy.TYPE
FILTERS = [{"name": "cors", "typed_config": {"@type": TYPE + "filters.http.cors.v3.Cors"}},
           {"name": "router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}]


def origins(*exact):
    return {"allow_origin_string_match": [{"exact": each} for each in exact]}


def share(of, percent):
    return {of: {"default_value": {"numerator": percent}}}


POLICIES = {
    "plain": origins("https://a"), "any": origins("*"), "none": {},
    "all": origins("https://a", "https://b") | {
        "allow_methods": "GET, PUT", "allow_headers": "x-a, x-b", "expose_headers": "x-e", "max_age": "60",
        "allow_credentials": True, "allow_private_network_access": True},
    "stars": origins("*") | {"allow_methods": "*", "allow_headers": "*"},
    "stays": origins("https://a") | {"forward_not_matching_preflights": False},
    "off": origins("https://a") | share("filter_enabled", 0),
    "shadow": origins("https://a") | share("filter_enabled", 0) | share("shadow_enabled", 100),
    "regex": {"allow_origin_string_match": [{"safe_regex": {"regex": "https://[ab]"}}, {"suffix": ".c"}]},
    "no credentials": {"allow_credentials": False},
}


def policy(fields):
    return {"typed_per_filter_config": {"cors": {"@type": TYPE + "filters.http.cors.v3.CorsPolicy"} | fields}}


def bootstrap(ports, origin, _):
    routes = [envoy.route(prefix=f"/{name.replace(' ', '-')}/") for name in POLICIES]
    for route, fields in zip(routes, POLICIES.values()):
        route |= policy(fields)
    bare = [envoy.route(prefix="/bare/"), {"match": {"prefix": "/direct/"}, "direct_response": {"status": 200}}]
    host = {"name": "h", "domains": ["h"], "routes": routes + bare} | policy(
        origins("https://host") | {"allow_methods": "HOST", "max_age": "5", "allow_credentials": True})
    alone = {"name": "a", "domains": ["*"], "routes": routes + bare}
    listener = envoy.http("cors", ports["cors"], hosts=[host, alone], log=False, access_log=access_log(),
                          http_filters=FILTERS)
    return envoy.bootstrap([listener], [envoy.cluster(ports=[origin])])


def serve(peer, _request, _attempt):
    peer.send(reply(b"origin", "Access-Control-Allow-Origin: https://upstream", "X-E: 1"))
    return True


ASKED = ["Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a",
         "Access-Control-Request-Private-Network: true"]
REQUESTS = [(f"{method} {host} {path} {origin} {len(asked)}", ask(
    f"/{path}/x", *([f"Origin: {origin}"] if origin else []), *asked, method=method, host=host))
    for method, host, path, origin, asked in itertools.product(
        ("GET", "OPTIONS"), ("a", "h"), [*(name.replace(" ", "-") for name in POLICIES), "bare", "direct"],
        ("", "https://a", "https://host", "https://x.c"), ([], ASKED)) if method == "OPTIONS" or not asked]


class Cors(unittest.TestCase):
    maxDiff = None

    def test_answers_and_counters_are_the_same(self):
        sides = [kind(self, ("cors",), bootstrap, serve) for kind in (EnvoySide, PillionSide)]
        self.assertGreater(len(REQUESTS), 200)
        for name, data in REQUESTS:
            theirs, ours = (side.run("cors", data) for side in sides)
            for aspect, mine, its in differences(name, ours, theirs):
                # What else a request leaves behind is envoy_parity_test.py's.
                if not aspect.endswith(("answer", "log: details", "log: flags")):
                    continue
                with self.subTest(aspect):
                    self.assertEqual(mine, its)
        # Bytes: x-envoy-upstream-service-time has as many digits as the time that it took.
        theirs, ours = ({key: value for key, value in side.counters().items()
                         if ".cors." in key and not key.endswith("_bytes_total")} for side in sides)
        self.assertEqual(theirs, ours)


if __name__ == "__main__":
    unittest.main()
