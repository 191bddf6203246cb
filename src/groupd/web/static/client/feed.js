/**
 * What the server says by itself: noted, and handed to the streams that are open.
 *
 * A client that nobody listens to holds no events, only a head for each group: where a stream that
 * is opened later begins.
 */

import { ACCOUNT, Cursors } from "./cursors.js";
import { ProtocolError, UsageError } from "./errors.js";
import { EventStream, checkEvent } from "./stream.js";

/** The listener of `Uplink`; it says when these are called. */
export class Feed {
  #call;
  #pause;
  #limits;
  /** @type {Set<EventStream>} */
  #streams = new Set();
  /** @type {Map<string, number>} */
  #heads = new Map([[ACCOUNT, 0]]);
  /** @type {Map<string, Record<string, any>>} */
  #groups = new Map();
  /** @type {Set<string>} groups that were pushed on this connection */
  #heard = new Set();
  #isEnded = false;
  /** @type {Error | null} */
  #error = null;

  /** What the last hello was answered. @type {import("./uplink.js").Welcome | null} */
  welcome = null;
  /** All the groups that were listed then. @type {Record<string, any>[]} */
  chatList = [];

  /**
   * @param {object} options
   * @param {import("./stream.js").Call} options.call
   * @param {(refusal: import("./errors.js").Rejected) => Promise<void>} options.pause
   * @param {Readonly<import("./limits.js").ClientLimits>} options.limits
   */
  constructor({ call, pause, limits }) {
    this.#call = call;
    this.#pause = pause;
    this.#limits = limits;
  }

  /**
   * Begins a stream: after the seqs given, elsewhere with what comes next.
   * @param {Record<string, number>} after
   */
  open(after) {
    if (this.#streams.size >= this.#limits.streamsMax) {
      throw new UsageError(`more than ${this.#limits.streamsMax} streams: close those that are over`);
    }
    const stream = new EventStream({
      call: this.#call,
      cursors: new Cursors([...this.#heads, ...Object.entries(after)]),
      eventsMax: this.#limits.eventsMax,
      pause: this.#pause,
      dropped: (closed) => this.#streams.delete(closed),
    });
    for (const group of Object.keys(after)) {
      const head = this.#heads.get(group);
      if (head !== undefined) stream.reaches(group, head);
    }
    stream.keepOnly(new Set(this.#heads.keys()));
    if (this.#isEnded) stream.end(this.#error);
    else this.#streams.add(stream);
    return stream;
  }

  // --- what the uplink tells

  /** @param {import("./uplink.js").Welcome} welcome */
  welcomed(welcome) {
    const before = this.welcome;
    this.welcome = welcome;
    this.#groups.clear();
    this.#heard.clear();
    const { head } = welcome.account;
    if (before !== null && before.store !== welcome.store) {
      this.#heads = new Map([[ACCOUNT, head], ...welcome.groups.map(headOf)]);
      for (const stream of this.#streams) {
        stream.restart({ before: before.store, after: welcome.store }, new Cursors(this.#heads));
      }
    }
    this.#reaches(ACCOUNT, head);
  }

  /** @param {Record<string, any>[]} groups a page of the groups that the user is in */
  listed(groups) {
    for (const entry of groups) {
      const [group, head] = headOf(entry);
      this.#reaches(group, head);
      this.#groups.set(group, entry);
    }
  }

  /** There are no more pages: groups neither listed nor heard of are over. */
  listedAll() {
    this.chatList = [...this.#groups.values()];
    const current = new Set([...this.#groups.keys(), ...this.#heard]);
    for (const group of this.#heads.keys()) {
      if (group !== ACCOUNT && !current.has(group)) this.#heads.delete(group);
    }
    for (const stream of this.#streams) stream.keepOnly(current);
  }

  /**
   * Takes a push. Notifications that this version does not know are let pass.
   * @param {string} method
   * @param {Record<string, any>} params
   */
  notified(method, params) {
    if (method === "event") {
      if (typeof params.group !== "string" || params.group === ACCOUNT) {
        throw new ProtocolError("an event without its group");
      }
      this.#push(params.group, params);
    } else if (method === "account_event") {
      this.#push(ACCOUNT, params);
    } else if (method === "signal") {
      for (const stream of this.#streams) stream.signal(params);
    } else if (method === "lagged") {
      const [group, head] = headOf(params);
      this.#heard.add(group);
      this.#reaches(group, head);
    }
  }

  /** @param {Error | null} error why there will be no more connections; null after a close */
  ended(error) {
    this.#isEnded = true;
    this.#error = error;
    for (const stream of this.#streams) stream.end(error);
    this.#streams.clear();
  }

  /**
   * @param {string} log
   * @param {Record<string, any>} event
   */
  #push(log, event) {
    checkEvent(event, log);
    this.#heard.add(log);
    this.#heads.set(log, Math.max(event.seq, this.#heads.get(log) ?? 0));
    for (const stream of this.#streams) stream.push(log, event);
  }

  /**
   * @param {string} log
   * @param {number} head
   */
  #reaches(log, head) {
    this.#heads.set(log, Math.max(head, this.#heads.get(log) ?? 0));
    for (const stream of this.#streams) stream.reaches(log, head);
  }
}

/**
 * @param {Record<string, any>} entry
 * @returns {[string, number]}
 */
function headOf(entry) {
  const { group, head } = entry ?? {};
  if (typeof group !== "string" || !Number.isSafeInteger(head)) {
    throw new ProtocolError("a group without its head");
  }
  return [group, head];
}
