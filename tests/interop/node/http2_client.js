// A client of the interop tests: Node's http2 against a proxy before echo.js.  It prints one line per case.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const http2 = require('http2');
const {once} = require('events');
const {setTimeout: pause} = require('timers/promises');

const LARGE = 8 << 20;
// Beyond 10 MB of a session's memory Node would reset streams.
const OPTIONS = {rejectUnauthorized: false, settings: {enablePush: false}, maxSessionMemory: 1000};
const session = http2.connect(process.argv[2], OPTIONS);
session.on('error', (error) => { console.log(`the session: ${error.message}`); process.exit(1); });
session.on('stream', () => { console.log('the session: something was pushed'); process.exit(1); });

// Resolves with {headers, trailers, body} of an answer that is complete; `send` writes the body and ends the request.
function exchange(fields, send = (stream) => stream.end(), read = (stream) => stream) {
  return new Promise((resolve, reject) => {
    const stream = session.request({':method': 'POST', ...fields}, {endStream: false, waitForTrailers: true});
    const answer = {trailers: {}, interim: []};
    const parts = [];
    stream.on('wantTrailers', () => stream.sendTrailers(stream.toSend || {}));
    stream.on('response', (headers) => { answer.headers = headers; read(stream); });
    stream.on('headers', (headers) => answer.interim.push(headers));
    stream.on('trailers', (trailers) => { answer.trailers = Object.fromEntries(Object.entries(trailers)); });
    stream.on('data', (part) => parts.push(part));
    stream.on('error', reject);
    stream.on('close', () => {
      if (stream.rstCode !== 0) return reject(new Error(`reset: ${stream.rstCode}`));
      if (!answer.headers || !stream.readableEnded) return reject(new Error('no whole answer'));
      resolve({...answer, body: Buffer.concat(parts)});
    });
    send(stream);
  });
}

async function echoed(path, body, fields = {}) {
  const answer = await exchange({':path': path, ...fields}, (stream) => stream.end(body));
  assert.strictEqual(answer.headers[':status'], 200);
  const seen = JSON.parse(answer.body);
  assert.strictEqual(seen.length, body.length);
  assert.strictEqual(seen.digest, crypto.createHash('sha256').update(body).digest('hex'));
  return seen;
}

const seconds = async (count, promise) => Promise.race([
  promise, pause(count * 1000, null, {ref: false}).then(() => { throw new Error(`not within ${count} s`); })]);

// A download of which something has come, and which is not read further.
async function begunDownload() {
  const stream = session.request({':path': `/?size=${4 * LARGE}`});
  stream.on('error', () => {});
  await once(stream, 'response');
  await once(stream, 'readable');
  return stream;
}

// Ends a stream in the middle; the session and its other streams go on.
async function cancel(stream, code = http2.constants.NGHTTP2_CANCEL) {
  const closed = new Promise((resolve) => stream.once('close', resolve)); // once() would throw the reset's error
  stream.close(code);
  await closed;
  assert.strictEqual((await seconds(20, echoed('/after', Buffer.from('x')))).path, '/after');
}

const cases = {
  'concurrent streams': () => Promise.all(Array.from({length: 200}, async (_, n) => {
    const seen = await echoed(`/${n}`, Buffer.alloc(n * 100, String(n)), {'x-number': String(n)});
    assert.deepStrictEqual([seen.path, seen.fields['x-number']], [`/${n}`, String(n)]);
  })),
  'large': async () => {
    const all = Array.from({length: 3}, () => [
      echoed('/', crypto.randomBytes(LARGE)),
      exchange({':path': `/?size=${LARGE}`}).then(({body}) => assert.strictEqual(body.length, LARGE))]);
    await Promise.all(all.flat());
  },
  'back-pressure': async () => {
    // Streams that nobody reads for now hold up none of the others, and lose nothing.
    const held = await Promise.all(Array.from({length: 3}, begunDownload));
    await seconds(20, Promise.all(Array.from({length: 50}, (_, n) => echoed(`/${n}`, Buffer.alloc(10000)))));
    for (const stream of held) {
      let length = 0;
      for await (const part of stream) length += part.length;
      assert.strictEqual(length, 4 * LARGE);
    }
  },
  'trailers': async () => {
    const {trailers, body} = await exchange({':path': '/?trailer', 'trailer': 'x-end'}, (stream) => {
      stream.toSend = {'x-end': '7'};
      stream.end('hello');
    });
    assert.deepStrictEqual(JSON.parse(body).trailers, {'x-end': '7'});
    assert.deepStrictEqual(trailers, {'x-sum': String(body.length)});
  },
  'interim answers': async () => {
    const {headers, interim} = await exchange({':path': '/?hints'});
    assert.strictEqual(headers[':status'], 200);
    assert.deepStrictEqual(interim.map((each) => [each[':status'], each.link]),
      [[102, undefined], [103, '</style.css>; rel=preload']]);
  },
  'expect': async () => {
    const answer = await exchange({':path': '/', 'expect': '100-continue'}, (stream) => {
      stream.once('continue', () => stream.end('after'));
    });
    assert.deepStrictEqual([answer.interim.map((each) => each[':status']), JSON.parse(answer.body).length], [[100], 5]);
  },
  'resets': async () => {
    // Of the server before its answer, and of ours in the middle of one, with every code.  (With 0 Node itself goes on.)
    for (let code = 0; code <= 13; code++) {
      const {headers} = await seconds(20, exchange({':path': `/?reset=${code}`}));
      assert.strictEqual(headers[':status'], 503, `after a reset with ${code}`);
      if (code !== 0) await cancel(await begunDownload(), code);
    }
  },
  'a small window': async () => {
    // Each part is read before there is window for the next one.
    const small = http2.connect(
      process.argv[2], {...OPTIONS, settings: {...OPTIONS.settings, initialWindowSize: 1000, headerTableSize: 0}});
    const stream = small.request({':path': '/?size=200000'});
    let length = 0;
    for await (const part of stream) {
      assert.ok(part.length <= 1000, `${part.length} bytes`);
      length += part.length;
    }
    assert.strictEqual(length, 200000);
    small.close();
  },
  'a download that is cancelled': async () => cancel(await begunDownload()),
  'an upload that is cancelled': async () => {
    const stream = session.request({':method': 'PUT', ':path': '/'});
    stream.on('error', () => {});
    await new Promise((resolve) => stream.write(Buffer.alloc(1 << 20), resolve));
    await cancel(stream);
  },
  'an answer that is cut off': async () => {
    const cut = seconds(20, exchange({':path': '/?cut&size=10000'}));
    await assert.rejects(cut, (error) => /reset: [1-9]|NGHTTP2_/.test(error.message));
    await cancel(await begunDownload());
  },
  'ping': async () => {
    const payload = Buffer.from('12345678');
    const [error, , echoedPayload] = await new Promise((resolve) => session.ping(payload, (...got) => resolve(got)));
    assert.ifError(error);
    assert.deepStrictEqual(echoedPayload, payload);
  },
  'the end': async () => {
    const last = echoed('/last', Buffer.alloc(100000));
    session.close(); // GOAWAY: what began is served
    await last;
    if (!session.destroyed) await seconds(20, once(session, 'close'));
  },
};

require('./cases.js').run(cases);
