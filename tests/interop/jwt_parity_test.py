#!/usr/bin/env python3
"""The same jwt_authn configuration and the same tokens, to Envoy and to Pillion: the same verdicts, reasons, and the
same request at the origin.

What differs on purpose stands in DIFFERENCES, with the reason; everything else must be equal.  PARITY_SHOW=1 prints
all differences.
"""

import os
import unittest

import jwt_parity as parity
from envoy_side import EnvoySide, PillionSide, compare
from peers import reply

DIFFERENCES = [
    (r"/missing with p and r \| .*", "two tokens under allow_missing, one of them bad: with Envoy the one that is looked at "
                                     "last decides, and the application may read the other"),
    (r"behind the prefix token  \| .*", "a scheme has no case (RFC 9110, 11.1): Envoy does not see the token, which hides a "
                                        "bad one from it where none need be there"),
    (r"/(and|nested) with r \| .*", "of two that are asked for one is missing and one is bad: Envoy says that one is missing, "
                                    "and where that is allowed a bad one passes"),
    (r'the claim "exp":0 \| .*', "a token that expired in 1970 is expired; Envoy takes 0 for no expiration"),
]
# Good tokens in spellings that Envoy does not know.
SEEN_BY_US_ALONE = ("behind the prefix token ",)
OF_THE_ORIGIN = ("authorization", "x-")


def serve(peer, _request, _attempt):
    peer.send(reply(b"origin"))
    return True


def verdict(found):
    """Status, body and challenge; what the origin saw of tokens and claims; the details in the log."""
    status, *rest = found["answer"]
    fields = dict(each for each in rest if len(each) == 2)
    result = {"status": status, "body": fields.get("body"), "challenge": fields.get("www-authenticate"),
              "details": found.get("log: details")}
    if "request 0" in found:
        line, *rest = found["request 0"]
        result["line"] = line
        for name, value in (each for each in rest if len(each) == 2):
            if name.startswith(OF_THE_ORIGIN) and not name.startswith(("x-request-id", "x-envoy", "x-forwarded")):
                result[f"header {name}"] = result.get(f"header {name}", []) + [value]
    return result


class JwtParity(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        issuer = parity.Issuer()
        cases = list(parity.cases(issuer))
        made = issuer.issue()
        what = (("jwt",), parity.bootstrap(made["jwks"]), serve)
        sides = [EnvoySide(cls, *what), PillionSide(cls, *what)]
        cls.counters = [side.counters for side in sides]
        cls.results = {}
        for case in cases:
            data = parity.request(*case, made["tokens"])
            cls.results[case[0]] = [verdict(side.run("jwt", data)) for side in sides]

    def test_each_request_has_the_same_verdict(self):
        self.assertGreater(len(self.results), 150)
        found = []
        for what, (theirs, ours) in self.results.items():
            for aspect in sorted(theirs.keys() | ours.keys()):
                if theirs.get(aspect) != ours.get(aspect):
                    found.append((f"{what} | {aspect}", ours.get(aspect), theirs.get(aspect)))
                    if os.environ.get("PARITY_SHOW"):
                        print(f"{what} | {aspect}\n   envoy   {theirs.get(aspect)}\n   pillion {ours.get(aspect)}")
        needed = compare(self, found, DIFFERENCES)
        self.assertEqual({pattern for pattern, _ in DIFFERENCES} - needed, set())

    def test_nothing_that_envoy_refuses_passes(self):
        for what, (theirs, ours) in self.results.items():
            if what in SEEN_BY_US_ALONE:
                continue
            with self.subTest(what):
                self.assertFalse(theirs["status"] != 200 and ours["status"] == 200)


if __name__ == "__main__":
    unittest.main()
