// The modules of the console that need no browser: `node --test tests/web/console.test.mjs`.

import assert from "node:assert/strict";
import { test } from "node:test";

Object.defineProperty(globalThis, "navigator", { value: { language: "en" }, configurable: true });
globalThis.localStorage = { getItem: () => null, setItem: () => {} };

const at = new URL("../../src/groupd/web/static/", import.meta.url);
const { niceMax, paths } = await import(new URL("console/chart.js", at));
const { say, sayBytes, sayError, sayMs, saySpan } = await import(new URL("console/words.js", at));

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
