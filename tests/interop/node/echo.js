// A backend of tests that compare protocols: node echo.js PORT http1|h2c|small|tls|tls1 [CERT KEY]
// The same handler behind HTTP/1.1, HTTP/2 in clear text, TLS with a choice by ALPN, and TLS without.
//
// It answers with what the request was, as JSON.  The query asks for something else: status=N, size=N (bytes instead
// of the JSON), sized (with Content-Length), trailer (its value is the body's length), early (the head before the body
// of the request is there), cut (the stream is reset behind its first part), reset=ERROR (before the head), die, hints
// (102 and 103 before the head).  "small" is h2c with the smallest settings: windows, streams, no table.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const http2 = require('http2');

const [port, kind, cert, key] = process.argv.slice(2);

function handle(request, response) {
  const query = new URL(request.url, 'http://x').searchParams;
  const digest = crypto.createHash('sha256');
  let length = 0;
  const trailers = () => request.trailers || {};
  request.on('data', (chunk) => { length += chunk.length; digest.update(chunk); });
  request.on('end', () => answer(request, response, query, {length, digest: digest.digest('hex'), trailers: trailers()}));
  request.on('error', () => {});
  response.on('error', () => {});
}

function answer(request, response, query, body) {
  const number = (name) => Number(query.get(name) || 0);
  if (query.has('reset')) return request.stream ? request.stream.close(number('reset')) : request.socket.destroy();
  if (query.has('die')) return (request.stream ? request.stream.session.socket : request.socket)._handle.reset(() => {});
  if (query.has('hints')) inform(request, response);
  const fields = {};
  for (const [name, value] of Object.entries(request.headers)) if (!name.startsWith(':')) fields[name] = value;
  const text = Buffer.from(JSON.stringify({
    protocol: request.httpVersion, method: request.method, path: request.url,
    authority: request.headers[':authority'] || request.headers.host, fields, ...body}));
  const payload = query.has('size') ? Buffer.alloc(number('size'), 'x') : text;
  response.statusCode = number('status') || 200;
  response.setHeader('content-type', 'application/json');
  response.setHeader('x-from', ['one', 'two']);
  if (query.has('sized')) response.setHeader('content-length', payload.length);
  if (query.has('trailer')) response.setHeader('trailer', 'x-sum');
  if (query.has('early')) response.writeHead(response.statusCode);
  if (request.method === 'HEAD' || response.statusCode === 204 || response.statusCode === 304) return response.end();
  if (query.has('cut')) {
    response.write(payload);
    return setTimeout(() => request.stream ? request.stream.close(2) : request.socket.destroy(), 20);
  }
  if (query.has('trailer')) response.addTrailers({'x-sum': String(payload.length)});
  response.end(payload);
}

function inform(request, response) {
  request.stream ? request.stream.additionalHeaders({':status': 102}) : response.writeProcessing();
  response.writeEarlyHints({link: '</style.css>; rel=preload'});
}

let server;
if (kind === 'http1') server = http.createServer(handle);
// Beyond 10 MB of a session's memory Node would reset streams.
if (kind === 'h2c') server = http2.createServer({settings: {maxConcurrentStreams: 10}, maxSessionMemory: 1000}, handle);
if (kind === 'small') {
  server = http2.createServer(
    {settings: {maxConcurrentStreams: 3, initialWindowSize: 1000, headerTableSize: 0}, maxSessionMemory: 1000}, handle);
}
if (kind.startsWith('tls')) {
  const files = {cert: fs.readFileSync(cert), key: fs.readFileSync(key)};
  if (kind === 'tls') server = http2.createSecureServer({...files, allowHTTP1: true, maxSessionMemory: 1000}, handle);
  if (kind === 'tls1') server = require('https').createServer(files, handle);
}
server.on('sessionError', () => {});
server.listen(Number(port), '127.0.0.1');
