"""What xds_python_test.py lets a control plane say: random clusters and routes, and the requests that look at them.

One host takes part in each decision: clusters have one endpoint, and of weights one is not zero.
"""

import random

from control_plane import ADS
from envoy_config import HCM, TYPE
from xds_model import CLUSTER, ENDPOINTS, LISTENER, ROUTES, address

CLUSTERS = [f"c{n}" for n in range(6)]
ALWAYS = CLUSTERS[:3]
SEGMENTS = ["a", "b", "ab", "A", "x1", "items", "items-2"]
DOMAINS = ["a.test", "b.test", "*.b.test", "*.c.b.test", "*-x.test", "b.*", "d.test.*", "a.test:8080"]
HOSTS = ["a.test", "b.test", "x.b.test", "x.c.b.test", "c.b.test", "q-x.test", "b.example", "d.test.org", "other.test",
         "a.test:8080", "b.test:81"]
KEYS = ["x-k1", "x-k2", "x-n"]
VALUES = ["", "v", "value", "1", "7", "-3", "70", "Value", "v2,v3"]
QUERY = ["q", "page"]
MARK = "/mark-of-the-push"


class Push:
    """The state after one push."""

    def __init__(self, seed, number, origins):
        self.random = random.Random(f"{seed}/{number}")
        self.number, self.origins = number, origins
        self.table = f"r{self.random.randrange(3)}"
        self.clusters = {name: (self.random.random() < 0.6, self.random.randrange(origins)) for name in CLUSTERS
                         if name in ALWAYS or self.chance(0.7)}
        # Not those of an earlier push that are no more: Pillion keeps them while routes name them, Envoy does not.
        self.names = [*self.clusters, "never"]
        self.hosts = self._hosts()

    def pick(self, *choices):
        return self.random.choice(choices)

    def chance(self, share):
        return self.random.random() < share

    # ---- routes ----

    def path(self):
        return "/" + "/".join(self.random.choice(SEGMENTS) for _ in range(self.random.randrange(0, 4)))

    def prefix(self):
        """Not / alone, too often."""
        path = self.path()
        return path + "/" if path != "/" and self.chance(0.2) else path

    def match(self):
        kind = self.pick("prefix", "prefix", "path", "path_separated_prefix", "safe_regex")
        if kind == "safe_regex":
            match = {kind: {"regex": self.pick("/a/.*", "/[a-z]+", "/(items|x1)/?.*", ".*b", "/items-[0-9]/.*", "/.*")}}
        elif kind == "prefix":
            match = {kind: self.prefix()}
        else:
            match = {kind: self.path()}
            if match[kind] == "/":
                match[kind] = "/a"
        if kind != "safe_regex" and self.chance(0.2):
            match["case_sensitive"] = False
        if self.chance(0.35):
            match["headers"] = [self.header_match() for _ in range(self.pick(1, 1, 2))]
        if self.chance(0.2):
            match["query_parameters"] = [self.query_match()]
        return match

    def text_match(self):
        kind = self.pick("exact", "prefix", "suffix", "contains", "safe_regex")
        if kind == "safe_regex":
            return {kind: {"regex": self.pick("v.*", "[0-9]+", "v|value", ".*2.*")}}
        value = self.pick("v", "value", "1", "7", "Value", "ue", "al")
        return {kind: value} | ({"ignore_case": True} if self.chance(0.3) else {})

    def header_match(self):
        match = {"name": self.random.choice(KEYS)}
        kind = self.pick("string", "string", "string", "present", "range")
        if kind == "present":
            match["present_match"] = self.chance(0.7)
        elif kind == "range":
            match["range_match"] = {"start": -5, "end": 10}
        else:
            match["string_match"] = self.text_match()
        if self.chance(0.25):
            match["invert_match"] = True
        if self.chance(0.15):
            match["treat_missing_header_as_empty"] = True
        return match

    def query_match(self):
        match = {"name": self.random.choice(QUERY)}
        return match | ({"present_match": True} if self.chance(0.4) else {"string_match": self.text_match()})

    def mutations(self, share):
        """Of header fields; which level wrote one is told by its value."""
        out, level = {}, self.pick("one", "two", "three")
        if self.chance(share):
            out["request_headers_to_add"] = [self.field("x-add", level) for _ in range(self.pick(1, 2))]
        if self.chance(share):
            out["response_headers_to_add"] = [self.field("x-out", level)]
        if self.chance(share / 2):
            out["request_headers_to_remove"] = [self.random.choice(KEYS)]
        return out

    def field(self, name, value):
        action = self.pick("APPEND_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT")
        value = self.pick(value, value, "%PROTOCOL%", "%REQ(x-k1)%-" + value)
        return {"header": {"key": f"{name}-{self.pick(1, 2)}", "value": value}, "append_action": action}

    def action(self, match):
        kind = self.pick("route", "route", "route", "weights", "redirect", "direct", "header")
        if kind == "redirect":
            return {"redirect": self.redirect()}
        if kind == "direct":
            body = {} if self.chance(0.3) else {"body": {"inline_string": self.pick("one", "two")}}
            return {"direct_response": {"status": self.pick(200, 204, 403, 418, 503)} | body}
        route = {"cluster": self.random.choice(self.names)}
        if kind == "header":
            route = {"cluster_header": "x-cluster"}
        elif kind == "weights":
            names = self.random.sample(self.names, 3)
            route = {"weighted_clusters": {"clusters": [{"name": name, "weight": 0 if at else 100} | self.mutations(0.2)
                                                        for at, name in enumerate(names)]}}
        return {"route": route | self.rewrite(match)}

    def redirect(self):
        redirect = {self.pick("path_redirect", "prefix_rewrite"): self.pick("/new", "/new/a", "/n?x=1")}
        redirect |= self.pick({}, {"https_redirect": True}, {"scheme_redirect": "https"})
        redirect |= self.pick({}, {"host_redirect": "other.example"}, {"port_redirect": 8443})
        redirect |= self.pick({}, {"strip_query": True}, {"response_code": "TEMPORARY_REDIRECT"},
                              {"response_code": "PERMANENT_REDIRECT", "strip_query": True})
        return redirect

    def rewrite(self, match):
        out = self.pick({}, {}, {"host_rewrite_literal": "rewritten.test"}, {"host_rewrite_header": "x-k1"})
        kind = self.pick("", "", "prefix", "regex")
        if kind == "prefix" and "safe_regex" not in match:
            out = out | {"prefix_rewrite": self.pick("/", "/p", "/p/q/")}
        if kind == "regex":
            out = out | {"regex_rewrite": {"pattern": {"regex": self.pick("^/a(.*)$", "items", "/([a-z]+)")},
                                           "substitution": self.pick("/r", "\\0-r", "/r")}}
        return out | {"timeout": "5s"}

    def route(self):
        match = self.match()
        return {"match": match} | self.action(match) | self.mutations(0.25)

    def _hosts(self):
        domains = self.random.sample(DOMAINS, self.random.randrange(2, len(DOMAINS)))
        hosts = [{"name": f"h{n}", "domains": domains[n::2]} for n in range(2)]
        if self.chance(0.7):
            hosts.append({"name": "rest", "domains": ["*"]})
        for host in hosts:
            host["routes"] = [self.route() for _ in range(self.random.randrange(2, 9))]
            if self.chance(0.5):
                host["routes"].append({"match": {"prefix": "/"}} | self.action({"prefix": "/"}))
            host |= self.mutations(0.2)
        hosts.append({"name": "mark", "domains": ["mark.test"], "routes": [{
            "match": {"prefix": "/"}, "direct_response": {
                "status": 200, "body": {"inline_string": f"{self.table}-{self.number}"}}}]})
        return hosts

    def mark(self):
        return f"{self.table}-{self.number}"

    # ---- resources ----

    def resources(self, port, ports):
        """`port`: of the listener; `ports`: of the origins."""
        out = []
        for name, (is_eds, origin) in self.clusters.items():
            endpoints = {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address(ports[origin])}}]}]}
            made = {"@type": CLUSTER, "name": name, "connect_timeout": "1s"}
            if is_eds:
                out.append(made | {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}})
                out.append({"@type": ENDPOINTS} | endpoints)
            else:
                out.append(made | {"type": "STATIC", "load_assignment": endpoints})
        manager = {"@type": HCM, "stat_prefix": "in", "rds": {"route_config_name": self.table, "config_source": ADS},
                   "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                       "@type": TYPE + "filters.http.router.v3.Router", "suppress_envoy_headers": True}}]}
        out.append({"@type": LISTENER, "name": "in", "address": address(port), "filter_chains": [
            {"filters": [{"name": "hcm", "typed_config": manager}]}]})
        out.append({"@type": ROUTES, "name": self.table, "virtual_hosts": self.hosts})
        return out

    # ---- requests ----

    def probe(self):
        """(host, path, fields)"""
        path = self.path()
        if self.chance(0.15) and path != "/":
            path += "/"
        if self.chance(0.4):
            path += "?" + "&".join(f"{name}={self.pick('v', 'value', '1', '')}" for name in QUERY if self.chance(0.6))
        fields = {name: self.random.choice(VALUES) for name in KEYS if self.chance(0.5)}
        if self.chance(0.6):
            fields["x-cluster"] = self.random.choice(self.names)
        return self.random.choice(HOSTS), path, fields
