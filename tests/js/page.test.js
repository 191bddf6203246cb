/** What the chat page keeps and shows, without a page. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

import { length, money, size } from "../../src/groupd/web/static/chat/cards.js";
import { Chats } from "../../src/groupd/web/static/chat/chats.js";
import { safePicture, safeUrl } from "../../src/groupd/web/static/chat/dom.js";
import { ENTRIES_MAX, Log, shownOf } from "../../src/groupd/web/static/chat/log.js";
import { readFragment } from "../../src/groupd/web/static/chat/token.js";
import { KEYS, errorWords, languageOf, speaker } from "../../src/groupd/web/static/chat/words.js";
import { seeded } from "../../clients/js/tests/fakes.js";

const G = "7Q2M9XK4T0BVHS8D";
const event = (seq, kind, fields = {}) => ({
  group: G, seq, time_ms: 1_000 * seq, user: "mei", kind, ...fields,
});
const post = (seq, fields = {}) => event(seq, "posted", { text: `m${seq}`, ...fields });

function loaded(events, { head = events.at(-1)?.seq ?? 0, more = false, shown = {} } = {}) {
  const log = new Log(G, "me");
  log.begin();
  log.reset({ events, head, more }, shown);
  log.end();
  return log;
}

const texts = (log) => log.entries.map(({ message }) => message?.text ?? "-");

// --- the log

test("what was fetched and what is heard meet without a double", () => {
  const log = new Log(G, "me");
  log.begin();
  // Heard while the page is on its way, of which it has two already.
  for (const seq of [3, 4, 5]) log.take(post(seq));
  log.reset({ events: [1, 2, 3, 4].map((seq) => post(seq)), head: 4, more: false }, {});
  log.end();
  log.take(post(6));
  log.take(post(6));
  assert.deepEqual(texts(log), ["m1", "m2", "m3", "m4", "m5", "m6"]);
});

test("a state that was fetched is not changed again by what it speaks of", () => {
  const shown = shownOf({
    head: 9, messages: [{ seq: 1, event: post(1), reactions: { "👍": 2 }, mine: ["👍"], replies: 1 }],
  });
  const log = loaded([post(1)], { head: 1, shown });
  log.take(event(2, "reacted", { message: 1, reaction: "👍" }));
  log.take(event(9, "posted", { text: "r", reply_to: 1 }));
  const { message } = log.at(1);
  assert.deepEqual([message.reactions.get("👍"), message.replies], [2, 1]);
  log.take(event(10, "reacted", { message: 1, reaction: "👍", user: "lin" }));
  log.take(event(11, "unreacted", { message: 1, reaction: "👍", user: "me" }));
  log.take(event(12, "reacted", { message: 1, reaction: "🎉", user: "me" }));
  log.take(event(13, "posted", { text: "r", reply_to: 1 }));
  assert.deepEqual([...message.reactions], [["👍", 2], ["🎉", 1]]);
  assert.deepEqual([[...message.mine], message.replies], [["🎉"], 2]);
});

test("an edit reads anew, and a recall leaves nothing of it or of its edits", () => {
  const log = loaded([post(1, { card: { type: "link", url: "https://a.example" } })]);
  log.take(event(2, "edited", { message: 1, text: "other" }));
  assert.deepEqual([log.at(1).message.text, log.at(1).message.card], ["other", null]);
  const before = log.at(1).version;
  log.take(event(3, "recalled", { message: 1, edits: [2] }));
  assert.equal(log.at(1).message.isRecalled, true);
  assert.equal(log.at(1).message.text, "");
  assert.ok(log.at(1).version > before);
});

test("an edit that was erased is no message", () => {
  const erased = (seq) => event(seq, "erased");
  const shown = shownOf({ head: 3, messages: [{ seq: 1, event: erased(1), recalled: 3, reactions: {}, mine: [], replies: 0 }] });
  const events = [erased(1), erased(2), event(3, "recalled", { message: 1, edits: [2] })];
  assert.deepEqual(loaded(events, { shown }).entries.map(({ seq }) => seq), [1]);
  // The same, as it is caught up with.
  const log = loaded([post(1)]);
  log.take(erased(2));
  log.take(events[2]);
  assert.deepEqual(log.entries.map(({ seq }) => seq), [1]);
});

test("one's own message stands once, whether its event or its answer comes first", () => {
  const log = loaded([post(1)]);
  log.addPending({ id: "i1", params: {}, error: null, timeMs: 0 });
  log.take(post(2, { user: "me", id: "i1" }));
  assert.deepEqual([log.pending.length, texts(log).length], [0, 2]);
});

test("pages come in before what is there, once", () => {
  const log = loaded([post(4), post(5)], { head: 5, more: true });
  assert.equal(log.first, 4);
  log.prepend({ events: [post(2), post(3), post(4)], more: true }, {});
  log.prepend({ events: [post(1)], more: false }, {});
  assert.deepEqual(texts(log), ["m1", "m2", "m3", "m4", "m5"]);
  assert.equal(log.hasOlder, false);
});

test("what is heard while an older page comes in is not lost, and counts once", () => {
  const log = loaded([post(4)], { head: 4, more: true });
  log.begin();
  log.take(event(5, "reacted", { message: 1, reaction: "👍" }));
  log.take(event(6, "recalled", { message: 2, edits: [] }));
  log.take(event(7, "edited", { message: 3, text: "better" }));
  log.take(event(8, "reacted", { message: 4, reaction: "👍" }));
  log.take(post(9, { reply_to: 1 }));
  // What is said meanwhile is shown at once.
  assert.deepEqual(texts(log), ["m4", "m9"]);
  // The page knows of the first of these.
  const shown = shownOf({
    head: 5, messages: [{ seq: 1, event: post(1), reactions: { "👍": 1 }, mine: [], replies: 0 }],
  });
  log.prepend({ events: [post(1), post(2), post(3)], more: false }, shown);
  log.end();
  assert.deepEqual(texts(log), ["m1", "", "better", "m4", "m9"]);
  assert.equal(log.at(2).message.isRecalled, true);
  assert.equal(log.at(4).message.reactions.get("👍"), 1);
  const { reactions, replies } = log.at(1).message;
  assert.deepEqual([reactions.get("👍"), replies], [1, 1]);
  log.take(event(10, "reacted", { message: 4, reaction: "👍", user: "lin" }));
  assert.equal(log.at(4).message.reactions.get("👍"), 2);
});

test("a page that has no end where the log begins is not taken", () => {
  const log = loaded([post(9)], { head: 9, more: true });
  log.prepend({ events: [post(2), post(3)], more: true }, {}, 4);
  assert.deepEqual(texts(log), ["m9"]);
});

test("no more is kept than may be: at the far end it goes, and is not mixed up", () => {
  const log = loaded([post(ENTRIES_MAX + 100)], { more: true });
  const older = Array.from({ length: ENTRIES_MAX }, (_, at) => post(at + 100));
  log.prepend({ events: older, more: true }, {});
  assert.equal(log.entries.length, ENTRIES_MAX);
  assert.equal(log.isDetached, true);
  log.take(post(ENTRIES_MAX + 101));
  assert.equal(log.entries.at(-1).seq, ENTRIES_MAX + 99);

  const live = loaded([post(1)]);
  for (let seq = 2; seq <= ENTRIES_MAX + 50; seq += 1) live.take(post(seq));
  live.trim();
  assert.deepEqual([live.entries.length, live.first, live.hasOlder], [ENTRIES_MAX, 51, true]);
});

test("what is replied to and not here is asked for", () => {
  const log = loaded([post(8, { reply_to: 2 }), post(9, { reply_to: 8 })], { head: 9 });
  assert.deepEqual(log.unquoted(), [2]);
  log.quote([{ seq: 2, event: post(2), reactions: {}, mine: [], replies: 1 }]);
  assert.equal(log.messageAt(2).text, "m2");
  assert.deepEqual(log.unquoted(), []);
});

test("hidden events and kinds that nobody knows leave no gap and no message", () => {
  const log = loaded([post(1)]);
  log.take(event(2, "hidden"));
  log.take(event(3, "from_the_future"));
  log.take(post(4));
  assert.deepEqual(log.entries.filter(({ message }) => message).map(({ seq }) => seq), [1, 4]);
  assert.equal(log.head, 4);
});

// --- the list

const listed = (fields = {}) => ({
  group: G, name: "茶友", head: 5, read: 3, unread: 1, mentions: 0, role: "member", ...fields,
});

test("unread is counted beyond the list, once", () => {
  const chats = new Chats();
  chats.takeList([listed()], "me");
  chats.take(post(5));
  chats.take(post(6, { mentions: ["me"] }));
  chats.take(post(6, { mentions: ["me"] }));
  chats.take(post(7, { mentions: "all" }));
  const row = chats.rows.get(G);
  assert.deepEqual([row.unread, row.mentions, row.last.text], [3, 2, "m7"]);
  chats.take(post(8, { user: "me" }));
  assert.deepEqual([row.unread, row.mentions], [0, 0]);
});

test("a list that is older than what was heard takes nothing back", () => {
  const chats = new Chats();
  chats.takeList([listed()], "me");
  chats.take(post(6));
  chats.takeList([listed()], "me");
  assert.equal(chats.rows.get(G).unread, 2);
  chats.takeList([], "me");
  assert.equal(chats.rows.size, 0);
});

test("a group is there from one's joining until one is out of it", () => {
  for (const end of [event(9, "left", { user: "me" }), event(9, "kicked", { member: "me" }),
    event(9, "banned", { member: "me" }), event(9, "dissolved")]) {
    const chats = new Chats();
    chats.takeList([], "me");
    chats.take(event(4, "joined", { user: "me", name: "I" }));
    assert.equal(chats.rows.size, 1);
    assert.ok(chats.take(event(5, "left", { user: "lin" })));
    assert.equal(chats.take(end), null);
    assert.equal(chats.rows.size, 0);
  }
});

test("chats on top stand first, then the latest", () => {
  const chats = new Chats();
  chats.takeList([
    listed({ group: "a", last: post(1) }), listed({ group: "b", last: post(3) }),
    listed({ group: "c", chat_pinned: true }),
  ], "me");
  assert.deepEqual(chats.sorted().map(({ group }) => group), ["c", "b", "a"]);
});

test("who is silenced counts by mentions alone", () => {
  const chats = new Chats();
  chats.takeList([listed({ unread: 9, mentions: 2, do_not_disturb: true })], "me");
  assert.equal(chats.unread, 2);
  chats.takePreference({ group: G, do_not_disturb: false });
  assert.equal(chats.unread, 9);
});

test("typing is over after a while, and when something is said", () => {
  const chats = new Chats();
  chats.takeList([listed()], "me");
  chats.typing(G, "mei", 0);
  chats.typing(G, "lin", 3_000);
  assert.deepEqual(chats.whoTypes(G, 4_999), ["mei", "lin"]);
  assert.deepEqual(chats.whoTypes(G, 5_000), ["lin"]);
  chats.take(post(6, { user: "lin" }));
  assert.deepEqual(chats.whoTypes(G, 5_000), []);
});

test("names: the nickname here, one's own, the id", () => {
  const chats = new Chats();
  chats.takeList([listed()], "me");
  assert.equal(chats.nameOf(G, "mei"), "mei");
  chats.take(event(6, "joined", { user: "mei", name: "王梅" }));
  assert.equal(chats.nameOf(G, "mei"), "王梅");
  chats.take(event(7, "nicknamed", { user: "mei", nickname: "小梅" }));
  assert.deepEqual([chats.nameOf(G, "mei"), chats.nameOf("other", "mei")], ["小梅", "王梅"]);
});

test("any order of lists, pages and pushes ends alike", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const chance = seeded(seed);
    const log = new Log(G, "me");
    const all = [];
    let delivered = 0;
    let isAsked = false;
    for (let step = 0; step < 60; step += 1) {
      all.push(post(all.length + 1));
      // The stream is behind at times, and never leaves anything out.
      if (chance() < 0.6) while (delivered < all.length) log.take(all[delivered++]);
      if (!isAsked && chance() < 0.1) {
        isAsked = true;
        log.begin();
      } else if (isAsked && !log.isLoaded && chance() < 0.3) {
        log.reset({ events: all.slice(-5), head: all.length, more: all.length > 5 }, {});
        log.end();
      }
    }
    if (!log.isLoaded) continue;
    while (delivered < all.length) log.take(all[delivered++]);
    const seqs = log.entries.map(({ seq }) => seq);
    assert.deepEqual(seqs, all.slice(seqs[0] - 1).map(({ seq }) => seq), `seed ${seed}`);
  }
});

// --- words, addresses, cards

test("both languages have all words, with the same values in them", () => {
  const [en, zh] = [speaker("en"), speaker("zh")];
  const folder = new URL("../../src/groupd/web/static/chat/", import.meta.url);
  const text = readFileSync(new URL("words.js", folder), "utf8");
  for (const [, key, first, second, one] of text.matchAll(/^  (\w+): \[\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)",?\s*(?:"((?:[^"\\]|\\.)*)")?\s*\]/gm)) {
    const values = (words) => [...words.matchAll(/\{\w+\}/g)].map(String).sort();
    assert.deepEqual(values(first), values(second), key);
    if (one) assert.deepEqual(values(first), values(one), key);
  }
  for (const key of KEYS) assert.ok(en(key) && zh(key), key);
  const used = readdirSync(folder).filter((name) => name.endsWith(".js") && name !== "words.js")
    .flatMap((name) => [...readFileSync(new URL(name, folder), "utf8").matchAll(/\bsay\("(\w+)"/g)]);
  for (const [, key] of used) assert.ok(KEYS.includes(key), key);
});

test("a language is found, and an error is told by its reason", () => {
  assert.deepEqual(["zh-CN", "zh", "en-US", "fr"].map((each) => languageOf([each])), ["zh", "zh", "en", "en"]);
  assert.equal(languageOf(["fr", "zh-TW"]), "zh");
  const say = speaker("en");
  const refusal = (code, details = {}) => ({ code, reason: details.reason, details, message: code });
  assert.equal(errorWords(say, refusal("forbidden", { reason: "role" })), say("e_role"));
  assert.equal(errorWords(say, refusal("forbidden", { reason: "newer" })), say("e_forbidden"));
  assert.match(errorWords(say, refusal("rate_limited", { retry_after_ms: 1_500 })), /2 s/);
});

test("a token and a code are read out of the fragment alone", () => {
  assert.deepEqual(readFragment("#token=a.b.c&code=x"), { token: "a.b.c", code: "x" });
  assert.deepEqual(readFragment(""), { token: null, code: null });
  assert.deepEqual(readFragment(`#token=${"x".repeat(20_000)}`), { token: null, code: null });
});

test("only addresses that lead to pages are links, and only safe ones are pictures", () => {
  for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "data:text/html,x",
    "vbscript:x", "blob:x", "file:///etc/passwd", "/relative", "", null, 7, {}]) {
    assert.equal(safeUrl(bad), null, String(bad));
  }
  assert.ok(safeUrl("https://a.example/b?c#d"));
  assert.equal(safePicture("http://a.example/b.png"), null);
});

test("prices, sizes and lengths are written as people write them", () => {
  assert.match(money(12_800, "CNY", "zh-CN"), /128\.00/);
  assert.match(money(128, "JPY", "en"), /128$/);
  assert.equal(money(1, "NOPE!", "en"), "");
  assert.equal(length(3_725_000), "1:02:05");
  assert.equal(size(1_500_000), "1.5 MB");
});
