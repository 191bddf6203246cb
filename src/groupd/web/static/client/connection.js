/**
 * One connection: requests out, answers matched to them, notifications in order. No reconnecting.
 *
 * Theory of operation. The wire calls in here, and nothing in here waits: an answer or notification
 * is handed on by a plain function before the next one is looked at. So what a `hello` says is
 * known before the pushes behind it are.
 */

import { Cutter } from "./cutter.js";
import { Disconnected, ProtocolError, Rejected, UsageError } from "./errors.js";
import { MSGID_MAX, decodeMessage, encodeRequest } from "./rpc.js";

/**
 * @typedef {import("./limits.js").ClientLimits} ClientLimits
 * @typedef {import("./ports.js").Ports} Ports
 * @typedef {import("./ports.js").Wire} Wire
 * @typedef {(error: Error | null, result: Record<string, any>) => void} Answer
 *
 * @typedef {object} ConnectionListener
 * @property {(connection: Connection) => void} opened
 * @property {(method: string, params: Record<string, any>) => void} notified may throw
 *   ProtocolError; `goodbye` is not told here
 * @property {(connection: Connection) => void} closed once; no answer comes after it
 */

export class Connection {
  #ports;
  #limits;
  #listener;
  #cutter;
  /** @type {Wire | null} */
  #wire = null;
  /** @type {Map<number, Answer>} */
  #waiting = new Map();
  #msgid = 0;
  /** @type {(() => void) | null} */
  #cancelTimer = null;
  #heardMs = 0;
  /** Whether nothing has come since a ping. */
  #isAsked = false;
  /** The wire, from dialling on. @type {Wire | null} */
  #dialled = null;
  #isClosed = false;

  /** What the server said before it closed, if it did. @type {Record<string, any> | null} */
  goodbye = null;
  whyClosed = "the connection was closed";
  /** The largest request that the server takes, once it is known. @type {number | null} */
  frameMaxBytes = null;
  /** Why dialling again is of no use, where that is so. @type {UsageError | null} */
  misuse = null;

  /**
   * @param {Ports} ports
   * @param {Readonly<ClientLimits>} limits
   * @param {ConnectionListener} listener
   */
  constructor(ports, limits, listener) {
    this.#ports = ports;
    this.#limits = limits;
    this.#listener = listener;
    this.#cutter = new Cutter(limits);
  }

  get isOpen() {
    return this.#wire !== null && !this.#isClosed;
  }

  /** How many requests are under way. */
  get underWay() {
    return this.#waiting.size;
  }

  /**
   * Dials; `opened` or `closed` is called, never before this returns.
   * @param {string} url
   */
  dial(url) {
    this.#setTimer(this.#limits.dialTimeoutMs, () => this.close("it took too long to connect"));
    const handlers = {
      opened: () => {
        if (this.#isClosed) return;
        this.#wire = this.#dialled;
        this.#heardMs = this.#ports.steadyMs();
        this.#watch();
        this.#listener.opened(this);
      },
      received: (/** @type {Uint8Array} */ data) => this.#receive(data),
      closed: (/** @type {string} */ why) => this.close(why),
    };
    try {
      this.#dialled = this.#ports.dial(url, handlers);
    } catch (error) {
      if (error instanceof UsageError) this.misuse = error;
      this.#setTimer(0, () => this.close(String(error)));
    }
  }

  /**
   * Ends the conversation; what is under way fails with Disconnected.
   * @param {string} why
   */
  close(why) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.whyClosed = why;
    this.#cancelTimer?.();
    this.#dialled?.close();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const answer of waiting) answer(new Disconnected(why), {});
    this.#listener.closed(this);
  }

  /**
   * Asks; `answer` is called once, before what the server sent next is looked at, and never before
   * this returns.
   * @param {string} method
   * @param {Record<string, any>} params
   * @param {Answer} answer
   * @returns {Rejected | null} why it was not sent: then `answer` is not called
   */
  request(method, params, answer) {
    if (!this.isOpen || this.#wire === null) throw new Disconnected(this.whyClosed);
    const msgid = this.#nextMsgid();
    const frame = encodeRequest(msgid, method, params);
    if (this.frameMaxBytes !== null && frame.length > this.frameMaxBytes) {
      const details = { limit_bytes: this.frameMaxBytes };
      return new Rejected("too_large", "the request is too large", details);
    }
    this.#waiting.set(msgid, answer);
    this.#wire.send(frame);
    return null;
  }

  /** Asks whether the server is there, and ends the connection if it does not say so soon. */
  ping() {
    if (!this.isOpen || this.#isAsked) return;
    this.#isAsked = true;
    this.request("ping", {}, () => {});
    this.#setTimer(this.#limits.pingTimeoutMs, () => {
      if (this.#isAsked) this.close("the server does not answer");
      else this.#watch();
    });
  }

  /** Looks from time to time whether the server has said anything. */
  #watch() {
    const silentMs = this.#ports.steadyMs() - this.#heardMs;
    const leftMs = Math.max(1, this.#limits.silenceMs - silentMs);
    this.#setTimer(leftMs, () => {
      if (this.#ports.steadyMs() - this.#heardMs >= this.#limits.silenceMs) this.ping();
      else this.#watch();
    });
  }

  /**
   * There is one timer at a time.
   * @param {number} ms
   * @param {() => void} then
   */
  #setTimer(ms, then) {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#ports.setTimer(ms, then);
  }

  #nextMsgid() {
    do {
      this.#msgid = this.#msgid === MSGID_MAX ? 0 : this.#msgid + 1;
    } while (this.#waiting.has(this.#msgid));
    return this.#msgid;
  }

  /** @param {Uint8Array} data */
  #receive(data) {
    if (!this.isOpen) return;
    this.#heardMs = this.#ports.steadyMs();
    this.#isAsked = false;
    try {
      for (const bytes of this.#cutter.feed(data)) {
        if (this.#isClosed) return;
        this.#take(decodeMessage(bytes));
      }
    } catch (error) {
      // What is skipped is missed, so that only a new connection mends it, whoever is to blame.
      this.close(`what the server said cannot be taken: ${/** @type {Error} */ (error).message}`);
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  /** @param {import("./rpc.js").Response | import("./rpc.js").Notification} message */
  #take(message) {
    if ("method" in message) {
      if (message.method === "goodbye") this.goodbye = message.params;
      else this.#listener.notified(message.method, message.params);
      return;
    }
    const answer = this.#waiting.get(message.msgid);
    // One that nobody waits for is passed over.
    if (answer === undefined) return;
    this.#waiting.delete(message.msgid);
    if (message.result === null) answer(Rejected.fromWire(message.error), {});
    else answer(null, message.result);
  }
}
