// The modules of the console that need no browser: `node --test tests/web/console.test.mjs`.

import assert from "node:assert/strict";
import { test } from "node:test";

Object.defineProperty(globalThis, "navigator", { value: { language: "en" }, configurable: true });
globalThis.localStorage = { getItem: () => null, setItem: () => {} };

const at = new URL("../../src/groupd/web/static/", import.meta.url);
const { niceMax, paths } = await import(new URL("console/chart.js", at));
const { Rpc, requestId } = await import(new URL("console/rpc.js", at));
const { say, sayBytes, sayError, sayMs, saySpan } = await import(new URL("console/words.js", at));
const { decodeMulti, encode } = await import(new URL("client/vendor/msgpack.js", at));

// --- charts

test("a scale ends at 1, 2 or 5 times a power of ten", () => {
  const wanted = [[0, 1], [0.3, 0.5], [1, 1], [3, 5], [11, 20], [51, 100], [1_000, 1_000]];
  for (const [value, max] of wanted) assert.equal(niceMax(value), max);
});

test("a line has a gap where nothing is known, and none where a second is late", () => {
  const until = 1_000_000;
  const points = [0, 1, 2.5, 20, 21].map((s) => ({ timeMs: until - 30_000 + s * 1_000, value: 1 }));
  const { line, area } = paths(points, until, 2);
  assert.equal(line.match(/M/g).length, 2);
  assert.equal(area.match(/Z/g).length, 2);
  points[1].value = null;
  assert.equal(paths(points, until, 2).line.match(/M/g).length, 3);
});

test("a line stays in its picture", () => {
  const until = 1_000_000;
  const points = [-700, -600, -300, 0].map((s) => ({ timeMs: until + s * 1_000, value: 9 }));
  const { line } = paths(points, until, 5);
  const numbers = line.match(/-?\d+(\.\d+)?/g).map(Number);
  assert.equal(numbers.length, 6); // What is older than ten minutes is left out.
  for (const number of numbers) assert.ok(number >= 0 && number <= 600);
});

test("nothing makes an empty line", () => {
  assert.deepEqual(paths([], 1_000, 1), { line: "", area: "" });
});

// --- words

test("figures are said with their units", () => {
  assert.equal(sayMs(undefined), "–");
  assert.equal(sayMs(2.44), "2.4 ms");
  assert.equal(sayMs(1_500), "1.5 s");
  assert.equal(sayBytes(999), "999 B");
  assert.equal(sayBytes(2_500_000), "2.5 MB");
  assert.equal(saySpan(90 * 60_000), "1 h 30 min");
  assert.equal(saySpan(50 * 3_600_000), "2 d 2 h");
});

test("an error is said by its reason, else its code, else its own message", () => {
  assert.match(sayError({ code: "forbidden", reason: "rank", message: "no" }), /owner/);
  assert.match(sayError({ code: "not_found", message: "no" }), /no such thing/);
  assert.match(sayError({ code: "internal", message: "a bug" }), /a bug/);
  assert.equal(say("banTitle", { user: "<b>", group: "{user}" }), "Ban <b> from {user}");
});

// --- the connection

test("a request id is a UUIDv7 with the time in it", () => {
  const id = requestId(1_750_000_000_000);
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(parseInt(id.replaceAll("-", "").slice(0, 12), 16), 1_750_000_000_000);
  assert.notEqual(requestId(1), requestId(1));
});

class FakeSocket {
  static all = [];

  constructor() {
    this.sent = [];
    this.listeners = {};
    FakeSocket.all.push(this);
  }

  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }

  send(data) {
    this.sent.push(...decodeMulti(data));
  }

  close() {
    this.listeners.close({});
  }

  hear(...messages) {
    const bytes = Buffer.concat(messages.map((message) => Buffer.from(encode(message))));
    this.listeners.message({ data: new Uint8Array(bytes).buffer });
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function ready(context) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.WebSocket = FakeSocket;
  FakeSocket.all = [];
  const states = [];
  const rpc = new Rpc("ws://here/ws", "token", (state) => states.push(state));
  const [socket] = FakeSocket.all;
  socket.listeners.open();
  const [, msgid, method, [params]] = socket.sent[0];
  assert.equal(method, "hello");
  assert.equal(params.token, "token");
  assert.equal(params.events, false);
  socket.hear([1, msgid, null, { time_ms: Date.now() + 5_000 }]);
  await turn();
  return { rpc, socket, states };
}

test("it says hello, and then answers go to who has asked, in any order", async (context) => {
  const { rpc, socket, states } = await ready(context);
  assert.deepEqual(states, ["connecting", "ready"]);
  assert.ok(Math.abs(rpc.nowMs - Date.now() - 5_000) < 1_000);
  const first = rpc.call("operator_groups", { query: "茶" });
  const second = rpc.call("operator_user", { user: "ann" });
  const [one, two] = socket.sent.slice(1).map((message) => message[1]);
  // Several messages may come in one.
  socket.hear([1, two, { code: "not_found", message: "no" }, null], [1, one, null, { groups: [] }]);
  assert.deepEqual(await first, { groups: [] });
  await assert.rejects(second, { code: "not_found" });
});

test("what waits is refused when the connection goes, and it comes again", async (context) => {
  const { rpc, socket, states } = await ready(context);
  const call = rpc.call("operator_figures");
  socket.close();
  await assert.rejects(call, { code: "disconnected" });
  await assert.rejects(rpc.call("operator_figures"), { code: "disconnected" });
  assert.equal(FakeSocket.all.length, 1);
  context.mock.timers.tick(500);
  assert.equal(FakeSocket.all.length, 2);
  assert.deepEqual(states.slice(2), ["connecting", "connecting"]);
});

test("a token that proves nothing is not tried again", async (context) => {
  const { socket, states } = await ready(context);
  socket.hear([2, "goodbye", [{ code: "unauthenticated", message: "over" }]]);
  socket.close();
  context.mock.timers.tick(60_000);
  assert.equal(states.at(-1), "refused");
  assert.equal(FakeSocket.all.length, 1);
});

test("who gets no answer is told so, and a late one does no harm", async (context) => {
  const { rpc, socket } = await ready(context);
  const call = rpc.call("operator_figures");
  const { 1: msgid } = socket.sent.at(-1);
  context.mock.timers.tick(30_000);
  await assert.rejects(call, { code: "timeout" });
  socket.hear([1, msgid, null, {}]);
});

test("no more wait than there is room for", async (context) => {
  const { rpc } = await ready(context);
  const calls = Array.from({ length: 64 }, () => rpc.call("operator_figures"));
  await assert.rejects(rpc.call("operator_figures"), { code: "busy" });
  rpc.close();
  for (const call of calls) await assert.rejects(call, { code: "disconnected" });
});
