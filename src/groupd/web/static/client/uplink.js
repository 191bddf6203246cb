/**
 * Keeps one connection to the server open: dials, says hello, renews the token, dials again.
 *
 * Theory of operation. It is in one of the states of `docs/guide/client-authors.md`; each begins
 * with a token, a `hello` and the list of all groups, and is `live` then until the connection is
 * lost. What the server says goes to the listener in the order of the wire.
 *
 * What ends it is `final`: a refusal that trying again does not mend, a token that cannot be had,
 * an address that cannot be dialled here, or `close`.
 */

import * as backoff from "./backoff.js";
import { ServerClock } from "./clock.js";
import { Connection } from "./connection.js";
import {
  Disconnected, GroupdError, ProtocolError, Rejected, UsageError, isMap,
} from "./errors.js";
import { TokenSource, expiryMs } from "./tokens.js";

/**
 * @typedef {"connecting" | "greeting" | "live" | "waiting" | "ended"} State
 *
 * @typedef {object} Welcome what the server answers to `hello`
 * @property {string} user
 * @property {string} session
 * @property {string} server
 * @property {string} store another one means that seqs seen before may not exist
 * @property {number} time_ms
 * @property {Record<string, any>} limits
 * @property {{head: number}} account
 * @property {Record<string, any>[]} groups the first page
 * @property {string[]} [categories]
 * @property {string} [next]
 *
 * @typedef {object} UplinkListener who is told what the server says; all may throw ProtocolError
 * @property {(welcome: Welcome) => void} welcomed
 * @property {(groups: Record<string, any>[]) => void} listed
 * @property {() => void} listedAll
 * @property {(method: string, params: Record<string, any>) => void} notified
 * @property {(state: State, waitMs: number) => void} changed
 * @property {(error: GroupdError | null) => void} ended the error is null after `close`
 */

/** Codes that a later hello may not meet again. */
const PASSING = new Set(["unavailable", "rate_limited", "internal"]);

export class Uplink {
  #url;
  #ports;
  #limits;
  #name;
  #hears;
  #listener;
  /** @type {Connection | null} */
  #connection = null;
  #isLive = false;
  #liveSinceMs = 0;
  #attempt = 0;
  /** Refusals of a token in a row. */
  #refusals = 0;
  #token = "";
  /** @type {(() => void) | null} */
  #cancelWait = null;
  /** @type {(() => void) | null} */
  #cancelRenewal = null;
  /** @type {(() => void) | null} */
  #cancelHello = null;
  /** @type {Promise<void> | null} */
  #renewing = null;
  /** @type {GroupdError | null} why the connection is about to be closed by us */
  #cause = null;

  /** Why there will be no more connections, once that is so. @type {GroupdError | null} */
  final = null;
  /** How many tokens the server has taken, over all connections. */
  tokensAccepted = 0;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {TokenSource} options.tokens
   * @param {import("./ports.js").Ports} options.ports
   * @param {Readonly<import("./limits.js").ClientLimits>} options.limits
   * @param {string} options.name
   * @param {boolean} options.hears whether the server pushes anything
   * @param {UplinkListener} options.listener
   */
  constructor({ url, tokens, ports, limits, name, hears, listener }) {
    this.#url = url;
    this.tokens = tokens;
    this.#ports = ports;
    this.#limits = limits;
    this.#name = name;
    this.#hears = hears;
    this.#listener = listener;
    this.clock = new ServerClock(ports);
  }

  /** The connection that is live, if one is. */
  get live() {
    return this.#isLive ? this.#connection : null;
  }

  /** Connects. Call it once. */
  async begin() {
    this.#cancelWait = null;
    if (this.final !== null) return;
    this.#listener.changed("connecting", 0);
    let token = "";
    try {
      token = await this.tokens.get();
    } catch (error) {
      this.#finish(/** @type {GroupdError} */ (error));
      return;
    }
    if (this.final !== null) return;
    this.#cause = null;
    this.#connection = new Connection(this.#ports, this.#limits, {
      opened: (connection) => this.#introduce(connection, token),
      notified: (method, params) => this.#listener.notified(method, params),
      closed: (connection) => this.#lost(connection),
    });
    this.#connection.dial(this.#url);
  }

  /** Ends the connection; there will be no other. */
  close() {
    this.#finish(new Disconnected("the client is closed"), { isFailure: false });
  }

  /**
   * Learns that the network may be there again, or may be gone without a word: dials now, if it
   * waits, and otherwise asks the server whether it is there.
   */
  nudge() {
    if (this.#cancelWait !== null && this.#asked <= this.#ports.steadyMs()) {
      this.#cancelWait();
      this.begin();
    } else if (this.#isLive) {
      this.#connection?.ping();
    }
  }

  /** Until when the server asked not to come back. */
  #asked = 0;

  /**
   * Draws how long to wait after some failures in a row.
   * @param {number} attempt
   */
  backoffMs(attempt) {
    return backoff.delayMs(attempt, this.#ports.random(backoff.DRAW_BYTES), this.#limits);
  }

  /**
   * How long the server asks to wait, within bounds; 0 where it does not say.
   * @param {Rejected} refusal
   */
  retryAfterMs(refusal) {
    return Math.min(refusal.retryAfterMs, this.#limits.retryAfterMaxMs);
  }

  /**
   * Shows a fresh token, unless the server has taken one since `tokensAccepted` was that. If it is
   * refused for good, or there is none to be had, the client ends. Never throws.
   * @param {number} accepted
   */
  renew(accepted) {
    // Twenty calls that are refused at once want one new token.
    this.#renewing ??= this.#renewOnce(accepted).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  /** @param {number} accepted */
  async #renewOnce(accepted) {
    while (this.tokensAccepted === accepted && this.final === null) {
      let token = "";
      try {
        token = await this.tokens.get();
      } catch (error) {
        this.#finish(/** @type {GroupdError} */ (error));
        return;
      }
      const connection = this.live;
      if (connection === null) return;
      const error = await new Promise((resolve) => this.#hello(connection, token, resolve));
      if (error === null || error instanceof Disconnected) return;
      if (this.#isFinal(error)) this.#finish(error);
      else if (!asksForToken(error)) return;
    }
  }

  // --- a connection's beginning

  /**
   * @param {Connection} connection
   * @param {string} token
   */
  #introduce(connection, token) {
    this.#listener.changed("greeting", 0);
    this.#cancelHello = this.#ports.setTimer(this.#limits.helloTimeoutMs, () => {
      connection.close("the server did not answer hello");
    });
    const welcomed = (/** @type {Welcome} */ welcome) => {
      this.#listener.welcomed(welcome);
      this.#takePage(connection, welcome);
    };
    this.#hello(connection, token, (error) => error && this.#refused(connection, error), welcomed);
  }

  /**
   * Shows a token; `welcomed` is called before what the server sends after its answer.
   * @param {Connection} connection
   * @param {string} token
   * @param {(error: Error | null) => void} done
   * @param {(welcome: Welcome) => void} [welcomed]
   */
  #hello(connection, token, done, welcomed) {
    const params = { token, client: this.#name, events: this.#hears };
    connection.request("hello", params, (error, result) => {
      if (error === null) {
        const welcome = welcomeOf(result);
        this.#token = token;
        this.#refusals = 0;
        this.tokensAccepted += 1;
        this.clock.set(welcome.time_ms);
        connection.frameMaxBytes = welcome.limits.frame_max_bytes ?? null;
        welcomed?.(welcome);
      } else if (asksForToken(error)) {
        this.#refusals += 1;
      }
      done(error);
    });
  }

  /**
   * @param {Connection} connection
   * @param {Record<string, any>} page
   */
  #takePage(connection, page) {
    if (!Array.isArray(page.groups)) throw new ProtocolError("a page of groups without them");
    this.#listener.listed(page.groups);
    if (!page.next) {
      this.#begun();
      return;
    }
    connection.request("groups", { after: page.next }, (error, next) => {
      if (error === null) this.#takePage(connection, next);
      else this.#refused(connection, error);
    });
  }

  #begun() {
    this.#cancelHello?.();
    this.#isLive = true;
    this.#liveSinceMs = this.#ports.steadyMs();
    this.#listener.listedAll();
    this.#renewInTime();
    this.#listener.changed("live", 0);
  }

  #renewInTime() {
    this.#cancelRenewal?.();
    const expires = expiryMs(this.#token);
    if (!this.tokens.isRenewable || expires === null) return;
    const leftMs = expires - this.clock.nowMs();
    const { renewBeforeMs, renewMinMs } = this.#limits;
    const waitMs = Math.max(leftMs - renewBeforeMs, leftMs / 2, renewMinMs);
    // Timers count in 32 bits; a token that lives longer is looked at again.
    this.#cancelRenewal = this.#ports.setTimer(Math.min(waitMs, TIMER_MAX_MS), async () => {
      if (waitMs <= TIMER_MAX_MS) await this.renew(this.tokensAccepted);
      if (this.#isLive) this.#renewInTime();
    });
  }

  // --- a connection's end

  /**
   * @param {Connection} connection
   * @param {Error} error
   */
  #refused(connection, error) {
    if (error instanceof Rejected) this.#cause = error;
    connection.close(error.message);
  }

  /** @param {Connection} connection */
  #lost(connection) {
    if (connection !== this.#connection) return;
    const heldMs = this.#isLive ? this.#ports.steadyMs() - this.#liveSinceMs : 0;
    const wasLive = this.#isLive;
    this.#isLive = false;
    this.#connection = null;
    this.#cancelHello?.();
    this.#cancelRenewal?.();
    if (this.final !== null) return;
    /** @type {GroupdError} */
    let cause = this.#cause ?? connection.misuse ?? new Disconnected(connection.whyClosed);
    if (this.#cause === null && connection.goodbye !== null) {
      cause = Rejected.fromWire(connection.goodbye);
      // Instead of an answer to hello, it is the same to us as a refusal.
      if (!wasLive && asksForToken(cause)) this.#refusals += 1;
    }
    if (this.#isFinal(cause)) {
      this.#finish(cause);
      return;
    }
    // Whoever was asked for another token has reached the server: that is no failure in a row.
    const isAnew = heldMs >= this.#limits.stableMs || asksForToken(cause);
    this.#attempt = isAnew ? 1 : this.#attempt + 1;
    const asked = cause instanceof Rejected ? this.retryAfterMs(cause) : 0;
    const waitMs = Math.max(asked, this.backoffMs(this.#attempt));
    this.#asked = this.#ports.steadyMs() + asked;
    this.#cancelWait = this.#ports.setTimer(waitMs, () => this.begin());
    this.#listener.changed("waiting", waitMs);
  }

  /** @param {Error} cause */
  #isFinal(cause) {
    if (cause instanceof UsageError) return true;
    if (!(cause instanceof Rejected)) return false;
    if (asksForToken(cause)) return !this.tokens.isRenewable || this.#refusals > 1;
    return !PASSING.has(cause.code) && this.retryAfterMs(cause) === 0;
  }

  /**
   * @param {GroupdError} error
   * @param {{isFailure?: boolean}} [how]
   */
  #finish(error, { isFailure = true } = {}) {
    if (this.final !== null) return;
    this.final = error;
    this.#cancelWait?.();
    this.#connection?.close(error.message);
    this.#listener.ended(isFailure ? error : null);
    this.#listener.changed("ended", 0);
  }
}

/** The longest wait that timers of JavaScript have. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** @param {unknown} cause */
function asksForToken(cause) {
  return cause instanceof Rejected && cause.code === "unauthenticated";
}

/**
 * Reads the result of `hello`; throws ProtocolError.
 * @param {any} hello
 * @returns {Welcome}
 */
function welcomeOf(hello) {
  const isWhole = ["user", "session", "server", "store"].every(
    (name) => typeof hello[name] === "string",
  ) && Number.isSafeInteger(hello.time_ms) && isMap(hello.limits) && isMap(hello.account)
    && Number.isSafeInteger(hello.account.head) && Array.isArray(hello.groups);
  if (!isWhole) throw new ProtocolError("the answer to hello lacks something");
  return hello;
}
