/**
 * What a client hears: events of its groups, of its account, and signals, as one stream.
 *
 * Theory of operation. The connection offers each push to each stream; the `Cursors` say whether it
 * comes next. What does not, or has no room, is left, and fetched later by the reader of the
 * stream, once its buffer is empty. So memory is bounded, the connection never waits for the
 * application, and an application that is slow, or was cut off, catches up at its own pace.
 */

import { ACCOUNT, Cursors } from "./cursors.js";
import { Disconnected, ProtocolError, Rejected, UsageError } from "./errors.js";

/**
 * @typedef {object} GroupEvent one record of a group's log; `(group, seq)` is its identity
 * @property {string} group
 * @property {number} seq
 * @property {number} time_ms
 * @property {string} kind
 * @property {string} [user] who caused it; absent where that is hidden
 * @property {string} [id] of the request that caused it
 *
 * @typedef {object} AccountEvent one record of the user's own log
 * @property {number} seq
 * @property {number} time_ms
 * @property {string} kind
 * @property {string} [id]
 *
 * @typedef {{type: "event", event: GroupEvent & Record<string, any>}
 *   | {type: "account", event: AccountEvent & Record<string, any>}
 *   | {type: "signal", signal: Record<string, any>}
 *   | {type: "store", before: string, after: string}} Heard
 *   `store`: the server was restored from a backup, and seqs seen before mean something else now;
 *   the stream goes on from the heads that its groups have now
 *
 * @typedef {(method: string, params: Record<string, any>) => Promise<Record<string, any>>} Call
 */

/** Groups that one `sync` asks for. */
const SYNC_GROUPS_MAX = 64;
/** Events in a page of the account's log. */
const PAGE_MAX = 500;
/** What the account hears when somebody else has made the user a member; `at` is the event. */
const LET_IN = new Set(["added", "approved"]);
/** Refusals of a fetch that will pass. */
const PASSING = new Set(["rate_limited", "unavailable", "internal"]);

/** An asynchronous iterator of `Heard`. It belongs to one reader at a time. */
export class EventStream {
  #call;
  #cursors;
  #eventsMax;
  #pause;
  #dropped;
  /** @type {Heard[]} */
  #buffer = [];
  #isEnded = false;
  /** @type {Error | null} */
  #error = null;
  #isReading = false;
  #restarts = 0;
  /** @type {(() => void) | null} */
  #wake = null;

  /**
   * @param {object} options
   * @param {Call} options.call
   * @param {Cursors} options.cursors
   * @param {number} options.eventsMax
   * @param {(refusal: Rejected) => Promise<void>} options.pause waits as long as a refusal asks
   * @param {(stream: EventStream) => void} options.dropped is told when it is closed
   */
  constructor({ call, cursors, eventsMax, pause, dropped }) {
    this.#call = call;
    this.#cursors = cursors;
    this.#eventsMax = eventsMax;
    this.#pause = pause;
    this.#dropped = dropped;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** Hears no more. What is buffered is dropped. */
  close() {
    this.end(null);
    this.#buffer = [];
    this.#dropped(this);
  }

  /** What `for await` calls when it is left early. @returns {Promise<IteratorResult<Heard>>} */
  async return() {
    this.close();
    return { done: true, value: undefined };
  }

  /**
   * Gives the next one, fetching what was missed. Rejects with UsageError where another reader
   * waits, and with what has ended the client.
   * @returns {Promise<IteratorResult<Heard>>}
   */
  async next() {
    const heard = await this.some(1);
    return heard.length ? { done: false, value: heard[0] } : { done: true, value: undefined };
  }

  /**
   * Waits for the next one, and gives it with what follows it already; none at the end.
   * @param {number} countMax
   * @returns {Promise<Heard[]>}
   */
  async some(countMax) {
    if (this.#isReading) throw new UsageError("another reader is waiting for this stream");
    this.#isReading = true;
    try {
      while (this.#buffer.length === 0) {
        if (this.#error !== null) throw this.#error;
        if (this.#isEnded) return [];
        const behind = this.#cursors.behind(SYNC_GROUPS_MAX);
        if (behind.size > 0) await this.#fetch(behind);
        else await this.#news();
      }
      return this.#buffer.splice(0, countMax);
    } finally {
      this.#isReading = false;
    }
  }

  // --- what the connection tells

  /**
   * Takes a push, if it comes next and there is room.
   * @param {string} log
   * @param {Record<string, any>} event
   */
  push(log, event) {
    if (!this.#isEnded && this.#cursors.offer(log, event.seq, this.#hasRoom)) {
      this.#keep(log, event);
    }
    if (log === ACCOUNT) this.#place(event);
    this.#tell();
  }

  /**
   * Takes a signal, if there is room.
   * @param {Record<string, any>} signal
   */
  signal(signal) {
    if (this.#isEnded || !this.#hasRoom) return;
    this.#buffer.push({ type: "signal", signal });
    this.#tell();
  }

  /**
   * Learns how far a log goes.
   * @param {string} log
   * @param {number} head
   */
  reaches(log, head) {
    this.#cursors.reaches(log, head);
    this.#tell();
  }

  /**
   * Learns in which groups the user still is.
   * @param {Set<string>} listed
   */
  keepOnly(listed) {
    this.#cursors.keepOnly(listed);
    this.#tell();
  }

  /**
   * Goes on from other cursors, since the old ones mean nothing any more.
   * @param {{before: string, after: string}} change
   * @param {Cursors} cursors
   */
  restart(change, cursors) {
    this.#restarts += 1;
    this.#cursors = cursors;
    if (!this.#isEnded) this.#buffer.push({ type: "store", ...change });
    this.#tell();
  }

  /**
   * Learns that nothing comes after what is buffered, and which error is the reason.
   * @param {Error | null} error
   */
  end(error) {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    this.#tell();
  }

  get #hasRoom() {
    return this.#buffer.length < this.#eventsMax;
  }

  #tell() {
    this.#wake?.();
    this.#wake = null;
  }

  /** @returns {Promise<void>} */
  #news() {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /**
   * @param {string} log
   * @param {any} event
   */
  #keep(log, event) {
    this.#buffer.push({ type: log === ACCOUNT ? "account" : "event", event });
  }

  // --- fetching

  /**
   * Takes one page of what is behind. Refused for now, it changes nothing.
   * @param {Map<string, number>} behind
   */
  async #fetch(behind) {
    const restarts = this.#restarts;
    try {
      const after = behind.get(ACCOUNT);
      if (after !== undefined) {
        const page = await this.#call("account_history", { after, limit: PAGE_MAX });
        if (restarts === this.#restarts) this.#takeAccount(page);
      } else {
        const found = await this.#call("sync", { cursors: Object.fromEntries(behind) });
        if (restarts === this.#restarts) this.#takeGroups(behind, found.groups);
      }
    } catch (error) {
      // Lost too often for one call. A stream goes on until the client ends, and is told then.
      if (error instanceof Disconnected) return;
      // Asked with the seqs of another store.
      if (restarts !== this.#restarts) return;
      if (!(error instanceof Rejected) || !PASSING.has(error.code)) throw error;
      await this.#pause(error);
    }
  }

  /** @param {Record<string, any>} page */
  #takeAccount(page) {
    for (const event of listOf(page.events)) {
      checkEvent(event, ACCOUNT);
      if (!this.#isEnded && this.#cursors.take(ACCOUNT, event.seq)) this.#keep(ACCOUNT, event);
      this.#place(event);
    }
    this.#cursors.fetched(ACCOUNT, page.head, page.more === true);
  }

  /**
   * @param {Map<string, number>} asked
   * @param {Record<string, any>[]} pages
   */
  #takeGroups(asked, pages) {
    const left = new Set(asked.keys());
    for (const page of listOf(pages)) {
      left.delete(page.group);
      for (const event of listOf(page.events)) {
        checkEvent(event, page.group);
        if (!this.#isEnded && this.#cursors.take(page.group, event.seq)) {
          this.#keep(page.group, event);
        }
      }
      this.#cursors.fetched(page.group, page.head, page.more === true);
    }
    for (const group of left) this.#cursors.forget(group);
  }

  /** @param {Record<string, any>} event of the account */
  #place(event) {
    if (LET_IN.has(event.kind) && typeof event.group === "string" && Number.isInteger(event.at)) {
      this.#cursors.place(event.group, event.at);
    }
  }
}

/**
 * Throws ProtocolError where an event lacks what every event has.
 * @param {any} event
 * @param {string} log
 */
export function checkEvent(event, log) {
  const isWhole = Number.isSafeInteger(event?.seq) && event.seq > 0
    && Number.isSafeInteger(event.time_ms) && typeof event.kind === "string"
    && (log === ACCOUNT || event.group === log);
  if (!isWhole) throw new ProtocolError("an event that lacks something");
}

/** @param {any} value @returns {any[]} */
function listOf(value) {
  if (!Array.isArray(value)) throw new ProtocolError("expected a list");
  return value;
}
