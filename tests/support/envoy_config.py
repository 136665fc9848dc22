"""Envoy v3 configurations of tests, as dicts: what a test does not name has a small, plain value."""

from sidecar import address

TYPE = "type.googleapis.com/envoy.extensions."
HCM = TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager"

# HttpProtocolOptions of a cluster.
EXPLICIT_H1 = {"explicit_http_config": {"http_protocol_options": {}}}
EXPLICIT_H2 = {"explicit_http_config": {"http2_protocol_options": {}}}
AUTO = {"auto_config": {"http2_protocol_options": {}}}
H2_UPGRADES = {"explicit_http_config": {"http2_protocol_options": {"allow_connect": True}}}  # RFC 8441
SAME = {"use_downstream_protocol_config": {"http2_protocol_options": {}}}

LOG_FORMAT = {
    "status": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%",
    "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%", "protocol": "%PROTOCOL%", "cluster": "%UPSTREAM_CLUSTER%",
    "host": "%UPSTREAM_HOST%", "received": "%BYTES_RECEIVED%", "sent": "%BYTES_SENT%",
    "id": "%REQ(X-REQUEST-ID)%", "peer": "%DOWNSTREAM_PEER_URI_SAN%",
    "transport": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    "upstream_transport": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}


def access_log(path="access.log"):
    return [{"name": "envoy.access_loggers.file", "typed_config": {
        "@type": TYPE + "access_loggers.file.v3.FileAccessLog", "path": path,
        "log_format": {"json_format": LOG_FORMAT}}}]


def route(cluster="app", prefix="/", **action):
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": "0s"} | action}


def http(name, port, routes=None, log=True, tls=None, listener=None, hosts=None, **hcm):
    """A listener with an HttpConnectionManager; hcm: fields of it, over the defaults."""
    manager = {
        "@type": HCM, "stat_prefix": name, "codec_type": "HTTP1",
        "http_protocol_options": {"accept_http_10": True, "enable_trailers": True},
        "route_config": {"name": "r", "virtual_hosts": hosts or [
            {"name": "all", "domains": ["*"], "routes": routes if routes is not None else [route()]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": TYPE + "filters.http.router.v3.Router"}}],
    } | hcm
    if log:
        manager["access_log"] = access_log()
    return chain(name, port, "envoy.filters.network.http_connection_manager", manager, tls, listener)


def tcp(name, port, cluster="app", log=True, listener=None, tls=None, **proxy):
    """A listener with a TcpProxy."""
    config = {"@type": TYPE + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": name} | proxy
    if "weighted_clusters" not in proxy:
        config["cluster"] = cluster
    if log:
        config["access_log"] = access_log()
    return chain(name, port, "envoy.filters.network.tcp_proxy", config, tls, listener)


def chain(name, port, filter_name, filter_config, tls=None, listener=None):
    filters = {"filters": [{"name": filter_name, "typed_config": filter_config}]}
    if tls:
        filters["transport_socket"] = tls
    return {"name": name, "address": address(port), "filter_chains": [filters]} | (listener or {})


def cluster(name="app", ports=(), protocol=None, **fields):
    """A STATIC cluster on loopback; protocol: HttpProtocolOptions' common part."""
    config = {
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(port)}} for port in ports]}]},
    } | fields
    options = {"explicit_http_config": {"http_protocol_options": {"enable_trailers": True}}}
    if protocol:
        options["common_http_protocol_options"] = protocol
    config["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": TYPE + "upstreams.http.v3.HttpProtocolOptions"} | options}
    return config


def http_cluster(port, options, name="app", tls=None, **fields):
    """A cluster of one host with HttpProtocolOptions, such as EXPLICIT_H2."""
    made = cluster(name, [port], **fields)
    made["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": TYPE + "upstreams.http.v3.HttpProtocolOptions"} | options}
    if tls:
        made["transport_socket"] = tls
    return made


def tls_server(certificates, require=True, **fields):
    """A DownstreamTlsContext from the files that `pillion ca issue` wrote."""
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": require, "common_tls_context": common_tls(certificates)} | fields}


def tls_client(certificates, sans=None, **fields):
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TYPE + "transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common_tls(certificates, sans)} | fields}


def common_tls(certificates, sans=None):
    """certificates: (chain, key, ca); chain None presents none.  sans: SPIFFE prefixes that are trusted."""
    chain_file, key, ca = certificates
    validation = {"trusted_ca": {"filename": ca}}
    if sans:
        validation["match_typed_subject_alt_names"] = [
            {"san_type": "URI", "matcher": {"prefix": prefix}} for prefix in sans]
    context = {"validation_context": validation}
    if chain_file:
        context["tls_certificates"] = [
            {"certificate_chain": {"filename": chain_file}, "private_key": {"filename": key}}]
    return context


def bootstrap(listeners, clusters, **more):
    return {"static_resources": {"listeners": listeners, "clusters": clusters}} | more
