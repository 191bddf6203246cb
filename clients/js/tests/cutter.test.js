/** Bytes into messages, whatever the pieces are. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Cutter } from "../lib/cutter.js";
import { decodeMessage, encodeRequest } from "../lib/rpc.js";
import { decode, encode } from "../lib/vendor/msgpack.js";
import { seeded } from "./fakes.js";

const LIMITS = { messageMaxBytes: 1_000, depthMax: 8 };
const VECTORS = new URL("../../../proto/vectors/", import.meta.url);
const vectors = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, VECTORS), "utf8"));
const bytesOf = (hex) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

test("messages are cut as the vectors say, in whatever pieces they come", () => {
  const hexOf = Object.fromEntries(vectors("good").map(({ name, hex }) => [name, hex]));
  for (const { name, hex, cuts, messages } of vectors("streams")) {
    const data = bytesOf(hex);
    const cutter = new Cutter({ messageMaxBytes: 1 << 20, depthMax: 64 });
    const found = [];
    let start = 0;
    for (const end of [...cuts, data.length]) {
      found.push(...cutter.feed(data.subarray(start, end)));
      start = end;
    }
    const hexes = found.map((each) => Buffer.from(each).toString("hex"));
    assert.deepEqual(hexes, messages.map((each) => hexOf[each]), name);
  }
});

test("any values come out as they went in, byte by byte or at once", () => {
  const chance = seeded(7);
  const value = (depth) => {
    const kind = Math.floor(chance() * (depth > 0 ? 8 : 6));
    if (kind === 0) return null;
    if (kind === 1) return chance() < 0.5;
    if (kind === 2) return Math.floor((chance() - 0.5) * 2 ** (1 + chance() * 52));
    if (kind === 3) return chance();
    if (kind === 4) return "好x".repeat(Math.floor(chance() * 60));
    if (kind === 5) return "";
    const items = Array.from({ length: Math.floor(chance() * 20) }, () => value(depth - 1));
    return kind === 6 ? items : Object.fromEntries(items.map((item, at) => [`k${at}`, item]));
  };
  const values = Array.from({ length: 60 }, () => [value(3)]);
  const encoded = values.map((each) => encode(each));
  const stream = Uint8Array.from(encoded.flatMap((each) => [...each]));
  for (const step of [1, 7, stream.length]) {
    const cutter = new Cutter({ messageMaxBytes: 1 << 20, depthMax: 64 });
    const found = [];
    for (let at = 0; at < stream.length; at += step) {
      found.push(...cutter.feed(stream.subarray(at, at + step)));
    }
    assert.deepEqual(found.map((each) => decode(each)), values);
    assert.equal(cutter.keptBytes, 0);
  }
});

test("what is too large or too deep is refused before it has come", () => {
  const refused = [
    [[0xdb, 0x7f, 0xff, 0xff, 0xff], /1000 bytes/],
    [[0xdd, 0xff, 0xff, 0xff, 0xff], /1000 bytes/],
    [[0xdf, 0xff, 0xff, 0xff, 0xff], /1000 bytes/],
    [Array(20).fill(0x91), /8 levels/],
    [[0xc1], /does not have/],
  ];
  for (const [bytes, words] of refused) {
    assert.throws(() => new Cutter(LIMITS).feed(Uint8Array.from(bytes)), words);
  }
  const cutter = new Cutter(LIMITS);
  const text = Uint8Array.from([0xda, 1, 0x90, ...Array(400).fill(0x61)]);
  cutter.feed(Uint8Array.of(0x93));
  cutter.feed(text);
  cutter.feed(text);
  assert.throws(() => cutter.feed(Uint8Array.of(0xda, 1, 0x90)), /1000 bytes/);
});

test("a key that a decoder refuses cuts nobody off, and changes no object", () => {
  // As a member may write it: {"__proto__": {"admin": true}, "text": "__proto__"}
  const bytes = Buffer.concat([
    Buffer.from([0x93, 0x02, 0xa5]), Buffer.from("event"), Buffer.from([0x91, 0x82, 0xa9]),
    Buffer.from("__proto__"), Buffer.from([0x81, 0xa5]), Buffer.from("admin"),
    Buffer.from([0xc3, 0xa4]), Buffer.from("text"), Buffer.from([0xa9]), Buffer.from("__proto__"),
  ]);
  for (const step of [1, bytes.length]) {
    const cutter = new Cutter(LIMITS);
    const found = [];
    for (let at = 0; at < bytes.length; at += step) {
      found.push(...cutter.feed(Uint8Array.from(bytes.subarray(at, at + step))));
    }
    const { params } = decodeMessage(found[0]);
    assert.equal(params.text, "__proto__");
    assert.equal(params.admin, undefined);
    assert.equal(Object.getPrototypeOf(params), Object.prototype);
  }
});

test("a request has the bytes of the page for client authors", () => {
  const hello = encodeRequest(1, "hello", { token: "eyJ.e30.c2ln", client: "tea/1.0", name: undefined });
  const expected = "94 00 01 a5 68 65 6c 6c 6f 91 82 a5 74 6f 6b 65 6e ac 65 79 4a 2e 65 33"
    + "30 2e 63 32 6c 6e a6 63 6c 69 65 6e 74 a7 74 65 61 2f 31 2e 30";
  assert.deepEqual(Uint8Array.from(hello), bytesOf(expected));
});

test("what is no message of a server's is refused", () => {
  for (const bad of [7, [], [0, 1, "ping", []], [1, 1, null, null], [1, "x", null, {}],
    [1, 1, { code: "x" }, {}], [2, 7, []], [2, "event", {}], [3, 1, 2, 3]]) {
    assert.throws(() => decodeMessage(encode(bad)), { name: "ProtocolError" }, JSON.stringify(bad));
  }
});
