// Google's client of grpc-web against tests/interop/grpc_server.py behind a proxy: client.js URL (text|binary).
// A line for each case; an error ends it.
"use strict";
global.XMLHttpRequest = require("xhr2");
const assert = require("assert");
const { GrpcWebClientBase, MethodDescriptor, MethodType } = require("grpc-web");

const [url, format] = process.argv.slice(2);
const client = new GrpcWebClientBase({ format });

function method(name, type) {
  return new MethodDescriptor(`/echo.Echo/${name}`, type, Uint8Array, Uint8Array, (message) => message,
    (bytes) => Buffer.from(bytes));
}

// {message, error}
function unary(name, message, metadata = {}) {
  return new Promise((resolve) => client.rpcCall(`${url}/echo.Echo/${name}`, message, metadata,
    method(name, MethodType.UNARY), (error, answer) => resolve({ error, message: answer })));
}

// {messages, status}
function serverStream(name, message) {
  return new Promise((resolve, reject) => {
    const messages = [];
    let status = null;
    const stream = client.serverStreaming(`${url}/echo.Echo/${name}`, message, {},
      method(name, MethodType.SERVER_STREAMING));
    stream.on("data", (part) => messages.push(part));
    stream.on("status", (found) => { status = found; });
    stream.on("error", reject);
    stream.on("end", () => resolve({ messages, status }));
  });
}

async function main() {
  for (const content of [Buffer.from("hello"), Buffer.alloc(0), Buffer.alloc(300000, "abcdefg")]) {
    const { error, message } = await unary("Unary", content);
    assert.ifError(error);
    assert.ok(message.equals(content), `${message.length} bytes for ${content.length}`);
  }
  console.log("unary: fine");
  for (const code of [5, 13, 14]) {
    const { error } = await unary("Fail", Buffer.from(String(code)));
    assert.strictEqual(error.code, code);
    assert.strictEqual(error.message, "as asked: 50% \u00e9");
  }
  assert.strictEqual((await unary("None", Buffer.alloc(0))).error.code, 12);
  console.log("errors: fine");
  const { messages } = await serverStream("ServerStream", Buffer.from("50,1000"));
  assert.strictEqual(messages.length, 50);
  messages.forEach((part, i) => assert.ok(part.equals(Buffer.alloc(1000, i))));
  console.log("server stream: fine");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
