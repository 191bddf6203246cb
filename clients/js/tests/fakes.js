/** A world without time, and a server of one user in it. */

import { decode, encode } from "../lib/vendor/msgpack.js";
import { Cutter } from "../lib/cutter.js";
import { LIMITS } from "../lib/limits.js";
import { open } from "../lib/index.js";

export const URL = "ws://fake.example/ws";
export const USER = "tester";
export const START_MS = 1_750_000_000_000;

/** Random bytes that are the same each time. */
export function seeded(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Lets everything happen that needs no time. */
export async function settle() {
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
}

/** A clock that goes when it is told to, and what the client needs of a world. */
export class World {
  nowMs = 0;
  wallOffsetMs = START_MS;
  /** @type {{atMs: number, then: () => void}[]} */
  timers = [];

  constructor(seed = 1) {
    this.chance = seeded(seed);
  }

  ports(dial) {
    return {
      dial,
      wallMs: () => this.wallOffsetMs + this.nowMs,
      steadyMs: () => this.nowMs,
      random: (count) => Uint8Array.from({ length: count }, () => Math.floor(this.chance() * 256)),
      setTimer: (ms, then) => {
        const timer = { atMs: this.nowMs + ms, then };
        this.timers.push(timer);
        return () => {
          this.timers = this.timers.filter((other) => other !== timer);
        };
      },
    };
  }

  /** Lets time pass, timer by timer. */
  async pass(ms) {
    const end = this.nowMs + ms;
    await settle();
    for (;;) {
      const next = this.timers.reduce(
        (first, timer) => (timer.atMs < (first?.atMs ?? Infinity) ? timer : first), undefined,
      );
      if (next === undefined || next.atMs > end) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.timers = this.timers.filter((timer) => timer !== next);
      next.then();
      await settle();
    }
    this.nowMs = end;
    await settle();
  }
}

/** One connection of a client with the fake server. */
export class Visit {
  isOpen = true;
  isWelcome = false;

  constructor(handlers) {
    this.handlers = handlers;
    this.cutter = new Cutter(LIMITS);
  }

  send(message) {
    if (this.isOpen) this.handlers.received(encode(message));
  }

  push(method, params) {
    this.send([2, method, [params]]);
  }

  answer(msgid, result) {
    this.send([1, msgid, null, result]);
  }

  refuse(msgid, code, details = {}) {
    this.send([1, msgid, { code, message: "no", ...details }, null]);
  }

  cut(why = "cut") {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.handlers.closed(why);
  }
}

/** A server of one user, which keeps the protocol unless a hook says otherwise. */
export class FakeServer {
  store = "store-1";
  /** @type {Map<string, any[]>} */
  logs = new Map();
  account = [];
  /** @type {{visit: Visit, msgid: number, method: string, params: any}[]} */
  asked = [];
  /** @type {Visit[]} */
  visits = [];
  /** Method -> what serves it instead; it gives whether it did. */
  hooks = {};
  isUp = true;
  aheadMs = 0;
  results = new Map();

  constructor(world) {
    this.world = world;
  }

  dial = (_url, handlers) => {
    const visit = new Visit(handlers);
    this.visits.push(visit);
    queueMicrotask(() => {
      if (!this.isUp) visit.cut("refused");
      else handlers.opened();
    });
    return {
      send: (data) => queueMicrotask(() => this.receive(visit, data)),
      close: () => queueMicrotask(() => visit.cut("closed")),
    };
  };

  /** Gives a client that begins to connect. */
  client(options = {}) {
    return open(URL, { token: "a.b.c", ports: this.world.ports(this.dial), ...options });
  }

  get visit() {
    return this.visits.at(-1);
  }

  sent(method) {
    return this.asked.filter((each) => each.method === method);
  }

  get nowMs() {
    return this.world.wallOffsetMs + this.world.nowMs + this.aheadMs;
  }

  /** Adds an event to a group's log; it is pushed, unless not. */
  say(group, text, { push = true, user = "mei", kind = "posted", ...fields } = {}) {
    const log = this.logs.get(group);
    const event = {
      group, seq: log.length + 1, time_ms: this.nowMs, user, kind, text, ...fields,
    };
    log.push(event);
    if (push && this.visit?.isWelcome) this.visit.push("event", event);
    return event;
  }

  receive(visit, data) {
    if (!visit.isOpen) return;
    for (const bytes of visit.cutter.feed(data)) {
      const [, msgid, method, [params = {}] = []] = decode(bytes);
      const asked = { visit, msgid, method, params };
      this.asked.push(asked);
      if (this.hooks[method]?.(asked)) continue;
      this.serve(asked);
    }
  }

  serve({ visit, msgid, method, params }) {
    if (method === "hello") {
      visit.answer(msgid, {
        user: USER, session: `s${this.visits.length}`, server: "fake", protocol: 1,
        store: this.store, time_ms: this.nowMs, limits: { frame_max_bytes: 65_536 },
        account: { head: this.account.length },
        groups: [...this.logs].map(([group, log]) => ({ group, name: group, head: log.length })),
      });
      visit.isWelcome = true;
    } else if (method === "sync") {
      const groups = Object.entries(params.cursors)
        .filter(([group]) => this.logs.has(group))
        .map(([group, after]) => this.page(group, after));
      visit.answer(msgid, { groups });
    } else if (method === "account_history") {
      const events = this.account.slice(params.after, params.after + 200);
      const head = this.account.length;
      visit.answer(msgid, { events, head, more: params.after + events.length < head });
    } else if (method === "post") {
      let result = this.results.get(params.id);
      if (result === undefined) {
        const { seq } = this.say(params.group, params.text, { user: USER, id: params.id });
        result = { status: "posted", seq, time_ms: this.nowMs };
        this.results.set(params.id, result);
      }
      visit.answer(msgid, result);
    } else {
      visit.answer(msgid, { time_ms: this.nowMs });
    }
  }

  page(group, after) {
    const log = this.logs.get(group);
    const events = log.slice(after, after + 3);
    return { group, events, head: log.length, floor: 1, more: after + events.length < log.length };
  }
}

/** Reads a stream into a list for as long as it lasts. */
export function collect(stream) {
  const heard = [];
  (async () => {
    try {
      for await (const each of stream) heard.push(each);
    } catch (error) {
      heard.push({ type: "error", error });
    }
  })();
  return heard;
}
