/** Ids, back-off, clock, tokens, cursors: rules without a wire. */

import assert from "node:assert/strict";
import test from "node:test";

import { delayMs } from "../lib/backoff.js";
import { ServerClock } from "../lib/clock.js";
import { ACCOUNT, Cursors } from "../lib/cursors.js";
import { Rejected } from "../lib/errors.js";
import { RisingIds, uuid7 } from "../lib/ids.js";
import { LIMITS, limitsWith } from "../lib/limits.js";
import { TokenSource, claimsOf, expiryMs } from "../lib/tokens.js";
import { seeded } from "./fakes.js";

const draw = (byte, count) => new Uint8Array(count).fill(byte);

test("an id is a UUIDv7 of its time", () => {
  const id = new RisingIds().make(0x0197764f5c00, draw(0xff, 10));
  assert.match(id, /^0197764f-5c00-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(uuid7(0, 0n), "00000000-0000-7000-8000-000000000000");
});

test("ids rise within a millisecond, and when the clock steps back", () => {
  const ids = new RisingIds();
  const made = [5, 5, 5, 3, 6].map((ms) => ids.make(ms, draw(0xff, 10)));
  assert.deepEqual(made, [...made].sort());
  assert.equal(new Set(made).size, made.length);
});

test("a wait is drawn from all of what it may be, up to its cap", () => {
  assert.equal(delayMs(1, draw(0, 6), LIMITS), 0);
  assert.equal(delayMs(1, draw(0xff, 6), LIMITS), 1_000);
  assert.equal(delayMs(3, draw(0xff, 6), LIMITS), 4_000);
  assert.equal(delayMs(2_000, draw(0xff, 6), LIMITS), 30_000);
  assert.equal(delayMs(2, draw(0x80, 6), LIMITS), 1_004);
});

test("limits are whole numbers above 0 that exist", () => {
  assert.equal(limitsWith({ callsMax: 3 }).callsMax, 3);
  assert.throws(() => limitsWith({ callsMax: 0 }), /callsMax/);
  assert.throws(() => limitsWith({ callsMin: 1 }), /callsMin/);
  assert.throws(() => limitsWith({ backoffBaseMs: 40_000 }), /backoffCapMs/);
});

test("the server's clock goes on by whichever clock has passed more", () => {
  let [wall, steady] = [1_000, 0];
  const clock = new ServerClock({ wallMs: () => wall, steadyMs: () => steady });
  clock.set(50_000);
  steady += 10;
  assert.equal(clock.nowMs(), 50_010);
  // The machine has slept.
  wall += 5_000;
  assert.equal(clock.nowMs(), 55_000);
});

test("a token is read, not believed", () => {
  const claims = Buffer.from(JSON.stringify({ sub: "小雨", exp: 12 })).toString("base64url");
  assert.equal(claimsOf(`x.${claims}.y`).sub, "小雨");
  assert.equal(expiryMs(`x.${claims}.y`), 12_000);
  for (const bad of ["", "a.b.c", "a", `x.${Buffer.from("7").toString("base64url")}.y`]) {
    assert.equal(expiryMs(bad), null);
  }
});

test("what a token's function throws, or gives that is none, is a TokenError", async () => {
  const failing = () => Promise.reject(new Error("logged out"));
  await assert.rejects(new TokenSource(failing).get(), { name: "TokenError", message: /logged out/ });
  await assert.rejects(new TokenSource(() => 7).get(), { name: "TokenError" });
});

test("an error is code, reason and details, and an unknown code is internal", () => {
  const refusal = Rejected.fromWire({ code: "forbidden", message: "no", reason: "role", got: 1 });
  assert.deepEqual([refusal.code, refusal.reason, refusal.details.got], ["forbidden", "role", 1]);
  assert.equal(Rejected.fromWire({ code: "newer" }).code, "internal");
  assert.equal(Rejected.fromWire(null).code, "internal");
  assert.equal(Rejected.fromWire({ code: "muted", retry_after_ms: -5 }).retryAfterMs, 0);
});

test("a push that comes next is taken, an old one dropped, a later one fetched", () => {
  const cursors = new Cursors([[ACCOUNT, 0], ["g", 3]]);
  assert.equal(cursors.offer("g", 4, true), true);
  assert.equal(cursors.offer("g", 4, true), false);
  assert.equal(cursors.offer("g", 6, true), false);
  // It would be the next one, but the fetch brings it.
  assert.equal(cursors.offer("g", 5, true), false);
  assert.deepEqual([...cursors.behind(9)], [["g", 4]]);
});

test("an old push wants no fetch, and what is fetched twice is taken once", () => {
  const cursors = new Cursors([[ACCOUNT, 0], ["g", 3]]);
  cursors.offer("g", 2, true);
  assert.equal(cursors.behind(9).size, 0);
  assert.equal(cursors.take("g", 3), false);
  assert.equal(cursors.take("g", 4), true);
  assert.equal(cursors.take("g", 4), false);
});

test("what is pushed while a page is on its way is fetched after it", () => {
  const cursors = new Cursors([[ACCOUNT, 0], ["g", 3]]);
  cursors.offer("g", 5, true);
  cursors.behind(9);
  cursors.offer("g", 6, true);
  cursors.take("g", 4);
  cursors.take("g", 5);
  cursors.fetched("g", 5, false);
  assert.deepEqual([...cursors.behind(9)], [["g", 5]]);
});

test("the push of an unknown group is the user's joining", () => {
  const cursors = new Cursors([[ACCOUNT, 0]]);
  assert.equal(cursors.offer("new", 17, true), true);
  assert.equal(cursors.offer("new", 18, true), true);
});

test("the account is fetched first, and says where a group joined unseen begins", () => {
  const cursors = new Cursors([[ACCOUNT, 0]]);
  cursors.reaches(ACCOUNT, 1);
  cursors.reaches("g", 9);
  assert.deepEqual([...cursors.behind(9)], [[ACCOUNT, 0]]);
  cursors.place("g", 4);
  cursors.take(ACCOUNT, 1);
  cursors.fetched(ACCOUNT, 1, false);
  assert.deepEqual([...cursors.behind(9)], [["g", 3]]);
});

test("a group that is listed no more is read to its end, then forgotten", () => {
  const cursors = new Cursors([[ACCOUNT, 0], ["g", 3]]);
  cursors.keepOnly(new Set());
  assert.deepEqual([...cursors.behind(9)], [["g", 3]]);
  cursors.fetched("g", 3, false);
  assert.deepEqual([...cursors.behind(9)], []);
});

test("whatever is lost, doubled or late, each event is taken once and in order", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const chance = seeded(seed);
    const cursors = new Cursors([[ACCOUNT, 0], ["g", 0]]);
    const taken = [];
    let head = 0;
    const fetch = () => {
      const after = cursors.behind(9).get("g");
      if (after === undefined) return;
      const last = Math.min(head, after + 3);
      for (let seq = after + 1; seq <= last; seq += 1) if (cursors.take("g", seq)) taken.push(seq);
      cursors.fetched("g", head, last < head);
    };
    for (let step = 0; step < 60; step += 1) {
      head += 1;
      const luck = chance();
      if (luck < 0.6 && cursors.offer("g", head, chance() < 0.9)) taken.push(head);
      // One that comes twice, or late.
      const again = head - Math.floor(chance() * 3);
      if (luck > 0.5 && cursors.offer("g", again, true)) taken.push(again);
      if (luck > 0.9) cursors.reaches("g", head);
      if (luck > 0.7) fetch();
    }
    cursors.reaches("g", head);
    while (cursors.behind(9).size > 0) fetch();
    assert.deepEqual(taken, Array.from({ length: head }, (_, index) => index + 1), `seed ${seed}`);
  }
});
