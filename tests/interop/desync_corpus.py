"""Requests that two servers may read differently, for desync_test.py: what Pillion makes of each.

Rows are (name, bytes).  /@ stands for the path of the row, /# for the path of a request that only a
reader with another idea of the framing sees: it must reach no backend.  After the bytes of each row
the test sends one more request, the follower.

REFUSED      nothing of it reaches a backend, and the follower is not looked at
BROKEN_BODY  the head is fine: a backend may see a beginning of the body, never a whole request
ACCEPTED     one request, and the follower is another
LAST         one request after which the connection ends: the follower is not looked at
UNFINISHED   the client ends before its request does: nothing whole reaches a backend; no follower is sent
"""

POST = b"POST /@ HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /@ HTTP/1.1\r\nHost: a\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = POST + TE + b"\r\n"
HIDDEN = b"GET /# HTTP/1.1\r\nHost: a\r\n\r\n"
END = b"0\r\n\r\n"


def field(line, body=b"", start=POST):
    return start + line + b"\r\n\r\n" + body


def hidden_body(*lines):
    """Framed by one of two fields the hidden request is a body, by the other it is a request."""
    return POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + END + HIDDEN


GROWTH = 4  # bytes: a path, as in /h0017, is longer than its mark
LENGTH = b"Content-Length: %d" % (len(END + HIDDEN) + GROWTH)

# Values of Transfer-Encoding and whole lines that some servers take for "chunked" and others do not.
TE_LINES = (
    b"Transfer-Encoding: Chunked, identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: chunked,", b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding:", b"Transfer-Encoding: ,", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunk",
    b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: \x0cchunked",
    b"Transfer-Encoding: \x00chunked", b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: chu\x00nked",
    b"Transfer-Encoding: \xa0chunked", b"Transfer-Encoding: \x85chunked", b"Transfer-Encoding: chunked\xff",
    b"Transfer-Encoding: chun\xd0\xbaed", b"Transfer-Encoding: \x7fchunked", b"Transfer-Encoding: \x08chunked",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked",
    b"\tTransfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\r\n\tchunked",
    b"Transfer-Encoding\r\n: chunked", b"Transfer-Encoding: chunked\r\n foo", b"X: 1\nTransfer-Encoding: chunked",
    b"X: 1\rTransfer-Encoding: chunked", b"X: 1\x00\r\nTransfer-Encoding: chunked",
    b"\x00Transfer-Encoding: chunked", b"Transfer-Encoding\x00: chunked", b"Transfer\x00-Encoding: chunked",
    b"Transfer-Encoding: chunked\nX: 1", b"Transfer-Encoding: chunked\rX: 1", b"Transfer-Encoding\xff: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity", b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: =?UTF-8?Q?chunked?=", b"Transfer-Encoding: \xef\xbb\xbfchunked", b"Transfer Encoding: chunked",
)

# Values of Content-Length with the body of five bytes that some reading of them has.
CL_VALUES = (
    b"+5", b"-5", b"-0", b"5,", b",5", b"5,5,6", b"5, 6", b"5 6", b"5;", b"0x5", b"0X05", b"5.0", b"5e0", b"\"5\"",
    b"5\x00", b"\x005", b"5\x0b", b"\x0b5", b"\x0c5", b"\xa05", b"5\xff", b"0b101", b"0o5", b"5_", b"1_0", b"five", b"",
    b"18446744073709551621", b"18446744073709551616", b"99999999999999999999999999", b"4294967301x", b"\xd9\xa5",
    b"\r\n 5", b"\r\n\t5", b"5\r\n 0", b"5\n", b"5\rX: 1", b"5\nX: 1",
)

# Chunk-size lines and what follows them, none of which is one chunk of five bytes.
CHUNK_STARTS = (
    b"0x5\r\nhello\r\n", b"0X5\r\nhello\r\n", b"+5\r\nhello\r\n", b"-5\r\nhello\r\n", b" 5\r\nhello\r\n",
    b"\t5\r\nhello\r\n", b"5\nhello\r\n", b"5\rhello\r\n", b"5\r\r\nhello\r\n", b"5\n\r\nhello\r\n",
    b"5\r\nhello\n", b"5\r\nhello\r", b"5\r\nhello", b"5\r\nhello\n\r\n", b"5\r\nhelloXX", b"5\r\nhell\r\n",
    b"5\r\nhello!\r\n", b"g\r\nhello\r\n", b"\r\nhello\r\n", b";x\r\nhello\r\n", b"5 6\r\nhello\r\n",
    b"5,\r\nhello\r\n",
    b"5.0\r\nhello\r\n", b"5h\r\nhello\r\n", b"\x005\r\nhello\r\n", b"5\x00\r\nhello\r\n", b"5\x0b\r\nhello\r\n",
    b"5;\x00\r\nhello\r\n", b"5;a\nb\r\nhello\r\n", b"5;a\rb\r\nhello\r\n", b"5;a=\"\n\"\r\nhello\r\n",
    b"10000000000000005\r\nhello\r\n", b"ffffffffffffffff\r\nhello\r\n", b"fffffffffffffffffffff\r\nhello\r\n",
    b"8000000000000000\r\nhello\r\n", b"\xef\xbc\x95\r\nhello\r\n", b"5\xa0\r\nhello\r\n", b"'5'\r\nhello\r\n",
)

# What stands where the end of a chunked body should be.
CHUNK_ENDS = (
    b"0\n\r\n", b"0\r\n\n", b"0\r\r\n", b"0\n\n", b"0\r\nX: 1\n\r\n", b"0\r\nX : 1\r\n\r\n", b"0\r\n X: 1\r\n\r\n",
    b"0\r\nX: 1\r\n 2\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\n: 1\r\n\r\n", b"0\r\nX: \x00\r\n\r\n",
    b"0\r\nX: 1\r2\r\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nHost: b\r\n\r\n",
    b"0\r\n" + HIDDEN, b"0x0\r\n\r\n", b"-0\r\n\r\n", b"0;\x00\r\n\r\n", b"\r\n\r\n",
)

START_LINES = (
    b"GET  /@ HTTP/1.1", b"GET /@  HTTP/1.1", b" GET /@ HTTP/1.1", b"GET\t/@ HTTP/1.1", b"GET /@\tHTTP/1.1",
    b"GET /@ HTTP/1.1 ",
    b"GET /@ HTTP/1.1\t", b"GET /@\x0bHTTP/1.1", b"GET /@\xa0HTTP/1.1", b"GET /@ a HTTP/1.1", b"GET /@", b"GET /@ ",
    b"/@ HTTP/1.1",
    b"GET  HTTP/1.1", b"GET HTTP/1.1", b"GET /@ http/1.1", b"GET /@ HTTP/1.10", b"GET /@ HTTP/01.1",
    b"GET /@ HTTP/1", b"GET /@ HTTP/1.",
    b"GET /@ HTTP/.1", b"GET /@ HTTP/1.1.1", b"GET /@ HTTP/ 1.1", b"GET /@ HTTP /1.1", b"GET /@ HTTP/1.2",
    b"GET /@ HTTP/0.9",
    b"GET /@ HTTP/2.0", b"GET /@ HTTP/3", b"GET /@ HTCPCP/1.1", b"GET /@ SHTTP/1.1", b"G\x00T /@ HTTP/1.1",
    b"G(T /@ HTTP/1.1",
    b"GET: /@ HTTP/1.1", b"G\xc9T /@ HTTP/1.1", b"GET /@\x00 HTTP/1.1", b"GET /@\x7f HTTP/1.1", b"GET /@\x01 HTTP/1.1",
    b"GET /@\r HTTP/1.1", b"GET /@\n HTTP/1.1", b"GET \\/@ HTTP/1.1", b"GET a HTTP/1.1", b"GET * HTTP/1.1",
    b"GET http://b/@ HTTP/1.1", b"GET http://a:81/@ HTTP/1.1", b"GET http:// HTTP/1.1", b"GET http:/@ HTTP/1.1",
    b"GET a:80 HTTP/1.1", b"CONNECT a:80 HTTP/1.1", b"CONNECT /@ HTTP/1.1", b"PRI * HTTP/2.0", b"\x16\x03\x01\x02", b"",
)

HOSTS = (
    b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nhost: b\r\n", b"Host : a\r\n",
    b"Host: a b\r\n",
    b"Host: a, b\r\n", b"Host: a@b\r\n", b"Host: a/b\r\n", b"Host: a?b\r\n", b"Host: a#b\r\n", b"Host: a\\b\r\n",
    b"Host: a:b\r\n",
    b"Host: a:80:80\r\n", b"Host: a\x00b\r\n", b"Host: [::1\r\n", b"Host: ::1\r\n", b" Host: a\r\n",
    b"Host: a\r\n Host: b\r\n",
    b"Host\x00: a\r\n", b"Host: a:65536x\r\n",
)

# Whole fields that are no fields.
BAD_FIELDS = (
    b"X : 1", b"X\t: 1", b": 1", b" : 1", b"X", b"", b"X@Y: 1", b"X(: 1", b"X\x00: 1", b"X\x7f: 1", b"X\xe9: 1",
    b"X Y: 1", b"\"X\": 1",
    b"X: \x00", b"X: \x01", b"X: \x7f", b"X: 1\r2", b"X: 1\n2", b"X: 1\r\n 2", b"X: 1\r\n\t2", b"X: 1\r\r",
    b"X: 1\n", b"[X]: 1", b"X{}: 1",
)

REFUSED = (
    [(b"CL with " + line, hidden_body(LENGTH, line)) for line in TE_LINES + (b"Transfer-Encoding: chunked",)] +
    [(line + b" before CL", hidden_body(line, LENGTH)) for line in (TE_LINES[0], b"Transfer-Encoding: chunked",
                                                                    b"transfer-encoding: CHUNKED")] +
    [(b"only " + line, field(line, END)) for line in TE_LINES] +
    [(b"CL " + value, field(b"Content-Length: " + value, b"hello")) for value in CL_VALUES] +
    [(b"CL twice, " + value, field(b"Content-Length: 5\r\nContent-Length: " + value, b"hello"))
     for value in (b"0", b"6", b"", b"x", b"+5", b"5, 0")] +
    [(b"CL 0 first, then 5", field(b"Content-Length: 0\r\nContent-Length: 5", b"hello")),
     (b"CL in two cases", field(b"content-length: 0\r\nCONTENT-LENGTH: 5", b"hello")),
     (b"CL with a space before its colon", field(b"Content-Length : 5", b"hello")),
     (b"CL of a GET, signed", field(b"Content-Length: +%d" % (len(HIDDEN) + GROWTH), HIDDEN, GET))] +
    [(b"start line " + line, line + b"\r\nHost: a\r\n\r\n") for line in START_LINES if line] +
    [(b"a bare LF after the start line", b"GET /@ HTTP/1.1\nHost: a\r\n\r\n"),
     (b"bare LFs everywhere", b"GET /@ HTTP/1.1\nHost: a\n\n"),
     (b"a bare LF as the end of the head", GET + b"\n"),
     (b"a bare CR before the end of the head", GET + b"\r\r\n"),
     (b"HTTP/0.9", b"GET /@\r\n\r\n"),
     (b"a space before the first field", b"GET /@ HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n"),
     (b"1.0 with TE", b"POST /@ HTTP/1.0\r\nHost: a\r\n" + TE + b"\r\n" + END + HIDDEN),
     (b"1.0 with TE and CL", b"POST /@ HTTP/1.0\r\nHost: a\r\n" + TE + LENGTH + b"\r\n\r\n" + END + HIDDEN),
     (b"the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
     (b"another expectation", field(b"Expect: 200-ok\r\nContent-Length: 5", b"hello")),
     (b"GET with TE and CL", GET + TE + b"Content-Length: 5\r\n\r\n" + END)] +
    [(b"Host " + lines, b"GET /@ HTTP/1.1\r\n" + lines + b"\r\n") for lines in HOSTS] +
    [(b"field " + line, field(line, start=GET)) for line in BAD_FIELDS if line]
)

BROKEN_BODY = (
    [(b"chunk " + start, CHUNKED + start + END + HIDDEN) for start in CHUNK_STARTS] +
    [(b"end of chunks " + end, CHUNKED + b"5\r\nhello\r\n" + end) for end in CHUNK_ENDS] +
    [(b"an extension without end", CHUNKED + b"5;" + b"x" * 70000 + b"\r\nhello\r\n" + END),
     (b"a chunk size with many zeros", CHUNKED + b"0" * 70000 + b"5\r\nhello\r\n" + END)]
)

ACCEPTED = (
    [(b"plain GET", GET + b"\r\n"),
     (b"TE in another case", field(b"tRANSFER-eNCODING: cHUNKED", b"5\r\nhello\r\n" + END)),
     (b"TE between blanks", field(b"Transfer-Encoding: \t chunked \t ", b"5\r\nhello\r\n" + END)),
     (b"TE without a blank", field(b"Transfer-Encoding:chunked", b"5\r\nhello\r\n" + END)),
     (b"an underscore is no hyphen", field(b"Transfer_Encoding: chunked\r\nContent-Length: 5", b"hello")),
     (b"another underscore", field(b"Content_Length: 0\r\nContent-Length: 5", b"hello")),
     (b"TE as a field of its own", field(b"TE: chunked\r\nContent-Length: 5", b"hello")),
     (b"X-Transfer-Encoding", field(b"X-Transfer-Encoding: chunked\r\nContent-Length: 5", b"hello")),
     (b"a hidden request as a body by length", field(LENGTH, END + HIDDEN)),
     (b"a hidden request as a chunk", CHUNKED + b"%x\r\n" % (len(HIDDEN) + GROWTH) + HIDDEN + b"\r\n" + END),
     (b"CL between blanks", field(b"Content-Length: \t5 \t", b"hello")),
     (b"CL 0 of a POST", field(b"Content-Length: 0")),
     (b"a POST without a length", POST + b"\r\n"),
     (b"GET with a body", field(b"Content-Length: 5", b"hello", GET)),
     (b"GET with chunks", GET + TE + b"\r\n5\r\nhello\r\n" + END),
     (b"GET with a hidden request as its body", field(LENGTH, END + HIDDEN, GET)),
     (b"HEAD with a body", field(b"Content-Length: 5", b"hello", b"HEAD /@ HTTP/1.1\r\nHost: a\r\n")),
     (b"DELETE with a body", field(b"Content-Length: 5", b"hello", b"DELETE /@ HTTP/1.1\r\nHost: a\r\n")),
     (b"OPTIONS with a body", field(b"Content-Length: 5", b"hello", b"OPTIONS /@ HTTP/1.1\r\nHost: a\r\n")),
     (b"a chunk extension", CHUNKED + b"5;a=b\r\nhello\r\n" + END),
     (b"a chunk extension in quotes", CHUNKED + b"5;a=\"b;c\"\r\nhello\r\n" + END),
     (b"a chunk extension with a name only", CHUNKED + b"5;a\r\nhello\r\n0;b\r\n\r\n"),
     (b"a chunk size with leading zeros", CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n"),
     (b"a chunk size in upper case", CHUNKED + b"A\r\nhellohello\r\n" + END),
     (b"trailers", POST + TE + b"Trailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
     (b"Expect with a body", field(b"Expect: 100-continue\r\nContent-Length: 5", b"hello")),
     (b"Expect with chunks", field(b"Expect: 100-continue\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n" + END)),
     (b"Connection names content-length", field(b"Connection: content-length\r\nContent-Length: 5", b"hello")),
     (b"Connection names transfer-encoding", POST + TE + b"Connection: transfer-encoding\r\n\r\n5\r\nhello\r\n" + END),
     (b"Connection names host", field(b"Connection: host", start=GET)),
     (b"Connection names itself", field(b"Connection: connection, x\r\nX: 1", start=GET)),
     (b"an unasked Upgrade with a body", field(b"Upgrade: x\r\nContent-Length: 5", b"hello")),
     (b"h2c", field(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", start=GET)),
     (b"absolute-form", b"GET http://a/@ HTTP/1.1\r\nHost: a\r\n\r\n"),
     (b"absolute-form in upper case", b"GET HTTP://A/@ HTTP/1.1\r\nHost: a\r\n\r\n"),
     (b"8-bit bytes in a value", field(b"X: \xe9\xff\x80", start=GET)),
     (b"an empty value", field(b"X:", start=GET)),
     (b"blank lines before the request", b"\r\n\r\nGET /@ HTTP/1.1\r\nHost: a\r\n\r\n"),
     (b"Host with a port", b"GET /@ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
     (b"a query", b"GET /@?x=/../y HTTP/1.1\r\nHost: a\r\n\r\n"),
     (b"dots and escapes", b"GET /@/../%2e%2e/%00/%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n"),
     (b"1.0 that keeps alive", b"POST /@ HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello")]
)

LAST = (
    [(b"1.0", b"GET /@ HTTP/1.0\r\nHost: a\r\n\r\n"),
     (b"Connection: close", field(b"Connection: close", start=GET)),
     (b"Connection: close among others", field(b"Connection: x, close", start=GET)),
     (b"Connection: close in capitals", field(b"Connection: CLOSE", start=GET)),
     (b"1.0 with a body", b"POST /@ HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")]
)

UNFINISHED = (
    [(b"a head without its end", GET),
     (b"half a start line", b"GET /@ HT"),
     (b"half an end of a head", GET + b"\r"),
     (b"a length that is not kept", field(b"Content-Length: 5000", HIDDEN)),
     (b"a hidden request in a body without end", field(b"Content-Length: 18446744073709551615", HIDDEN)),
     (b"half a chunk", CHUNKED + b"500\r\n" + HIDDEN),
     (b"a chunk of almost 64 bits", CHUNKED + b"7fffffffffffffff\r\n" + HIDDEN),
     (b"half a chunk size", CHUNKED + b"5"),
     (b"no last chunk", CHUNKED + b"5\r\nhello\r\n"),
     (b"half a last chunk", CHUNKED + b"5\r\nhello\r\n0\r\n"),
     (b"trailers without end", CHUNKED + b"5\r\nhello\r\n0\r\nX: 1\r\n")]
)
