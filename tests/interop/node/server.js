// A backend of the interop tests: answers every request and prints what it was, one JSON line each.
'use strict';
const fs = require('fs');
const http = require('http');

const server = http.createServer((request, response) => {
  let length = 0;
  request.on('data', (chunk) => { length += chunk.length; });
  request.on('end', () => {
    if (!request.complete) return; // a request cut short is none
    fs.writeSync(1, JSON.stringify({method: request.method, path: request.url, length}) + '\n');
    response.end('ok');
  });
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), '127.0.0.1');
