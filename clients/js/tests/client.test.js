/** The client against a server without time: connections, calls, tokens, events. */

import assert from "node:assert/strict";
import test from "node:test";

import { UsageError } from "../lib/errors.js";
import { connect, open } from "../lib/index.js";
import { takesId } from "../lib/methods.js";
import { platformPorts } from "../lib/ports.js";
import { dial as dialTcp } from "../tcp.js";
import { FakeServer, START_MS, World, collect, settle } from "./fakes.js";

const jwt = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;

async function live(options = {}, { groups = ["g"] } = {}) {
  const world = new World(options.seed);
  const server = new FakeServer(world);
  for (const group of groups) {
    server.logs.set(group, []);
    server.say(group, "earlier");
  }
  const client = server.client(options);
  await settle();
  assert.ok(client.welcome, "connected");
  return { world, server, client };
}

const seqs = (heard) => heard.filter((each) => each.type === "event").map((each) => each.event.seq);

// --- calls

test("a call is answered, and a command has an id on the server's clock", async () => {
  const { client, server } = await live();
  const result = await client.call("post", { group: "g", text: "hello" });
  assert.equal(result.status, "posted");
  const [{ params }] = server.sent("post");
  const madeMs = parseInt(params.id.replaceAll("-", "").slice(0, 12), 16);
  assert.equal(madeMs, START_MS);
  assert.ok(takesId("post"));
  await client.call("ping");
  assert.equal(server.sent("ping")[0].params.id, undefined);
});

test("ids follow a server whose clock is days ahead", async () => {
  const world = new World();
  const server = new FakeServer(world);
  server.aheadMs = 3 * 86_400_000;
  server.logs.set("g", []);
  const client = server.client();
  await settle();
  const { id } = client.begin("post", { group: "g", text: "x" });
  assert.equal(parseInt(id.replaceAll("-", "").slice(0, 12), 16), START_MS + server.aheadMs);
});

test("answers are matched by msgid, in whatever order they come", async () => {
  const { client, server } = await live();
  const held = [];
  server.hooks.info = (asked) => held.push(asked);
  const answers = Promise.all([client.call("info", { n: 1 }), client.call("info", { n: 2 })]);
  await settle();
  for (const { visit, msgid, params } of held.reverse()) visit.answer(msgid, { n: params.n });
  assert.deepEqual((await answers).map(({ n }) => n), [1, 2]);
});

test("what was under way is sent again with the same id, oldest first, and done once", async () => {
  const { client, server, world } = await live();
  server.hooks.post = (asked) => {
    // Done, and the answer lost; the second never arrives at all.
    if (server.sent("post").length === 1) {
      server.say("g", asked.params.text, { user: "tester", id: asked.params.id, push: false });
      server.results.set(asked.params.id, { status: "posted", seq: 2 });
    }
    return true;
  };
  const answers = [client.call("post", { group: "g", text: "one" }),
    client.call("post", { group: "g", text: "two" })];
  await settle();
  server.hooks = {};
  server.visit.cut();
  await world.pass(60_000);
  assert.deepEqual((await Promise.all(answers)).map(({ seq }) => seq), [2, 3]);
  assert.deepEqual(server.logs.get("g").map(({ text }) => text), ["earlier", "one", "two"]);
  const ids = server.sent("post").map(({ params }) => params.id);
  assert.deepEqual(ids.slice(2), ids.slice(0, 2));
});

test("what was lost goes before what waited, as it was asked before", async () => {
  const { client, server, world } = await live({ limits: { requestsMax: 1 } });
  server.hooks.post = () => true;
  for (const text of ["one", "two", "three"]) client.call("post", { group: "g", text });
  await settle();
  server.hooks = {};
  server.visit.cut();
  await world.pass(10_000);
  assert.deepEqual(server.logs.get("g").map(({ text }) => text), ["earlier", "one", "two", "three"]);
});

test("a refusal that will pass is asked again with the same id; another is the caller's", async () => {
  const { client, server, world } = await live();
  let times = 0;
  server.hooks.post = ({ visit, msgid }) => {
    times += 1;
    if (times > 2) return false;
    visit.refuse(msgid, times === 1 ? "unavailable" : "from_the_future", { retry_after_ms: 500 });
    return true;
  };
  const answer = client.call("post", { group: "g", text: "x" });
  await world.pass(499);
  assert.equal(server.sent("post").length, 1);
  await world.pass(10_000);
  assert.equal((await answer).status, "posted");
  assert.equal(new Set(server.sent("post").map(({ params }) => params.id)).size, 1);

  server.hooks.pin = ({ visit, msgid }) => {
    visit.refuse(msgid, "forbidden", { reason: "role", required: "admin" });
    return true;
  };
  await assert.rejects(client.call("pin", { group: "g", seq: 1 }), {
    name: "Rejected", code: "forbidden", reason: "role",
  });
});

test("a stale id is made anew once, while nothing can have been done", async () => {
  const { client, server, world } = await live();
  server.hooks.post = ({ visit, msgid }) => {
    if (server.sent("post").length > 1) return false;
    visit.refuse(msgid, "stale_id", { time_ms: START_MS + 9e9, oldest_ms: 0 });
    return true;
  };
  const intent = client.begin("post", { group: "g", text: "x" });
  const first = intent.id;
  await intent.answer;
  assert.notEqual(intent.id, first);
  server.hooks.post = ({ visit, msgid }) => {
    visit.refuse(msgid, "stale_id", { time_ms: START_MS, oldest_ms: 0 });
    return true;
  };
  // Where something may have been done, a new id could do it twice.
  let times = 0;
  server.hooks.post = ({ visit, msgid }) => {
    times += 1;
    visit.refuse(msgid, times === 1 ? "internal" : "stale_id", { time_ms: START_MS, oldest_ms: 0 });
    return true;
  };
  const doubtful = assert.rejects(client.call("post", { group: "g", text: "z" }), { code: "stale_id" });
  await world.pass(2_000);
  await doubtful;
  assert.equal(times, 2);
  // One that the application made is its own.
  await assert.rejects(client.call("post", { group: "g", id: first, text: "y" }), { code: "stale_id" });
});

test("what is too large is refused before it is sent, and more calls than may wait", async () => {
  const { client, server } = await live({ limits: { callsMax: 3 } });
  await assert.rejects(client.call("post", { group: "g", text: "x".repeat(70_000) }), {
    code: "too_large",
  });
  assert.equal(server.sent("post").length, 0);
  server.hooks.info = () => true;
  for (let count = 0; count < 3; count += 1) client.call("info").catch(() => {});
  await assert.rejects(client.call("info"), { name: "UsageError" });
  await assert.rejects(client.call("info", { id: "x" }), /takes no id/);
});

test("no more requests are under way than may be, and the others follow", async () => {
  const { client, server } = await live({ limits: { requestsMax: 2 } });
  const held = [];
  server.hooks.info = (asked) => held.push(asked);
  const answers = [1, 2, 3, 4, 5].map((n) => client.call("info", { n }));
  await settle();
  assert.equal(held.length, 2);
  for (let at = 0; at < 5; at += 1) {
    held[at].visit.answer(held[at].msgid, held[at].params);
    await settle();
  }
  assert.deepEqual((await Promise.all(answers)).map(({ n }) => n), [1, 2, 3, 4, 5]);
});

test("commands without an answer survive the program on a shelf, and are done once", async () => {
  const kept = { list: [] };
  const shelf = { load: () => kept.list, save: (list) => { kept.list = structuredClone(list); } };
  const { client, server, world } = await live({ shelf });
  server.hooks.post = (asked) => {
    server.say("g", asked.params.text, { user: "tester", id: asked.params.id });
    server.results.set(asked.params.id, { status: "posted", seq: 2 });
    return true;
  };
  server.hooks.info = () => true;
  client.call("info", { group: "g" }).catch(() => {});
  client.call("post", { group: "g", text: "one" }).catch(() => {});
  await settle();
  assert.deepEqual(kept.list.map(({ method }) => method), ["post"]);
  client.close();
  assert.equal(kept.list.length, 1);

  server.hooks = {};
  const again = server.client({ shelf });
  const [restored] = again.restored;
  await world.pass(1_000);
  assert.equal((await restored.answer).seq, 2);
  assert.deepEqual(kept.list, []);
  assert.equal(server.logs.get("g").length, 2);
});

// --- connections

test("it comes back after a wait that is drawn, and begins anew after a stable time", async () => {
  const { server, world } = await live({ seed: 5 });
  await world.pass(11_000);
  server.isUp = false;
  server.visit.cut();
  await world.pass(120_000);
  const tries = server.visits.length - 1;
  assert.ok(tries >= 5 && tries < 40, `${tries} tries in two minutes`);
  server.isUp = true;
  await world.pass(31_000);
  assert.ok(server.visit.isWelcome);
});

test("a goodbye that says when to come back is heeded, also by a nudge", async () => {
  const { server, world, client } = await live();
  server.visit.push("goodbye", { code: "unavailable", message: "stopping", retry_after_ms: 7_000 });
  server.visit.cut();
  await world.pass(6_900);
  client.nudge();
  await world.pass(50);
  assert.equal(server.visits.length, 1);
  await world.pass(2_000);
  assert.equal(server.visits.length, 2);
});

test("a nudge dials at once what would be dialled later", async () => {
  const { server, world, client } = await live({ seed: 3, limits: { backoffBaseMs: 30_000 } });
  server.visit.cut();
  await world.pass(1);
  assert.equal(server.visits.length, 1);
  client.nudge();
  await settle();
  assert.equal(server.visits.length, 2);
});

test("a goodbye that blames the client ends it, and calls and streams are told", async () => {
  const { server, client } = await live();
  const heard = collect(client.events());
  const answer = client.call("info");
  server.visit.push("goodbye", { code: "bad_request", message: "what is this" });
  server.visit.cut();
  await assert.rejects(answer, { code: "bad_request" });
  await settle();
  assert.equal(heard.at(-1).error.code, "bad_request");
  await assert.rejects(client.call("info"), { code: "bad_request" });
});

test("a server that is silent is asked, and left when it does not answer", async () => {
  const { server, world } = await live();
  await world.pass(25_000);
  assert.equal(server.sent("ping").length, 1);
  await world.pass(20_000);
  assert.equal(server.visits.length, 1);
  server.hooks.ping = () => true;
  await world.pass(80_000);
  assert.ok(server.visits.length > 1);
});

test("a hello, or a dialling, that takes too long is given up and tried again", async () => {
  const world = new World();
  const server = new FakeServer(world);
  server.hooks.hello = () => server.visits.length === 1;
  const client = server.client();
  await world.pass(60_000);
  assert.ok(client.welcome);
  const deaf = new World();
  let dialled = 0;
  const ports = deaf.ports(() => {
    dialled += 1;
    return { send() {}, close() {} };
  });
  new FakeServer(deaf).client({ ports });
  await deaf.pass(60_000);
  assert.ok(dialled > 2);
});

const refuses = class {
  constructor(url) {
    throw new SyntaxError(`invalid URL ${url}`);
  }
};

for (const [what, url, how, words] of [
  ["where there is no WebSocket", "ws://fake.example/ws", { WebSocket: null },
    /no WebSocket.*groupd-client\/tcp/],
  ["an address that a WebSocket does not take", "localhost:7480", { WebSocket: refuses },
    /localhost:7480.*wss:\/\/chat\.example\.com\/ws/],
  ["an address that is none", "127.0.0.1:7400", { dial: dialTcp }, /tcp:\/\/HOST:PORT/],
  ["an address of another protocol", "wss://fake.example/ws", { dial: dialTcp }, /tcp:\/\/HOST:PORT/],
  ["an address without a port", "tcp://fake.example", { dial: dialTcp }, /tcp:\/\/HOST:PORT/],
]) {
  test(`${what} ends the client: it is not tried again, and calls and streams are told`, async () => {
    const world = new World();
    const states = [];
    // Null stands for a platform without one: with undefined a Node that has one would take its own.
    const { dial } = platformPorts(how);
    const client = open(url, {
      token: "a.b.c", ports: world.ports(dial), onState: (state) => states.push(state),
    });
    const call = client.call("ping");
    const heard = collect(client.events());
    const told = Promise.allSettled([client.ready, call]);
    await world.pass(1);
    assert.deepEqual(states, ["connecting", "ended"]);
    for (const { status, reason } of await told) {
      assert.equal(status, "rejected");
      assert.ok(reason instanceof UsageError);
      assert.match(reason.message, words);
    }
    assert.ok(heard.at(-1).error instanceof UsageError);
    await assert.rejects(client.call("ping"), UsageError);
    await assert.rejects(connect(url, { token: "a.b.c", ...how }), UsageError);
  });
}

test("a way to dial that fails for now is tried again", async () => {
  const world = new World();
  const server = new FakeServer(world);
  let failures = 2;
  const dial = (url, handlers) => {
    if (failures-- > 0) throw new Error("no socket left");
    return server.dial(url, handlers);
  };
  const client = open("ws://fake.example/ws", { token: "a.b.c", ports: world.ports(dial) });
  await world.pass(60_000);
  assert.ok(await client.ready);
});

test("bytes that are not this protocol end the connection, and no more", async () => {
  const { server, world, client } = await live();
  server.visit.handlers.received(Uint8Array.of(0xc1));
  await world.pass(5_000);
  assert.equal(server.visits.length, 2);
  assert.ok(client.final === null);
});

test("all pages of groups are asked for before anything else", async () => {
  const world = new World();
  const server = new FakeServer(world);
  for (const group of ["a", "b", "c"]) server.logs.set(group, []);
  const listed = ["a", "b", "c"].map((group) => ({ group, head: 0 }));
  server.hooks.hello = (asked) => {
    const { visit, msgid } = asked;
    visit.answer(msgid, {
      user: "tester", session: "s", server: "x", store: "s", time_ms: START_MS, limits: {},
      account: { head: 0 }, groups: listed.slice(0, 1), next: "a",
    });
    return true;
  };
  server.hooks.groups = ({ visit, msgid, params }) => {
    visit.answer(msgid, params.after === "a"
      ? { groups: listed.slice(1, 2), next: "b" } : { groups: listed.slice(2) });
    return true;
  };
  const client = server.client();
  const call = client.call("ping");
  await call;
  assert.deepEqual(client.chatList.map(({ group }) => group), ["a", "b", "c"]);
  assert.deepEqual(server.asked.map(({ method }) => method), ["hello", "groups", "groups", "ping"]);
});

test("a close ends streams plainly and calls with Disconnected", async () => {
  const { client, server } = await live();
  server.hooks.info = () => true;
  const answer = client.call("info");
  const heard = collect(client.events());
  await settle();
  client.close();
  await assert.rejects(answer, { name: "Disconnected" });
  await settle();
  assert.deepEqual(heard, []);
  await assert.rejects(client.call("info"), { name: "Disconnected" });
});

// --- tokens

test("a token is renewed on the live connection, a minute before it ends", async () => {
  const given = [];
  let world;
  const token = () => {
    given.push(jwt({ exp: (START_MS + (world?.nowMs ?? 0)) / 1_000 + 600 }));
    return given.at(-1);
  };
  const made = await live({ token });
  ({ world } = made);
  await world.pass(541_000);
  assert.equal(given.length, 2);
  assert.equal(made.server.visits.length, 1);
  assert.equal(made.server.sent("hello").length, 2);
});

test("a function that gives the same token again is asked more often, and the client ends with it", async () => {
  let given = 0;
  const dead = jwt({ exp: START_MS / 1_000 + 600 });
  const token = () => {
    given += 1;
    return dead;
  };
  const { client, server, world } = await live({ token });
  server.hooks.hello = ({ visit, msgid }) => {
    if (server.nowMs < START_MS + 600_000) return false;
    visit.refuse(msgid, "unauthenticated");
    return true;
  };
  await world.pass(539_000);
  assert.equal(given, 1);
  await world.pass(60_000);
  assert.ok(given > 2 && given < 10, `asked ${given} times`);
  assert.equal(client.final, null);
  await client.call("info");
  await world.pass(5_000);
  assert.equal(client.final?.code, "unauthenticated");
  assert.ok(given < 12, `asked ${given} times`);
  assert.equal(server.visits.length, 1);
  await assert.rejects(client.call("info"), { code: "unauthenticated" });
});

test("twenty calls that are refused at once want one new token, and are sent again", async () => {
  let given = 0;
  const { client, server } = await live({ token: () => `token-${given += 1}` });
  server.hooks.info = ({ visit, msgid }) => {
    if (server.sent("hello").length > 1) return false;
    visit.refuse(msgid, "unauthenticated");
    return true;
  };
  await Promise.all(Array.from({ length: 20 }, () => client.call("info")));
  assert.equal(given, 2);
  assert.equal(server.sent("hello")[1].params.token, "token-2");
  // A call that is refused with a new token, too, is not asked for ever.
  server.hooks.info = ({ visit, msgid }) => {
    visit.refuse(msgid, "unauthenticated");
    return true;
  };
  await assert.rejects(client.call("info"), { code: "unauthenticated" });
  assert.equal(given, 3);
});

test("a token that is refused ends a client that has no other", async () => {
  const world = new World();
  const server = new FakeServer(world);
  server.hooks.hello = ({ visit, msgid }) => {
    visit.refuse(msgid, "unauthenticated");
    return true;
  };
  await assert.rejects(server.client().ready, { code: "unauthenticated" });
  let given = 0;
  const client = server.client({ token: () => `t${given += 1}` });
  client.ready.catch(() => {});
  await world.pass(60_000);
  assert.equal(client.final?.code, "unauthenticated");
  assert.equal(given, 2);
  const failing = server.client({ token: () => Promise.reject(new Error("logged out")) });
  await assert.rejects(failing.ready, { name: "TokenError" });
});

test("a token that ended while the server was away is soon refused for good", async () => {
  const { client, server, world } = await live({ token: () => "t" });
  server.isUp = false;
  server.visit.cut();
  await world.pass(120_000);
  server.isUp = true;
  server.hooks.hello = ({ visit, msgid }) => {
    visit.refuse(msgid, "unauthenticated");
    return true;
  };
  while (server.sent("hello").length < 2) await world.pass(1_000);
  // It has nothing to do with how often the server could not be reached.
  await world.pass(4_000);
  assert.equal(client.final?.code, "unauthenticated");
});

// --- events

test("each event is heard once and in order, over gaps, lagging and cuts", async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const { client, server, world } = await live({ seed }, { groups: ["g", "h"] });
    const heard = collect(client.events());
    for (let step = 0; step < 40; step += 1) {
      const luck = world.chance();
      const group = world.chance() < 0.7 ? "g" : "h";
      const event = server.say(group, `${step}`, { push: luck < 0.6 });
      if (luck > 0.95) server.visit.cut();
      else if (luck > 0.8) server.visit.push("lagged", { group, head: event.seq });
      else if (luck < 0.1) server.visit.push("event", event);
      if (world.chance() < 0.3) await world.pass(200);
    }
    await world.pass(120_000);
    server.say("g", "last");
    server.say("h", "last");
    await world.pass(120_000);
    for (const group of ["g", "h"]) {
      const expected = server.logs.get(group).slice(1).map(({ seq }) => seq);
      assert.deepEqual(seqs(heard.filter(({ event }) => event?.group === group)), expected, `${seed}`);
    }
  }
});

test("a stream that is read slowly keeps a bounded number of events, and misses none", async () => {
  const { client, server } = await live({ limits: { eventsMax: 4 } });
  const stream = client.events();
  for (let count = 0; count < 20; count += 1) server.say("g", "x");
  await settle();
  const found = [];
  assert.equal(server.sent("sync").length, 0);
  while (found.length < 20) found.push(...await stream.some(3));
  assert.deepEqual(found.map(({ event }) => event.seq), Array.from({ length: 20 }, (_, n) => n + 2));
  // Four were kept, and the rest was fetched in pages of three.
  assert.equal(server.sent("sync").length, 6);
  stream.close();
});

test("a stream goes on where an earlier program stopped", async () => {
  const { client, server } = await live();
  for (let count = 0; count < 5; count += 1) server.say("g", "x");
  await settle();
  const heard = collect(client.events({ after: { g: 2 } }));
  await settle();
  server.say("g", "y");
  await settle();
  assert.deepEqual(seqs(heard), [3, 4, 5, 6, 7]);
});

test("another store is told, and its seqs begin anew", async () => {
  const { client, server, world } = await live();
  const heard = collect(client.events());
  server.say("g", "x");
  await settle();
  server.store = "store-2";
  server.logs.set("g", server.logs.get("g").slice(0, 1));
  server.visit.cut();
  await world.pass(5_000);
  server.say("g", "another");
  await settle();
  assert.deepEqual(heard.map(({ type }) => type), ["event", "store", "event"]);
  assert.deepEqual(seqs(heard), [2, 2]);
});

test("the account's log, signals and what nobody knows yet", async () => {
  const { client, server } = await live();
  const heard = collect(client.events());
  server.account.push({ seq: 1, time_ms: 1, kind: "added", group: "n", at: 4 });
  server.visit.push("account_event", server.account[0]);
  server.visit.push("signal", { group: "g", user: "mei", kind: "typing" });
  server.visit.push("from_the_future", { anything: [1] });
  server.say("g", "x", { kind: "from_the_future" });
  await settle();
  assert.deepEqual(heard.map(({ type }) => type), ["account", "signal", "event"]);
});

test("one reader reads a stream, and as many streams are open as may be", async () => {
  const { client } = await live({ limits: { streamsMax: 1 } });
  const stream = client.events();
  stream.some(1);
  await assert.rejects(stream.some(1), { name: "UsageError" });
  assert.throws(() => client.events(), { name: "UsageError" });
  stream.close();
  client.events().close();
});
