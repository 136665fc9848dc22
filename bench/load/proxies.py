"""How each proxy is configured for a workload: one worker, no access log, least of header work.

A proxy is a function (binary, mode, ports, certificates, directory) -> command line; it listens on
ports.proxy for ports.down, passes requests through ports.filters and forwards to ports.upstream by ports.up (h1 or h2).  certificates: {"ca", "crt", "key", "pem"} of the client in
mode mtls.
"""

import os
import re
import shutil
import subprocess

ENVOY = "type.googleapis.com/envoy.extensions."
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
UPSTREAM_NAME = "users.shop"  # a DNS name of the upstream's certificate


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def envoy_yaml(mode, ports, certificates):
    """For Envoy and for Pillion, which reads the same."""
    if mode == "tcp":
        chain = (f"- name: envoy.filters.network.tcp_proxy\n        typed_config: {{ '@type': {ENVOY}filters.network.tcp_proxy.v3.TcpProxy,"
                 " stat_prefix: t, cluster: app }")
    else:
        chain = (f"- name: envoy.filters.network.http_connection_manager\n        typed_config:\n"
                 f"          '@type': {ENVOY}filters.network.http_connection_manager.v3.HttpConnectionManager\n"
                 f"          stat_prefix: h\n          codec_type: {'HTTP2' if ports.down == 'h2' else 'HTTP1'}\n          generate_request_id: false\n"
                 "          route_config: { virtual_hosts: [ { name: all, domains: [ '*' ],"
                 " routes: [ { match: { prefix: / }, route: { cluster: app, timeout: 0s } } ] } ] }\n"
                 f"          http_filters: [ {ports.filters}{{ name: envoy.filters.http.router, typed_config: {{ '@type': {ENVOY}filters.http.router.v3.Router,"
                 " suppress_envoy_headers: true } } ]")
    tls = ""
    if mode == "mtls":
        c = certificates
        tls = (f"\n    transport_socket: {{ name: envoy.transport_sockets.tls, typed_config: {{ '@type': {ENVOY}transport_sockets.tls.v3.UpstreamTlsContext,"
               f" sni: {UPSTREAM_NAME}, common_tls_context: {{ tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }},"
               f" tls_certificates: [ {{ certificate_chain: {{ filename: '{c['crt']}' }}, private_key: {{ filename: '{c['key']}' }} }} ],"
               f" validation_context: {{ trusted_ca: {{ filename: '{c['ca']}' }} }} }} }} }}")
    protocol = ""
    if ports.up == "h2":
        protocol = (f"\n    typed_extension_protocol_options: {{ {OPTIONS}: {{ '@type': type.googleapis.com/{OPTIONS},"
                    " explicit_http_config: { http2_protocol_options: {} } } }")
    at = lambda port: f"{{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}"
    return (f"static_resources:\n  listeners:\n  - name: in\n    address: {at(ports.proxy)}\n    filter_chains:\n    - filters:\n      {chain}\n"
            f"  clusters:\n  - name: app\n    type: STATIC\n    connect_timeout: 5s\n"
            f"    circuit_breakers: {{ thresholds: [ {{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }} ] }}\n"
            f"    load_assignment: {{ cluster_name: app, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {at(ports.upstream)} }} }} ] }} ] }}{protocol}{tls}\n")


def pillion(binary, mode, ports, certificates, directory):
    config = write(directory, "pillion.yaml", envoy_yaml(mode, ports, certificates))
    return [binary, "run", "-c", config, "--concurrency", "1", "-l", "warning"]


def envoy(binary, mode, ports, certificates, directory):
    config = write(directory, "envoy.yaml", envoy_yaml(mode, ports, certificates))
    return [binary, "-c", config, "--concurrency", "1", "-l", "warning", "--disable-hot-restart"]


def nginx(binary, mode, ports, certificates, directory):
    base = f"worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.error warn;\n"
    modules = "/usr/lib/nginx/modules/ngx_stream_module.so"
    if mode == "tcp":
        load = f"load_module {modules};\n" if os.path.exists(modules) else ""
        body = f"events {{ worker_connections 4096; }} stream {{ server {{ listen 127.0.0.1:{ports.proxy}; proxy_pass 127.0.0.1:{ports.upstream}; }} }}\n"
        return [binary, "-p", directory, "-c", write(directory, "nginx.conf", load + base + body)]
    scheme, tls = "http", ""
    if mode == "mtls":
        c, scheme = certificates, "https"
        tls = (f"proxy_ssl_certificate {c['crt']}; proxy_ssl_certificate_key {c['key']}; proxy_ssl_trusted_certificate {c['ca']};"
               f" proxy_ssl_verify on; proxy_ssl_name {UPSTREAM_NAME}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;")
    # HTTP/2 to the upstream is gRPC's alone there.
    passes = f"grpc_pass grpc://app; {tls}" if ports.up == "h2" else (
        f'proxy_pass {scheme}://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0; {tls}')
    http2 = " http2" if ports.down == "h2" else ""
    temporary = "".join(f"{kind}_temp_path {directory}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    body = (f"events {{ worker_connections 4096; }} http {{ access_log off; {temporary} keepalive_requests 1000000000;"
            f" upstream app {{ server 127.0.0.1:{ports.upstream}; keepalive 256; keepalive_requests 1000000000; }}"
            f" server {{ listen 127.0.0.1:{ports.proxy}{http2} backlog=4096; client_body_buffer_size 64k; location / {{ {passes} }} }} }}\n")
    return [binary, "-p", directory, "-c", write(directory, "nginx.conf", base + body)]


def haproxy(binary, mode, ports, certificates, directory):
    server = f"server app 127.0.0.1:{ports.upstream}"
    if mode == "mtls":
        c = certificates
        server += f" ssl crt {c['pem']} ca-file {c['ca']} verify required verifyhost {UPSTREAM_NAME} sni str({UPSTREAM_NAME}) ssl-min-ver TLSv1.3"
    server += " proto h2" if ports.up == "h2" else ""
    bind = " proto h2" if ports.down == "h2" else ""
    text = (f"global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode {'tcp' if mode == 'tcp' else 'http'}\n  timeout connect 5s\n"
            "  timeout client 60s\n  timeout server 60s\n"
            + ("  option splice-auto\n" if mode == "tcp" else "  http-reuse always\n")
            + f"frontend f\n  bind 127.0.0.1:{ports.proxy} backlog 4096{bind}\n  default_backend b\nbackend b\n  {server}\n")
    return [binary, "-db", "-f", write(directory, "haproxy.cfg", text)]


def nghttpx(binary, mode, ports, certificates, directory):
    text = (f"frontend=127.0.0.1,{ports.proxy};no-tls\nbackend=127.0.0.1,{ports.upstream};;proto={'h2' if ports.up == 'h2' else 'http/1.1'}\n"
            f"workers=1\nbacklog=4096\nerrorlog-file={directory}/error.log\npid-file={directory}/nghttpx.pid\nno-via=yes\n"
            "no-add-x-forwarded-proto=yes\nno-location-rewrite=yes\nno-server-rewrite=yes\nfrontend-keep-alive-timeout=1h\n"
            "frontend-http2-connection-window-size=1048575\nbackend-http2-connection-window-size=1048575\n")
    return [binary, "--conf=" + write(directory, "nghttpx.conf", text)]


ALL = {"pillion": pillion, "nginx": nginx, "haproxy": haproxy, "envoy": envoy, "nghttpx": nghttpx}


def cannot(name, workload):
    """Why the proxy is not measured with the workload; None: it is."""
    if workload.guard and name not in ("envoy", "pillion"):
        return "reads no filters of Envoy"
    if name == "nghttpx" and workload.mode != "http":
        return "not compared in this mode"
    if name == "nginx" and workload.up == "h2" and not workload.grpc:
        return "nginx speaks HTTP/2 to upstreams of gRPC only"
    return None


def installed(binaries):
    """Name -> path, of the ones that are given or found in PATH."""
    found = {name: binaries.get(name) or shutil.which(name) for name in ALL}
    return {name: path for name, path in found.items() if path}


def version(name, path):
    """As the binary tells it: the first number of three parts, with what Debian appends."""
    option = {"pillion": "version", "envoy": "--version", "nghttpx": "--version"}.get(name, "-v")
    told = subprocess.run([path, option], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20).stdout
    found = re.search(r"\b\d+\.\d+\.\d+[\w.+-]*", told.replace(path, ""))
    return found.group() if found else "of unknown version"
