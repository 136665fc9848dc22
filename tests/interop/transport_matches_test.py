#!/usr/bin/env python3
"""Envoy and Pillion choose the same transport socket for the same metadata of endpoints and localities.

    SEED=7 CLUSTERS=500 ...      other clusters, more of them
"""

import http.client
import os
import random
import unittest

import envoy_config as envoy
import programs
import sidecar
from authority import USERS, Authority

SEED = int(os.environ.get("SEED", "1"))
CLUSTERS = int(os.environ.get("CLUSTERS") or (400 if programs.FULL else 120))
VALUES = ["istio", "", "1", 1, 1.5, 0, True, False, None, {}, {"x": 1, "y": [2]}, {"y": [2], "x": 1.0}, [1, 2], [2, 1]]
TLS_INSPECTOR = {"name": "envoy.filters.listener.tls_inspector", "typed_config": {
    "@type": envoy.TYPE + "filters.listener.tls_inspector.v3.TlsInspector"}}
RAW = {"name": "raw", "typed_config": {"@type": envoy.TYPE + "transport_sockets.raw_buffer.v3.RawBuffer"}}
CLEAR = "in clear"


def socket(name):
    """One that the server tells by its SNI."""
    return {"name": "tls", "typed_config": {
        "@type": envoy.TYPE + "transport_sockets.tls.v3.UpstreamTlsContext", "sni": name, "common_tls_context": {
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}}}}


class Clusters:
    def __init__(self, seed, port):
        self.random = random.Random(seed)
        self.all = [self.cluster(f"c{n}", port) for n in range(CLUSTERS)]

    def labels(self, most):
        keys = self.random.sample(["a", "b", "c"], self.random.randrange(most + 1))
        return {key: self.random.choice(VALUES[:4] if self.random.random() < 0.7 else VALUES) for key in keys}

    def metadata(self):
        kind = self.random.random()
        if kind < 0.15:
            return {}
        found = {"other": {"a": "istio"}}
        if kind > 0.3:
            found["envoy.transport_socket_match"] = self.labels(3)
        return {"metadata": {"filter_metadata": found}}

    def cluster(self, name, port):
        made = envoy.cluster(name)
        endpoint = {"endpoint": {"address": sidecar.address(port)}} | self.metadata()
        made["load_assignment"]["endpoints"] = [{"lb_endpoints": [endpoint]} | self.metadata()]
        made["transport_socket_matches"] = [
            {"name": f"m{n}", "match": self.labels(2),
             "transport_socket": RAW if self.random.random() < 0.2 else socket(f"m{n}.test")}
            for n in range(self.random.randrange(4))]
        if self.random.random() < 0.5:
            made["transport_socket"] = socket("usual.test")
        return made


class TransportMatches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.users = cls.ca.issue(USERS)

    def start_server(self):
        """Answers with the SNI, or that there was no TLS."""
        port = sidecar.free_port()

        def chain(text, **more):
            routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}, "response_headers_to_add": [
                {"header": {"key": "x-socket", "value": text}}]}]
            return envoy.http("in", port, routes, log=False, **more)

        secure = chain("%REQUESTED_SERVER_NAME%", tls=envoy.tls_server(self.users, require=False))
        plain = chain(CLEAR)
        chains = secure["filter_chains"] + plain["filter_chains"]
        for made, kind in zip(chains, ("tls", "raw_buffer")):
            made["filter_chain_match"] = {"transport_protocol": kind}
        sidecar.start(self, envoy.bootstrap([secure | {"filter_chains": chains, "listener_filters": [TLS_INSPECTOR]}], []))
        return port

    def chosen(self, port, names):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=sidecar.DEADLINE)
        out = {}
        for name in names:
            client.request("GET", f"/{name}/")
            answer = client.getresponse()
            body = answer.read().decode()
            out[name] = (answer.status, answer.headers["x-socket"], body)
        client.close()
        return out

    def test_each_endpoint_is_called_over_the_same_socket_by_both(self):
        clusters = Clusters(SEED, self.start_server()).all
        names = [each["name"] for each in clusters]
        found = []
        for start in (self.start_pillion, self.start_envoy):
            port = sidecar.free_port()
            start(envoy.bootstrap([envoy.http(
                "out", port, [envoy.route(name, f"/{name}/") for name in names], log=False)], clusters), port)
            found.append(self.chosen(port, names))
        ours, theirs = found
        for each in clusters:
            self.assertEqual(ours[each["name"]], theirs[each["name"]], f"SEED={SEED} {each}")
        kinds = {kind for _, kind, _ in ours.values()}
        self.assertLessEqual({CLEAR, "usual.test", "m0.test", "m1.test", "m2.test"}, kinds)
        print(f"{CLUSTERS} clusters alike, sockets {sorted(kinds)}", flush=True)

    def start_pillion(self, config, _):
        sidecar.start(self, config)

    def start_envoy(self, config, port):
        admin = {"address": sidecar.address(sidecar.free_port())}
        programs.envoy(self, {"admin": admin} | config, port)


if __name__ == "__main__":
    unittest.main()
