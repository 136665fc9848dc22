"""Responses that a client may read differently from the proxy, for desync_responses_test.py.

Rows are (name, bytes); after the bytes the upstream keeps its connection and waits, so that what the proxy
does not refuse by itself hangs.  Where the end of the connection is what matters the upstream closes it.

REFUSED   the head is no response: the client is told 502
BROKEN    the head is fine, the body is not: the client must not take it for whole
CUT       the same, and the upstream closes: what came is not all of it
WHOLE     a response, with its body as the client must see it
POISONED  the same, followed by bytes that nobody asked for and that must answer nobody
"""

import desync_corpus as corpus

OK = b"HTTP/1.1 200 OK\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

STATUS_LINES = (
    b"HTTP/1.1 2000 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 OK", b"HTTP/1.1  200 OK", b" HTTP/1.1 200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 2x0 OK", b"HTTP/1.1 -20 OK", b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 200OK",
    b"http/1.1 200 OK",
    b"HTTP/2.0 200 OK", b"HTTP/1.10 200 OK", b"HTTP/1 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1.1.1 200 OK",
    b"HTTP 200 OK", b"200 OK",
    b"ICY 200 OK", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\rK",
    b"HTTP/1.1 \xef\xbc\x92\xef\xbc\x90\xef\xbc\x90 OK", b"\x00",
    b"<html>", b"GET / HTTP/1.1", b"220 smtp.example ESMTP", b"\x16\x03\x01\x02\x00\x01",
    b"HTTP/1.1 101 Switching Protocols",
)

REFUSED = (
    [(b"status line " + line, line + b"\r\n" + EMPTY) for line in STATUS_LINES] +
    [(b"CL with " + line, OK + b"Content-Length: 5\r\n" + line + b"\r\n\r\n0\r\n\r\n" + POISON)
     for line in corpus.TE_LINES + (b"Transfer-Encoding: chunked",)] +
    [(b"only " + line, OK + line + b"\r\n\r\n0\r\n\r\n" + POISON) for line in corpus.TE_LINES] +
    [(b"CL " + value, OK + b"Content-Length: " + value + b"\r\n\r\nhello" + POISON) for value in corpus.CL_VALUES] +
    [(b"CL twice, " + value, OK + b"Content-Length: 5\r\nContent-Length: " + value + b"\r\n\r\nhello")
     for value in (b"0", b"6", b"", b"x", b"+5")] +
    [(b"field " + line, OK + line + b"\r\n" + EMPTY) for line in corpus.BAD_FIELDS if line] +
    [(b"1.0 with TE", b"HTTP/1.0 200 OK\r\n" + TE + b"\r\n5\r\nhello\r\n0\r\n\r\n"),
     (b"a bare LF after the status line", b"HTTP/1.1 200 OK\n" + EMPTY),
     (b"bare LFs", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
     (b"a bare LF as the end of the head", OK + b"Content-Length: 0\r\n\n"),
     (b"a blank first line", b"\r\n" + OK + EMPTY),
     (b"an endless head", OK + b"X: " + b"a" * 100_000),
     (b"too many fields", OK + b"X: 1\r\n" * 2000 + EMPTY),
     (b"endless interim responses", b"HTTP/1.1 102 Processing\r\n\r\n" * 5000)]
)

BROKEN = (
    [(b"chunk " + start, OK + TE + b"\r\n" + start + corpus.END + POISON) for start in corpus.CHUNK_STARTS] +
    [(b"end of chunks " + end.replace(b"/#", b"/x"),
      OK + TE + b"\r\n5\r\nhello\r\n" + end.replace(b"/#", b"/x") + POISON)
     for end in corpus.CHUNK_ENDS] +
    [(b"an extension without end", OK + TE + b"\r\n5;" + b"x" * 70000 + b"\r\nhello\r\n0\r\n\r\n")]
)

CUT = (
    (b"half a head", OK + b"Content-Le"), (b"nothing", b""), (b"a head without its end", OK + b"Content-Length: 5\r\n"),
    (b"no body", OK + b"Content-Length: 5\r\n\r\n"), (b"half a body", OK + b"Content-Length: 5\r\n\r\nhel"),
    (b"a body of almost 64 bits", OK + b"Content-Length: 9223372036854775807\r\n\r\nhello" + POISON),
    (b"no chunk", OK + TE + b"\r\n"), (b"half a chunk", OK + TE + b"\r\n5\r\nhe"),
    (b"half a chunk size", OK + TE + b"\r\n5"),
    (b"no last chunk", OK + TE + b"\r\n5\r\nhello\r\n"), (b"half a last chunk", OK + TE + b"\r\n5\r\nhello\r\n0\r\n"),
    (b"trailers without end", OK + TE + b"\r\n5\r\nhello\r\n0\r\nX: 1\r\n"),
    (b"only an interim response", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
)

WHOLE = (
    (b"by length", OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    (b"by chunks", OK + TE + b"\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"extensions and trailers", OK + TE + b"\r\n3;a=b\r\nhel\r\n02\r\nlo\r\n0\r\nX: 1\r\n\r\n", b"hello"),
    (b"TE in another case", OK + b"tRANSFER-eNCODING: cHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"no reason", b"HTTP/1.1 200 \r\n" + EMPTY, b""),
    (b"an unknown status", b"HTTP/1.1 599 ?\r\nContent-Length: 2\r\n\r\nno", b"no"),
    (b"204", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    (b"304 with chunks", b"HTTP/1.1 304 Not Modified\r\n" + TE + b"\r\n", b""),
    (b"an interim response first", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + EMPTY, b""),
    (b"Connection names content-length", OK + b"Connection: content-length\r\nContent-Length: 5\r\n\r\nhello",
     b"hello"),
    (b"a response as its body", OK + b"Content-Length: %d\r\n\r\n" % len(POISON) + POISON, POISON),
    (b"1.0 that keeps alive", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    (b"8-bit bytes", OK + b"X: \xe9\xff\r\nContent-Length: 0\r\n\r\n", b""),
)

POISONED = (
    [(b"after " + name, data + POISON, body) for name, data, body in WHOLE] +
    [(b"a body of 204", b"HTTP/1.1 204 No Content\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b""),
     (b"a body of 304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", b""),
     (b"blank lines", OK + EMPTY + b"\r\n\r\n" + POISON, b""),
     (b"one byte", OK + EMPTY + b"H", b""),
     (b"more than its length", OK + b"Content-Length: 5\r\n\r\nhello!", b"hello")]
)
