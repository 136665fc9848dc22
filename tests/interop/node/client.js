// A client of the interop tests: Node's http against a proxy.  It prints one line per case.
'use strict';
const assert = require('assert');
const http = require('http');

const base = process.argv[2];
const agent = new http.Agent({keepAlive: true, maxSockets: 64});

// Resolves with {response, body}; `send` writes the body and ends the request.
function exchange(method, path, options = {}, send = (request) => request.end()) {
  return new Promise((resolve, reject) => {
    const request = http.request(base + path, {method, agent, timeout: 30000, ...options}, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        if (!response.complete) return reject(new Error('the response was cut short'));
        resolve({request, response, body: Buffer.concat(parts)});
      });
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('no answer')));
    send(request);
  });
}

async function echoed(method, path, wanted, options, send) {
  const {response, body} = await exchange(method, path, options, send);
  assert.strictEqual(response.statusCode, 200);
  const seen = JSON.parse(body);
  for (const [key, value] of Object.entries({method, ...wanted})) assert.deepStrictEqual(seen[key], value, key);
  return response;
}

const cases = {
  'get': () => echoed('GET', '/get', {length: 0, chunked: false}),
  'post with a length': () => echoed('POST', '/post', {length: 5, chunked: false}, {headers: {'Content-Length': 5}},
    (request) => request.end('hello')),
  'post in chunks': () => echoed('POST', '/post', {length: 100000, chunked: true}, {}, (request) => {
    for (let n = 0; n < 10; n++) request.write(Buffer.alloc(10000));
    request.end();
  }),
  'trailers': async () => {
    const response = await echoed('POST', '/trailers', {trailers: [['x-sum', '5']]}, {headers: {Trailer: 'X-Sum'}},
      (request) => {
        request.write('hello');
        request.addTrailers({'X-Sum': '5'});
        request.end();
      });
    assert.deepStrictEqual({...response.trailers}, {'x-end': 'yes'});
  },
  'expect': async () => {
    let asked = false;
    await echoed('POST', '/expect', {length: 5}, {headers: {'Expect': '100-continue', 'Content-Length': 5}}, (request) => {
      request.on('continue', () => { asked = true; request.end('hello'); });
      request.flushHeaders();
    });
    assert(asked);
  },
  'head': async () => {
    const {response, body} = await exchange('HEAD', '/head');
    assert.strictEqual(response.statusCode, 200);
    assert.strictEqual(body.length, 0);
    assert(Number(response.headers['content-length']) > 0);
  },
  'large': async () => {
    const size = 8 << 20;
    await echoed('PUT', '/put', {length: size}, {headers: {'Content-Length': size}}, (request) => request.end(Buffer.alloc(size)));
    const {body} = await exchange('GET', '/bytes/' + size);
    assert.strictEqual(body.length, size);
  },
  'keep-alive': async () => {
    let reused = 0;
    for (let n = 0; n < 20; n++) reused += (await exchange('GET', '/get')).request.reusedSocket ? 1 : 0;
    assert(reused >= 19, `${reused} of 20 requests on a kept connection`);
  },
  'concurrent': () => Promise.all(Array.from({length: 32}, async () => {
    for (let n = 0; n < 50; n++) {
      await echoed('POST', '/post', {length: n * 100}, {}, (request) => request.end('x'.repeat(n * 100)));
    }
  })),
};

require('./cases.js').run(cases);
