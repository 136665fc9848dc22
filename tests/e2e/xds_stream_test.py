#!/usr/bin/env python3
"""How a control plane is reached: which server, by which method, and that one which is gone is noticed."""

import socket
import threading
import unittest

import ads_service
import http2_peers
import sidecar
from ads_service import AdsService
from control_plane import bootstrap
from protobuf_wire import field

KEEPALIVE = "02"  # of the kernel's timers
METHODS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"


class Server:
    """Takes streams and says nothing; `heads` are what they began with."""

    def __init__(self, test, answers_pings=True):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heads, self.connections, self.ends = [], [], 0
        self.answers_pings = answers_pings
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        test.addCleanup(self.stop)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            peer = http2_peers.Server(connection)
            self.heads.append(peer.read_head())
            if self.answers_pings:
                peer.hang()
            else:
                while connection.recv(65536):  # all of it, and never a word
                    pass
        except (OSError, EOFError):
            pass
        self.ends += 1

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()

    def paths(self):
        return [head.first.split(" ")[1] for head in self.heads]


def config(port, **ads):
    out = bootstrap(f"127.0.0.1:{port}", fetch_timeout="0.1s")
    out["dynamic_resources"]["ads_config"] |= ads
    return out, out["static_resources"]["clusters"]


def timers(port):
    """The kernel's timer of each of our connections to `port`."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return [row[5].split(":")[0] for row in rows if row[2] == f"0100007F:{port:04X}" and row[3] == "01"]


class XdsStreamTest(unittest.TestCase):
    def start(self, text):
        return sidecar.start(self, text)

    def test_the_api_type_chooses_the_method(self):
        for kind, method in (("GRPC", "StreamAggregatedResources"), ("DELTA_GRPC", "DeltaAggregatedResources"),
                             ("AGGREGATED_GRPC", "StreamAggregatedResources"),
                             ("AGGREGATED_DELTA_GRPC", "DeltaAggregatedResources")):
            server = Server(self)
            self.start(config(server.port, api_type=kind)[0])
            sidecar.until("a stream", lambda: server.heads)
            self.assertEqual(server.paths()[0], METHODS + method)

    def test_a_server_that_answers_no_ping_is_left(self):
        server = Server(self, answers_pings=False)
        text, clusters = config(server.port)
        options = clusters[0]["typed_extension_protocol_options"]
        for one in options.values():
            one["explicit_http_config"]["http2_protocol_options"] = {
                "connection_keepalive": {"interval": "0.2s", "timeout": "0.2s"}}
        proxy = self.start(text)
        proxy.wait_log("no stream to the control plane")
        sidecar.until("another stream", lambda: len(server.heads) > 1)
        self.assertGreaterEqual(server.ends, 1)

    def test_a_server_that_answers_pings_is_kept(self):
        server = Server(self)
        text, clusters = config(server.port)
        for one in clusters[0]["typed_extension_protocol_options"].values():
            one["explicit_http_config"]["http2_protocol_options"] = {
                "connection_keepalive": {"interval": "0.05s", "timeout": "0.2s"}}
        proxy = self.start(text)
        sidecar.until("a stream", lambda: server.heads)
        proxy.wait_log("has not answered in time")
        self.assertEqual((len(server.heads), server.ends), (1, 0))
        # It takes the stream, and has nothing to say.
        self.assertEqual(proxy.stats()["control_plane.connected_state"], 1)

    def test_a_server_that_never_says_a_word_does_not_count_as_connected(self):
        listener = socket.create_server(("127.0.0.1", 0))  # which the kernel answers for
        self.addCleanup(listener.close)
        proxy = self.start(config(listener.getsockname()[1])[0])
        proxy.wait_log("has not answered in time")
        self.assertEqual(proxy.stats()["control_plane.connected_state"], 0)

    def test_the_kernel_probes_where_the_cluster_says_so(self):
        for options, timer in (({"tcp_keepalive": {"keepalive_time": 5}}, KEEPALIVE), ({}, "00")):
            server = Server(self)
            text, clusters = config(server.port)
            clusters[0]["upstream_connection_options"] = options
            self.start(text)
            sidecar.until("a stream", lambda: server.heads)
            sidecar.until(lambda: f"timer {timer}, got {timers(server.port)}", lambda: timers(server.port) == [timer])

    def test_the_second_server_is_asked_where_the_first_is_away(self):
        server = Server(self)
        text, clusters = config(sidecar.free_port())
        clusters.append({**clusters[0], "name": "second", "load_assignment": {
            "cluster_name": "second", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": sidecar.address(
                server.port)}}]}]}})
        text["dynamic_resources"]["ads_config"]["grpc_services"].append({"envoy_grpc": {"cluster_name": "second"}})
        self.start(text)
        sidecar.until("a stream", lambda: server.heads)

    def test_the_first_server_comes_first_again_when_the_stream_of_the_second_has_ended(self):
        first, second = AdsService(self), AdsService(self)
        first.stop()
        text, _ = config(1)
        text["static_resources"]["clusters"] = [ads_service.cluster(first.path, "first"),
                                                ads_service.cluster(second.path, "second")]
        ads = ads_service.api_config_source("first")
        ads["grpc_services"].append({"envoy_grpc": {"cluster_name": "second"}})
        text["dynamic_resources"]["ads_config"] = ads
        proxy = self.start(text)
        second.wait("ask Cluster *")
        proxy.wait_stat("control_plane.connected_state", 1)
        first.start()
        self.assertEqual(first.heard("ask"), [], "a stream that works is kept")
        second.stop()
        first.wait("ask Cluster *")
        second.start()
        first.say("envoy.config.cluster.v3.Cluster", "c", "1", field(1, "c"))
        first.wait("ack Cluster 1")
        self.assertEqual(len(second.heard("ask Cluster")), 1)

    def test_google_grpc_stands_for_a_cluster(self):
        server = Server(self)
        target = f"ipv4:127.0.0.1:{server.port}"
        text, _ = config(server.port, grpc_services=[{"google_grpc": {"target_uri": target, "stat_prefix": "x"}}])
        del text["static_resources"]
        proxy = self.start(text)
        sidecar.until("a stream", lambda: server.heads)
        self.assertIn(f"google_grpc/{target}::", proxy.get("/clusters")[1])


if __name__ == "__main__":
    unittest.main()
