#!/usr/bin/env python3
"""jwt_authn with keys of a remote issuer: fetched once for all workers, kept, refreshed, and waited for."""

import json
import threading
import time
import unittest

import envoy_config as envoy
import jwt_parity as parity
import sidecar
from peers import Upstream, connect, get, reply


class RemoteKeys(unittest.TestCase):
    def setUp(self):
        self.issuer = parity.Issuer()
        self.old, self.new = self.issuer.token({"iss": "i"}, "ES256"), self.issuer.token({"iss": "i"}, "EdDSA")
        self.made = self.issuer.issue()
        self.keys, self.status, self.asked = "ES256", "200 OK", 0
        self.open = threading.Event()
        self.open.set()

    def jwks(self):
        return json.dumps({"keys": [self.made["jwks"][self.keys]]}).encode()

    def start(self, **remote):
        def serve_keys(peer):
            while peer.read_request() is not None:
                self.asked += 1
                self.open.wait(30)
                peer.send(reply(self.jwks(), status=self.status))
        self.key_server = Upstream(self, serve_keys)

        def serve(peer):
            while peer.read_request() is not None:
                peer.send(reply())
        origin = Upstream(self, serve)
        port = sidecar.free_port()
        provider = {"issuer": "i", "remote_jwks": {
            "http_uri": {"uri": "http://issuer.example/keys", "cluster": "issuer", "timeout": "2s"}} | remote}
        jwt = {"name": "jwt", "typed_config": {"@type": parity.JWT + "JwtAuthentication", "providers": {"p": provider},
                                               "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}]}}
        self.sidecar = sidecar.start(self, envoy.bootstrap(
            [envoy.http("in", port, http_filters=[jwt, parity.ROUTER])],
            [envoy.cluster(ports=[origin.port]), envoy.cluster("issuer", [self.key_server.port])]),
            flags=["--concurrency", "2"])
        self.client = connect(self, port)

    def ask(self, token):
        return self.client.exchange(get("/", f"Authorization: Bearer {self.made['tokens'][token]}"))

    def verdict(self, token):
        answer = self.ask(token)
        return answer.status if answer.status == 200 else (answer.status, answer.body.decode())

    def test_keys_are_fetched_once_and_used_by_all_workers(self):
        self.start()
        sidecar.until("the keys", lambda: self.verdict(self.old) == 200)
        for _ in range(20):
            self.assertEqual(self.verdict(self.old), 200)
        self.assertEqual(self.asked, 1)
        self.assertEqual(self.sidecar.stats()["http.in.jwt_authn.jwks_fetch_success"], 1)

    def test_a_request_that_comes_before_the_keys_waits_for_them(self):
        self.open.clear()
        self.start()
        threading.Timer(0.5, self.open.set).start()
        begin = time.monotonic()
        self.assertEqual(self.verdict(self.old), 200)
        self.assertLess(time.monotonic() - begin, 1.9)

    def test_what_needs_no_keys_does_not_wait(self):
        self.open.clear()
        self.start()
        begin = time.monotonic()
        self.assertEqual(self.client.exchange(get("/")).body, b"Jwt is missing")
        self.assertLess(time.monotonic() - begin, 1)
        self.open.set()

    def test_keys_that_do_not_come_are_a_refusal(self):
        self.open.clear()
        self.start()
        self.assertEqual(self.verdict(self.old), (401, "Jwks remote fetch is failed"))
        self.open.set()

    def test_a_service_that_fails_is_asked_again_and_good_keys_stay(self):
        self.status = "503 Service Unavailable"
        self.start(cache_duration="0.3s", async_fetch={"failed_refetch_duration": "0.2s"})
        sidecar.until("a failure", lambda: self.asked > 0)
        self.assertEqual(self.verdict(self.old), (401, "Jwks remote fetch is failed"))
        self.status = "200 OK"
        sidecar.until("the keys", lambda: self.verdict(self.old) == 200)
        self.status = "503 Service Unavailable"
        asked = self.asked
        sidecar.until("more failures", lambda: self.asked > asked + 2)
        self.assertEqual(self.verdict(self.old), 200)

    def test_new_keys_take_the_place_of_old_ones(self):
        self.start(cache_duration="0.3s")
        sidecar.until("the keys", lambda: self.verdict(self.old) == 200)
        self.keys = "EdDSA"
        sidecar.until("the new keys", lambda: self.verdict(self.new) == 200)
        sidecar.until("all workers", lambda: self.verdict(self.old)[0] == 401 if self.verdict(self.old) != 200 else False)


if __name__ == "__main__":
    unittest.main()
