"""The model of xds_sequences_test.py: what a control plane says, step by step, and what must be seen of it.

Clusters have endpoints (origins by number) and lie in files of their own kind: EDS or static.  Each listener has one
route table; a table has virtual hosts, each a list of routes of which the first that matches decides.

    model = Model(seed, number_of_origins, ports of the listeners, where endpoints and routes come from)
    what = model.step()              # changes it; `what` tells how, for people
    model.resources(ports)           # all that the control plane says now
    model.predictions()              # {(listener, host, path): the answers that are right}

Answers are the name of an origin, a status that is not 200, or "refused" for a connection.  What is refused by
configuration is never a part of the predictions: its predecessor is.

Most steps are marked: the host mark.test of every table answers by the step's number.  So what came before is known to
have come, also where its answers happen to be those of the state before; what is bad follows upon such a step alone.
"""

import copy
import random

from control_plane import ADS
from envoy_config import HCM, TYPE

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
NAMES = [f"c{n}" for n in range(6)]
HOSTS = {"load": ["load.test"], "a": ["a.test"], "all": ["*"]}
PATHS = ["/", "/a", "/a/b", "/c/d"]
MARK = "mark.test"
LOAD = "load.test"  # the steady load's host: it always leads to a cluster
NOT_AN_ADDRESS = {"socket_address": {"address": "nowhere", "port_value": 1}}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Cluster:
    def __init__(self, is_eds, origins):
        self.is_eds = is_eds
        self.origins = list(origins)
        self.drained = set()
        self.timeout = 1000

    def healthy(self):
        return [n for n in self.origins if n not in self.drained]

    def assignment(self, name, ports, bad=False):
        endpoints = [{"endpoint": {"address": address(ports[n])},
                      "health_status": "DRAINING" if n in self.drained else "HEALTHY"} for n in self.origins]
        if bad:
            endpoints.append({"endpoint": {"address": NOT_AN_ADDRESS}})
        return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}

    def resource(self, name, ports, source):
        # No panic: with it all endpoints are used when most are drained.
        out = {"@type": CLUSTER, "name": name, "connect_timeout": f"{self.timeout / 1000}s",
               "common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
        if self.is_eds:
            return out | {"type": "EDS", "eds_cluster_config": {"eds_config": source}}
        return out | {"type": "STATIC", "load_assignment": self.assignment(name, ports)}


class Route:
    """`targets`: weights by cluster; without, `status` is the answer."""

    def __init__(self, kind, path, targets=None, status=None):
        self.kind, self.path, self.targets, self.status = kind, path, targets, status

    def matches(self, path):
        return path == self.path if self.kind == "path" else path.startswith(self.path)

    def resource(self, body=None):
        match = {"match": {self.kind: self.path}}
        if self.targets is None:
            return match | {"direct_response": {"status": self.status} | (
                {"body": {"inline_string": body}} if body else {})}
        if len(self.targets) == 1:
            return match | {"route": {"cluster": next(iter(self.targets))}}
        return match | {"route": {"weighted_clusters": {"clusters": [
            {"name": name, "weight": weight} for name, weight in self.targets.items()]}}}

    def __repr__(self):
        return f"{self.kind} {self.path} -> {self.status if self.targets is None else self.targets}"


class Table:
    def __init__(self, name, cluster):
        self.name, self.mark = name, "mark"
        self.hosts = {host: [Route("prefix", "/", {cluster: 1})] for host in HOSTS}

    def resource(self, bad=False):
        hosts = [{"name": name, "domains": HOSTS[name], "routes": [route.resource() for route in routes]}
                 for name, routes in self.hosts.items()]
        if bad:
            hosts[0]["routes"].append({"match": {"safe_regex": {"regex": "("}}, "direct_response": {"status": 200}})
        hosts.append({"name": "mark", "domains": [MARK], "routes": [
            Route("prefix", "/", status=200).resource(body=self.mark)]})
        return {"@type": ROUTES, "name": self.name, "virtual_hosts": hosts}

    def clusters(self):
        return {name for routes in self.hosts.values() for route in routes for name in route.targets or ()}

    def route(self, host, path):
        name = next((name for name, domains in HOSTS.items() if host in domains and name in self.hosts), "all")
        return next((route for route in self.hosts.get(name, ()) if route.matches(path)), None)


class Model:
    def __init__(self, seed, origins, ports, source=ADS, is_ordered=True):
        """`is_ordered`: a mark says that all else has come."""
        self.random, self.source, self.is_ordered = random.Random(seed), source, is_ordered
        self.is_marked = self.was_marked = False
        self.origins, self.ports = origins, ports
        self.version = 0
        self.clusters = {"c0": Cluster(True, [0])}
        self.tables = {"in": Table("r0", "c0")}  # by listener
        self.bad = None  # (kind, name): a part of the newest state that must be refused
        self.in_force = None  # of what `bad` names
        self.settings = {"in": 0}  # of listeners: changes nothing that is predicted

    # ---- steps ----

    STEPS = ("add_cluster", "drop_clusters", "change_endpoints", "change_endpoints", "change_setting", "change_type",
             "change_type", "drain", "undrain", "retarget", "retarget", "retarget_load", "retarget_load", "split",
             "split_load", "add_route", "remove_route", "reorder", "toggle_host", "rename", "rename", "toggle_listener",
             "change_listener", "bad_listener", "bad_cluster", "bad_routes", "bad_endpoints")

    def heal(self):
        """Takes back what is bad."""
        self.version += 1
        self.bad = self.in_force = None

    def step(self):
        """One change, and nothing bad any more; a change that is not possible now is another one."""
        self.heal()
        self.was_marked = self.is_marked and self.is_ordered
        told = self._change()
        self.is_marked = self.bad is None and self.random.random() < 0.7
        if self.is_marked:
            for table in self.tables.values():
                table.mark = f"mark-{self.version}"
        return told + (", marked" if self.is_marked else "")

    def _change(self):
        while True:
            kind = self.random.choice(self.STEPS)
            told = getattr(self, kind)()
            if told is not None:
                return f"{kind} {told}"

    def _any(self, cluster=None):
        """A random cluster, perhaps a new one."""
        name = self.random.choice(NAMES)
        if name not in self.clusters:
            self.clusters[name] = Cluster(self.random.random() < 0.7, self._some_origins())
        return name

    def _some_origins(self):
        return self.random.sample(range(self.origins), self.random.choice([1, 1, 2, 3]))

    def _pick(self):
        name = self.random.choice(sorted(self.clusters))
        return name, self.clusters[name]

    def _pick_routes(self):
        """A table's list of routes that the load does not depend on."""
        listener = self.random.choice(sorted(self.tables))
        host = self.random.choice([name for name in self.tables[listener].hosts if name != "load"])
        return listener, host, self.tables[listener].hosts[host]

    def _used(self):
        used = set().union(*(table.clusters() for table in self.tables.values()))
        if self.bad and self.bad[0] == "routes":
            used |= self.in_force.clusters()
        return used

    def add_cluster(self):
        return self._any()

    def drop_clusters(self):
        gone = self.clusters.keys() - self._used()
        for name in gone:
            del self.clusters[name]
        return sorted(gone) or None

    def change_endpoints(self):
        name, cluster = self._pick()
        cluster.origins, cluster.drained = self._some_origins(), set()
        return name, cluster.origins

    def change_setting(self):
        name, cluster = self._pick()
        cluster.timeout += 1
        return name

    def change_type(self):
        name, cluster = self._pick()
        cluster.is_eds = not cluster.is_eds
        return name, "eds" if cluster.is_eds else "static"

    def drain(self):
        name, cluster = self._pick()
        if len(cluster.healthy()) < 2:
            return None
        cluster.drained.add(self.random.choice(cluster.healthy()))
        return name, sorted(cluster.drained)

    def undrain(self):
        name, cluster = self._pick()
        if not cluster.drained:
            return None
        cluster.drained.clear()
        return name

    def retarget(self):
        listener, host, routes = self._pick_routes()
        at = self.random.randrange(len(routes)) if routes else None
        if at is None:
            return None
        route = routes[at]
        if self.random.random() < 0.2:
            routes[at] = Route(route.kind, route.path, status=self.random.choice([204, 403, 404, 418]))
        else:
            routes[at] = Route(route.kind, route.path, {self._any(): 1})
        return listener, host, routes[at]

    def retarget_load(self):
        self.tables["in"].hosts["load"] = [Route("prefix", "/", {self._any(): 1})]
        return self.tables["in"].hosts["load"][0]

    def _split(self):
        weights = self.random.choice([(1, 1), (1, 0), (0, 1), (3, 1)])
        targets = {}
        for weight in weights:
            targets[self._any()] = weight
        return targets if any(targets.values()) and len(targets) == 2 else None

    def split(self):
        listener, host, routes = self._pick_routes()
        targets = self._split()
        if not routes or not targets:
            return None
        at = self.random.randrange(len(routes))
        routes[at] = Route(routes[at].kind, routes[at].path, targets)
        return listener, host, routes[at]

    def split_load(self):
        targets = self._split()
        if not targets:
            return None
        self.tables["in"].hosts["load"] = [Route("prefix", "/", targets)]
        return targets

    def add_route(self):
        listener, host, routes = self._pick_routes()
        if len(routes) >= 5:
            return None
        route = Route(self.random.choice(["path", "prefix"]), self.random.choice(PATHS), {self._any(): 1})
        routes.insert(self.random.randrange(len(routes) + 1), route)
        return listener, host, routes

    def remove_route(self):
        listener, host, routes = self._pick_routes()
        if not routes:
            return None
        routes.pop(self.random.randrange(len(routes)))
        return listener, host, routes

    def reorder(self):
        listener, host, routes = self._pick_routes()
        if len(routes) < 2:
            return None
        self.random.shuffle(routes)
        return listener, host, routes

    def toggle_host(self):
        listener = self.random.choice(sorted(self.tables))
        table = self.tables[listener]
        if "a" in table.hosts:
            del table.hosts["a"]
            return listener, "without a.test"
        table.hosts["a"] = [Route("prefix", "/", {self._any(): 1})]
        return listener, "with a.test"

    def rename(self):
        listener = self.random.choice(sorted(self.tables))
        self.tables[listener].name = f"r{self.version}"
        return listener, self.tables[listener].name

    def toggle_listener(self):
        if self.tables.pop("second", None):
            return "second goes"
        self.tables["second"] = Table(f"s{self.version}", self._any())
        self.settings["second"] = 0
        return "second comes"

    def change_listener(self):
        listener = self.random.choice(sorted(self.tables))
        self.settings[listener] += 1
        return listener

    # A bad one in company of a good change.

    def bad_listener(self):
        self.bad = ("listeners", "bad")
        return "and", self.retarget_load()

    def bad_cluster(self):
        self.bad = ("clusters", "bad")
        return "and", self.retarget_load()

    def bad_routes(self):
        if not self.was_marked:
            return None
        listener = self.random.choice(sorted(self.tables))
        self.in_force = copy.deepcopy(self.tables[listener])
        self.bad = ("routes", listener)
        return listener, "and", self.change_endpoints()

    def bad_endpoints(self):
        name = self.random.choice(sorted(self.clusters))
        if not self.clusters[name].is_eds or not self.was_marked:
            return None
        self.bad = ("endpoints", name)
        return name, "and", self.retarget_load()

    # ---- what is said ----

    def refused(self):
        """The place that a NACK of now names."""
        kind, name = self.bad
        return {"listeners": "lds/bad", "clusters": "cds/bad", "endpoints": f"eds/{name}",
                "routes": f"rds/{self.tables[name].name}" if kind == "routes" else ""}[kind]

    def resources(self, ports):
        """`ports`: of the origins."""
        kind, name = self.bad or (None, None)
        out = [cluster.resource(each, ports, self.source) for each, cluster in self.clusters.items()]
        out += [{"@type": ENDPOINTS} | cluster.assignment(each, ports, bad=(kind, name) == ("endpoints", each))
                for each, cluster in self.clusters.items() if cluster.is_eds]
        if kind == "clusters":
            out.append({"@type": CLUSTER, "name": "bad", "type": "STATIC", "load_assignment": {
                "cluster_name": "bad", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": NOT_AN_ADDRESS}}]}]}})
        out += [self._listener(each, table.name) for each, table in self.tables.items()]
        if kind == "listeners":
            out.append(self._listener("bad", self.tables["in"].name) | {"filter_chains": [{"filters": [
                {"name": "x", "typed_config": {"@type": HCM, "stat_prefix": "bad"}}]}]})
        out += [table.resource(bad=(kind, name) == ("routes", each)) for each, table in self.tables.items()]
        return out

    def _listener(self, name, table):
        manager = {"@type": HCM, "stat_prefix": name, "rds": {"route_config_name": table, "config_source": self.source},
                   "server_name": f"s{self.settings.get(name, 0)}",
                   "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                       "@type": TYPE + "filters.http.router.v3.Router"}}]}
        return {"@type": LISTENER, "name": name, "address": address(self.ports[name]),
                "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}

    # ---- what must be seen ----

    def predictions(self):
        out = {}
        for listener in self.ports:
            table = self.tables.get(listener)
            if listener == "bad":
                continue
            if self.bad == ("routes", listener):
                table = self.in_force
            out[listener, MARK, "/"] = {table.mark if table else "refused"}
            for host in (LOAD, "a.test", "other.test"):
                for path in PATHS:
                    out[listener, host, path] = self._answers(table, host, path)
        return out

    def _answers(self, table, host, path):
        if table is None:
            return {"refused"}
        route = table.route(host, path)
        if route is None:
            return {404}
        if route.targets is None:
            return {route.status}
        return {f"origin-{n}" for name, weight in route.targets.items() if weight
                for n in self.clusters[name].healthy()}
