/**
 * A user's side of the conversation: calls, events, and no thought of connections.
 *
 * Theory of operation. The `Uplink` keeps a connection open. What is called goes into the outbox,
 * in order, and stays there until it is answered: when a connection is lost, what was under way on
 * it is sent again on the next one, with the same request id, so that a command is done exactly
 * once however often it was sent. What the server pushes goes to the open streams (`Feed`).
 */

import { DRAW_BYTES, RisingIds } from "./ids.js";
import { Disconnected, GroupdError, Rejected, UsageError } from "./errors.js";
import { Feed } from "./feed.js";
import { limitsWith } from "./limits.js";
import { takesId } from "./methods.js";
import { Outbox } from "./outbox.js";
import { platformPorts } from "./ports.js";
import { TokenSource } from "./tokens.js";
import { Uplink } from "./uplink.js";

export const CLIENT_NAME = "groupd-js/0.1.0";

/**
 * @typedef {object} Options
 * @property {import("./tokens.js").Token} token a JWT, or a function that gives a fresh one: it is
 *   asked for each connection, shortly before the last one ends, and when the server refuses one.
 *   What it throws ends the client, so it should try again by itself where that may help
 * @property {string} [name] name and version of the program, for the server's log
 * @property {boolean} [events] false: the server pushes nothing
 * @property {Partial<import("./limits.js").ClientLimits>} [limits]
 * @property {any} [WebSocket] a class, where the platform has none
 * @property {import("./ports.js").Ports["dial"]} [dial] another way to reach a server; see `tcp.js`
 * @property {import("./outbox.js").Shelf} [shelf] where unanswered commands are kept over a restart
 *   of the program
 * @property {(state: import("./uplink.js").State, waitMs: number) => void} [onState] is told how
 *   the connection is; `waitMs` is how long `waiting` lasts
 * @property {import("./ports.js").Ports} [ports] for tests
 *
 * @typedef {import("./outbox.js").Intent} Intent
 */

/** Made by `open` or `connect`. */
export class Client {
  #ports;
  #limits;
  #hears;
  #ids = new RisingIds();
  #feed;
  #uplink;
  #outbox;
  #onState;
  /** @type {(value: Client) => void} */
  #resolveReady = () => {};
  /** @type {(error: Error) => void} */
  #rejectReady = () => {};

  /**
   * Fulfilled with the client once it is connected; rejected with what ended it before.
   * @type {Promise<Client>}
   */
  ready;

  /**
   * @param {string} url
   * @param {Options} options
   */
  constructor(url, options) {
    this.#ports = options.ports ?? platformPorts(options);
    this.#limits = limitsWith(options.limits);
    this.#hears = options.events ?? true;
    this.#onState = options.onState ?? (() => {});
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // Whoever does not wait for it learns of the end elsewhere.
    this.ready.catch(() => {});
    this.#feed = new Feed({
      call: (method, params) => this.call(method, params),
      pause: (refusal) => this.#pause(refusal),
      limits: this.#limits,
    });
    this.#uplink = new Uplink({
      url,
      tokens: new TokenSource(options.token),
      ports: this.#ports,
      limits: this.#limits,
      name: options.name ?? CLIENT_NAME,
      hears: this.#hears,
      listener: {
        welcomed: (welcome) => this.#feed.welcomed(welcome),
        listed: (groups) => this.#feed.listed(groups),
        listedAll: () => this.#feed.listedAll(),
        notified: (method, params) => this.#feed.notified(method, params),
        changed: (state, waitMs) => this.#changed(state, waitMs),
        ended: (error) => this.#ended(error),
      },
    });
    this.#outbox = new Outbox({
      uplink: this.#uplink,
      ports: this.#ports,
      limits: this.#limits,
      shelf: options.shelf,
      newId: () => this.newId(),
      resetIds: () => {
        this.#ids = new RisingIds();
      },
    });
  }

  // --- what hello said

  /** The user whom the token speaks for; "" before the first connection. */
  get user() {
    return this.#feed.welcome?.user ?? "";
  }

  /** What the last `hello` was answered; null before the first. */
  get welcome() {
    return this.#feed.welcome;
  }

  /** The server's limits; empty before the first connection. */
  get limits() {
    return this.#feed.welcome?.limits ?? {};
  }

  /** The groups that the user is in, as of the last time of connecting. */
  get chatList() {
    return this.#feed.chatList;
  }

  /** Why there will be no more connections, once that is so. */
  get final() {
    return this.#uplink.final;
  }

  /** The server's time, as well as it is known. */
  serverTimeMs() {
    return this.#uplink.clock.nowMs();
  }

  /** Commands that were kept over a restart of the program and have no answer yet. */
  get restored() {
    return this.#outbox.restored;
  }

  // --- calls

  /**
   * Has a request served, over as many connections as it takes. A command gets an `id`, if it has
   * none, and keeps it. `unavailable` and `internal` are tried again `retriesMax` times,
   * `rate_limited` is not.
   *
   * Rejects with Rejected where the server refuses it; with Disconnected where the connection was
   * lost `sendsMax` times under it, or the client has ended: then it may have taken effect.
   * @param {string} method
   * @param {Record<string, any>} [params]
   * @returns {Promise<Record<string, any>>}
   */
  async call(method, params = {}) {
    return this.begin(method, params).answer;
  }

  /**
   * As `call`; gives the intent, whose `id` is in the events that it causes. So a message that was
   * drawn before it is answered is found again.
   * @param {string} method
   * @param {Record<string, any>} [params]
   * @returns {Intent}
   */
  begin(method, params = {}) {
    if (params.id !== undefined && !takesId(method)) {
      throw new UsageError(`${method} takes no id`);
    }
    return this.#outbox.begin(method, params);
  }

  // --- events

  /**
   * Hears what happens from now on: `for await (const heard of client.events()) ...`.
   *
   * `after` maps groups to the seqs from which to go on there instead, such as those that were seen
   * before the program was started again. A stream holds at most `eventsMax` pushes, or a page of
   * what it has to fetch, and misses nothing of a group or of the account while it is read slowly.
   * Signals that find no room are lost. Close it, or leave the loop, when it is not read any more.
   * @param {{after?: Record<string, number>}} [options]
   */
  events({ after = {} } = {}) {
    if (!this.#hears) throw new UsageError("connected without events");
    return this.#feed.open(after);
  }

  /** Tries now what would be tried later: the network may be back, or the page in sight again. */
  nudge() {
    this.#uplink.nudge();
  }

  /** Ends the client. Calls that are open reject with Disconnected; streams end. */
  close() {
    this.#uplink.close();
  }

  /** Connects. `open` calls it. */
  start() {
    this.#uplink.begin();
  }

  /** Makes a request id, for what is to be done once however often it is called for. */
  newId() {
    return this.#ids.make(this.serverTimeMs(), this.#ports.random(DRAW_BYTES));
  }

  /** @param {Rejected} refusal */
  #pause(refusal) {
    const waitMs = this.#uplink.retryAfterMs(refusal) || this.#uplink.backoffMs(1);
    return new Promise((resolve) => this.#ports.setTimer(waitMs, () => resolve(undefined)));
  }

  /**
   * @param {import("./uplink.js").State} state
   * @param {number} waitMs
   */
  #changed(state, waitMs) {
    if (state === "live") {
      this.#outbox.live();
      this.#resolveReady(this);
    }
    // What it throws is the application's, and must not end the reading of the connection.
    queueMicrotask(() => this.#onState(state, waitMs));
  }

  /** @param {GroupdError | null} error */
  #ended(error) {
    const reason = error ?? new Disconnected("the client is closed");
    this.#outbox.end(reason);
    this.#feed.ended(error);
    this.#rejectReady(reason);
  }
}

/**
 * Makes a client that begins to connect; its `ready` says when it is.
 * @param {string} url `ws://HOST:PORT/ws` or `wss://HOST/ws`
 * @param {Options} options
 */
export function open(url, options) {
  const client = new Client(url, options);
  client.start();
  return client;
}

/**
 * Connects to a server as the user of the token. Waits for as long as it cannot be reached; rejects
 * with what ends it before: Rejected (the token, say), TokenError, or UsageError where the platform
 * has no WebSocket or does not take the address.
 * @param {string} url
 * @param {Options} options
 * @returns {Promise<Client>}
 */
export function connect(url, options) {
  return open(url, options).ready;
}
