"""An authorization service on grpcio, without generated code: authz_server.py PORT FILE

What it answers to a check, the path says that is asked about: /ok, /deny, /slow, /error, /garbage, /inject.  The last
CheckRequest is kept in FILE, whole.
"""

import os
import sys
import time
from concurrent import futures

import grpc
from protobuf_wire import field


def header(name, value, action=2):
    return field(1, field(1, name) + field(2, value)) + field(3, action)


OK, DENIED = field(1, b""), field(1, field(1, 7))
METADATA = field(4, field(1, field(1, "who") + field(2, field(3, "ann"))))
ANSWERS = {
    b"/ok": OK + METADATA + field(3, field(2, header("x-user", "ann")) + field(5, "x-secret") + field(
        6, header("x-checked", "yes")) + field(7, field(1, "q") + field(2, "1"))),
    b"/deny": DENIED + field(2, field(1, field(1, 429)) + field(2, header("x-why", "limit")) + field(3, "too much")),
    b"/plain-deny": DENIED,
    b"/garbage": b"\x1a\xff\xff",
    b"/inject": OK + field(3, field(2, header("x-user", "a\r\nx-admin: 1"))),
    b"/framing": OK + field(3, field(2, header("content-length", "5")) + field(2, header("transfer-encoding", "chunked"))),
}


def check(request, context):
    with open(sys.argv[2] + ".new", "wb") as file:
        file.write(request)
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    if b"/slow" in request:
        time.sleep(3)
    if b"/error" in request:
        context.abort(grpc.StatusCode.INTERNAL, "broken")
    return next((answer for path, answer in ANSWERS.items() if path in request), DENIED)


server = grpc.server(futures.ThreadPoolExecutor(16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
    "envoy.service.auth.v3.Authorization", {"Check": grpc.unary_unary_rpc_method_handler(check)}),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
