#!/usr/bin/env python3
"""A control plane of one page: tells the gateway of the shop, over ADS, where calls go.

    control_plane.py HOST:PORT WISHES PROTOS

WISHES is a JSON file: { "canary_percent": 10, "fault_percent": 0, "users": [...], "canary": [...], "listen": "ADDRESS:PORT",
"certs": "FOLDER" }.  Whenever it changes, its new meaning goes out as Envoy v3 resources.  PROTOS is a descriptor set,
made by `protoc --include_imports -o PROTOS` from xds/proto.  It prints what the gateway acknowledges, or refuses and why.
"""

import json
import os
import queue
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

ADDRESS, WISHES, PROTOS = sys.argv[1:4]
TYPE = "type.googleapis.com/envoy."
EXTENSION = TYPE + "extensions."
KINDS = {"listeners": TYPE + "config.listener.v3.Listener", "routes": TYPE + "config.route.v3.RouteConfiguration",
         "clusters": TYPE + "config.cluster.v3.Cluster",
         "endpoints": TYPE + "config.endpoint.v3.ClusterLoadAssignment"}

pool = descriptor_pool.DescriptorPool()
with open(PROTOS, "rb") as descriptors:
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors.read()).file:
        pool.Add(file)


def message(name):
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(name))


DiscoveryRequest, DiscoveryResponse = (message(f"envoy.service.discovery.v3.Discovery{what}")
                                       for what in ("Request", "Response"))


def socket_address(address):
    host, port = address.rsplit(":", 1)
    return {"socket_address": {"address": host, "port_value": int(port)}}


def cluster(name, certs):
    files = {part: {"filename": f"{certs}/{file}"} for part, file in (
        ("certificate_chain", "workload.crt"), ("private_key", "workload.key"))}
    return {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
            "connect_timeout": "2s", "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": EXTENSION + "transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": {
                    "tls_certificates": [files], "validation_context": {
                        "trusted_ca": {"filename": f"{certs}/ca.crt"}, "match_typed_subject_alt_names": [
                            {"san_type": "URI", "matcher": {"exact": "spiffe://mesh.local/ns/shop/sa/users"}}]}}}}}


def listener(address):
    filters = [("fault", "fault.v3.HTTPFault"), ("router", "router.v3.Router")]
    return {"name": "gateway", "address": socket_address(address), "filter_chains": [{"filters": [{
        "name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": EXTENSION + "filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway", "rds": {"route_config_name": "shop", "config_source": {
                "ads": {}, "resource_api_version": "V3"}},
            "http_filters": [{"name": f"envoy.filters.http.{name}", "typed_config": {
                "@type": f"{EXTENSION}filters.http.{kind}"}} for name, kind in filters]}}]}]}


def routes(wishes):
    canary, fault = wishes["canary_percent"], wishes["fault_percent"]
    route = {"match": {"prefix": "/users"}, "route": {"timeout": "2s", "weighted_clusters": {"clusters": [
        {"name": "users", "weight": 100 - canary}, {"name": "users-canary", "weight": canary}]}}}
    if fault:
        route["typed_per_filter_config"] = {"envoy.filters.http.fault": {
            "@type": EXTENSION + "filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 418, "percentage": {"numerator": fault}}}}
    return {"name": "shop", "virtual_hosts": [{"name": "users", "domains": ["*"], "routes": [route]}]}


def resources(wishes):
    groups = {"users": wishes["users"], "users-canary": wishes["canary"]}
    return {
        "clusters": [cluster(name, wishes["certs"]) for name in groups],
        "endpoints": [{"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": socket_address(address)}} for address in addresses]}]}
            for name, addresses in groups.items()],
        "listeners": [listener(wishes["listen"])],
        "routes": [routes(wishes)],
    }


def response(kind, version):
    with open(WISHES) as file:
        found = resources(json.load(file))[kind]
    return json_format.ParseDict(
        {"version_info": version, "nonce": version, "type_url": KINDS[kind],
         "resources": [{"@type": KINDS[kind]} | resource for resource in found]},
        DiscoveryResponse(), descriptor_pool=pool)


def version_now():
    return str(os.stat(WISHES).st_mtime_ns)


def stream(requests, context):
    """State of the world: each kind that was asked for is answered, and again when the wishes change."""
    asked, events = {}, queue.Queue()

    def read():
        for request in requests:
            events.put(request)
        events.put(None)

    threading.Thread(target=read, daemon=True).start()
    while context.is_active():
        try:
            request = events.get(timeout=0.1)
        except queue.Empty:
            request = False
        if request is None:
            return
        if request:
            kind = next((kind for kind, url in KINDS.items() if url == request.type_url), None)
            if request.error_detail.message:
                print(f"refused: {kind}: {request.error_detail.message}", flush=True)
            elif request.response_nonce:
                print(f"taken: {kind}", flush=True)
            if kind:
                asked.setdefault(kind, None)
        # Clusters and their endpoints before the listeners and routes that use them.
        for kind in ("clusters", "endpoints", "listeners", "routes"):
            if kind in asked and asked[kind] != version_now():
                asked[kind] = version_now()
                yield response(kind, asked[kind])


class AggregatedDiscovery(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method == "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources":
            return grpc.stream_stream_rpc_method_handler(stream, DiscoveryRequest.FromString,
                                                         DiscoveryResponse.SerializeToString)
        return None


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[AggregatedDiscovery()])
    server.add_insecure_port(ADDRESS)
    server.start()
    while True:
        time.sleep(3600)
