"""What Pillion does otherwise than Envoy 1.40, on purpose: (pattern of "request | aspect", reason).

A pattern that nothing needs any more fails the test.
"""

BAD = r"(many fields|long fields|TE with CL|a NUL|a space before the colon|mapped: a bad request)"

REQUESTS = [
    (rf"{BAD} \| log: (authority|cut|method|path)",
     "what was read of a bad request is logged: who sent it can be found"),
    (rf"{BAD} \| (answer|log: sent|log: wire sent)", "the reply says in words what was wrong"),
    (r"(a space before the colon|mapped: a bad request) \| log: details", "finer than codec_error"),
    (r"no Host \| .*", "refused by the codec as a malformed message, with its words and flag"),
    (r"an upgrade \| (answer|log: sent|log: wire sent|log: type)", "the reply says in words what was wrong"),
    (r"paths: a fragment \| .*", "the same; and the connection goes on, as the request was read whole"),
    (r"an unknown method \| .*", "any token is a method (RFC 9110, 9.1): Envoy's parser knows a list"),
    (r"a method in lower case \| .*", "refused by both; the reply says in words what was wrong"),
    (r"a host in capitals \| (request 0|log: authority)", "hosts have one spelling (RFC 3986, 6.2.2.1)"),
    (r"paths: escapes \| (request 0|log: path)", "and so have escapes: rules could be got round by the other"),
    (r"OPTIONS \| request 0", "no content-length where no body is expected (RFC 9110, 8.6)"),
    (r"hop-by-hop fields \| request 0", "TE is hop-by-hop, so Connection names it (RFC 9110, 10.1.4)"),
    (r"(mapped: )?no host \| log: attempts", "nothing was attempted"),
    (r".* \| log: scheme", "known before the reply; Envoy sets it later"),
    (r"absolute-form with a query only \| .*", "the path of http://a?x is / (RFC 9112, 3.2.1)"),
    (r"OPTIONS of all \| log: (details|flags|long flags)", "no route was found, which is what the log says"),
    (r"mapped: .* \| request 0", "Envoy appends its machine's address to x-forwarded-for when the peer is on loopback; "
                                 "Pillion appends the peer that it sees"),
    (r"paths: a broken escape \| (request 0|log: path)",
     "a % that escapes nothing becomes %25: no reader behind can find "
                                                         "an escape there"),
]

# Chance: which of two hosts is tried first; how much of a head had come when it was refused as too long.
RANDOM = ("a retry | log: attempts", "long fields | log: wire received")

STATS = [
    (r"cluster\.\w+\.external\..*", "the same numbers again, by where the client is: Pillion does not tell"),
    (r"cluster\.\w+\.default\.total_match_count", "of the matcher of transport sockets: how often it chose this one"),
    (r"(cluster\.\w+\.)?http1\..*", "finer than Envoy's protocol_error"),
    (r"cluster\.\w+\.upstream_rq_[rt]x_reset", "Envoy counts resets of HTTP/2 only"),
    (r"cluster\.\w+\.upstream_rq_total", "counts what found no connection, too: it is a request to that cluster"),
    (r"cluster\.\w+\.upstream_cx_[rt]x_bytes_total", "follows from the fields and methods above"),
    (r"cluster\.app\.upstream_rq_(200|2xx|completed)", "follows from the methods above"),
    (r"cluster\.app\.upstream_(cx_(destroy.*|http1_total|total)|rq_pending_total)",
     "a response that is retried is read to its end, so that its connection is used again"),
    (r"cluster\.app\.upstream_rq_retry(_success|_backoff_exponential)?",
     "a reset of a reused connection is repeated once without the policy"),
    (r"cluster\.empty\.membership_change", "the first set of hosts is one"),
    (r"cluster\.half\..*", "a random first host; a refused connection goes to the other one without a policy"),
    (r"http\.\w+\.downstream_cx_tx_bytes_total", "follows from the bodies above"),
    (r"http\.\w+\.downstream_cx_destroy_(local|remote)", "after an error the proxy ends the connection first"),
    (r"http\.\w+\.downstream_rq_(response_before_rq_complete|rx_reset)", "of local replies before Envoy read an end"),
    (r"http\.\w+\.downstream_(cx_protocol_error|rq_non_relative_path)", "follows from the requests above"),
    (r"(listener\.ADDRESS\.)?http\.\w+\.downstream_rq_1xx", "100 Continue is no response"),
    (r"(listener\.ADDRESS\.)?http\.\w+\.downstream_rq_(completed|2xx|4xx)", "follows from the methods and 1xx above"),
    (r"http\.plain\.no_route", "follows from the requests above"),
    (r"http\.\w+\.rq_redirect", "Envoy counts redirects as direct responses; Pillion also by this name"),
    (r"http\.plain\.rq_total", "follows from the methods above"),
    (r"listener\.ADDRESS\.worker_0\..*", "by worker"),
]

# Of the process and its admin listener.
UNCOUNTED = r"server\.|listener_manager|cluster_manager|main_thread|workers|runtime|filesystem|" \
            r"http\.admin|listener\.admin|" \
            r"control_plane|access_logs|thread_local|dns|vhost|.*watchdog|http1_|overload"
