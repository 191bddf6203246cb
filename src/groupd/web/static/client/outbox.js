/**
 * What was asked and has no answer yet: sent in order, again after a lost connection, once in effect.
 *
 * Theory of operation. An intent is in one of three places: in the queue, on the wire, or waiting
 * for a time. A lost connection puts what was on its wire back into the queue, oldest first, where
 * it is sent again as soon as there is another. Commands may be kept on a shelf as well, so that
 * they survive the program.
 */

import { Disconnected, Rejected, UsageError } from "./errors.js";
import { takesId } from "./methods.js";

/**
 * @typedef {{method: string, params: Record<string, any>}} Kept
 *
 * @typedef {object} Shelf where commands are kept over a restart of the program
 * @property {() => Kept[]} load
 * @property {(kept: Kept[]) => void} save replaces what was there
 */

/** Codes after which the same id is sent again by itself. */
const AGAIN = new Set(["unavailable", "internal"]);

/** One command or question, on its way to an answer. */
export class Intent {
  /** @type {(result: Record<string, any>) => void} */
  resolve = () => {};
  /** @type {(error: Error) => void} */
  reject = () => {};
  losses = 0;
  retries = 0;
  wasRenewed = false;

  /**
   * @param {number} number in the order of asking
   * @param {string} method
   * @param {Record<string, any>} params
   * @param {boolean} mayRestamp whether its id was made here, and may be made anew while nothing
   *   can have been done
   */
  constructor(number, method, params, mayRestamp) {
    this.number = number;
    this.method = method;
    this.params = params;
    this.mayRestamp = mayRestamp;
    /** @type {Promise<Record<string, any>>} */
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** The request id, if the method takes one. @returns {string | undefined} */
  get id() {
    return this.params.id;
  }

  /** Whether nobody can know that nothing was done. */
  get isInDoubt() {
    return this.losses > 0 || this.retries > 0;
  }
}

export class Outbox {
  #uplink;
  #ports;
  #limits;
  #shelf;
  #newId;
  #resetIds;
  #number = 0;
  /** @type {Set<Intent>} all that have no answer, in the order of asking */
  #open = new Set();
  /** @type {Intent[]} those that are to be sent */
  #queue = [];
  #onWire = 0;
  /** @type {Error | null} */
  #ended = null;

  /** Commands that came from the shelf. @type {Intent[]} */
  restored = [];

  /**
   * @param {object} options
   * @param {import("./uplink.js").Uplink} options.uplink
   * @param {import("./ports.js").Ports} options.ports
   * @param {Readonly<import("./limits.js").ClientLimits>} options.limits
   * @param {Shelf} [options.shelf]
   * @param {() => string} options.newId
   * @param {() => void} options.resetIds lets ids fall, after a clock that was ahead
   */
  constructor({ uplink, ports, limits, shelf, newId, resetIds }) {
    this.#uplink = uplink;
    this.#ports = ports;
    this.#limits = limits;
    this.#shelf = shelf;
    this.#newId = newId;
    this.#resetIds = resetIds;
    for (const { method, params } of shelf?.load().slice(0, limits.callsMax) ?? []) {
      const intent = this.#add(method, params, false);
      // It may have been sent by the program before this one.
      intent.losses = 1;
      intent.answer.catch(() => {});
      this.restored.push(intent);
    }
  }

  /**
   * Takes a request; it is sent at once, if there is a connection.
   * @param {string} method
   * @param {Record<string, any>} params
   */
  begin(method, params) {
    if (this.#ended !== null) throw this.#ended;
    if (this.#open.size >= this.#limits.callsMax) {
      throw new UsageError(`more than ${this.#limits.callsMax} calls wait for their answers`);
    }
    const needsId = takesId(method) && params.id === undefined;
    const whole = needsId ? { ...params, id: this.#newId() } : params;
    const intent = this.#add(method, whole, needsId);
    if (intent.id !== undefined) this.#save();
    this.#pump();
    return intent;
  }

  /** There is a connection. */
  live() {
    this.#pump();
  }

  /**
   * There will be no more connections. What is on the shelf stays there.
   * @param {Error} reason
   */
  end(reason) {
    this.#ended = reason;
    const open = [...this.#open];
    this.#open.clear();
    this.#queue = [];
    for (const intent of open) intent.reject(reason);
  }

  /**
   * @param {string} method
   * @param {Record<string, any>} params
   * @param {boolean} mayRestamp
   */
  #add(method, params, mayRestamp) {
    this.#number += 1;
    const intent = new Intent(this.#number, method, params, mayRestamp);
    this.#open.add(intent);
    this.#queue.push(intent);
    return intent;
  }

  #pump() {
    while (this.#queue.length > 0 && this.#onWire < this.#limits.requestsMax) {
      const connection = this.#uplink.live;
      if (connection === null || !connection.isOpen) return;
      this.#send(connection, /** @type {Intent} */ (this.#queue.shift()));
    }
  }

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {Intent} intent
   */
  #send(connection, intent) {
    const accepted = this.#uplink.tokensAccepted;
    this.#onWire += 1;
    const refusal = connection.request(intent.method, intent.params, (error, result) => {
      this.#onWire -= 1;
      if (error === null) this.#settle(intent, () => intent.resolve(result));
      else if (error instanceof Rejected) this.#refused(intent, error, accepted);
      else this.#lost(intent, error);
      this.#pump();
    });
    if (refusal !== null) {
      this.#onWire -= 1;
      this.#settle(intent, () => intent.reject(refusal));
    }
  }

  /**
   * @param {Intent} intent
   * @param {Error} error
   */
  #lost(intent, error) {
    if (!this.#open.has(intent)) return;
    intent.losses += 1;
    if (intent.losses >= this.#limits.sendsMax) {
      const words = `${error.message}, ${intent.losses} times under this call`;
      this.#settle(intent, () => intent.reject(new Disconnected(words)));
    } else {
      this.#requeue(intent);
    }
  }

  /**
   * Gets ready for asking again, where that may help.
   * @param {Intent} intent
   * @param {Rejected} refusal
   * @param {number} accepted tokens that had been taken when it was sent
   */
  #refused(intent, refusal, accepted) {
    if (AGAIN.has(refusal.code) && intent.retries < this.#limits.retriesMax) {
      intent.retries += 1;
      const asked = this.#uplink.retryAfterMs(refusal);
      this.#ports.setTimer(asked || this.#uplink.backoffMs(intent.retries), () => {
        this.#requeue(intent);
        this.#pump();
      });
    } else if (refusal.code === "unauthenticated" && this.#uplink.tokens.isRenewable
      && !intent.wasRenewed) {
      intent.wasRenewed = true;
      this.#uplink.renew(accepted).then(() => {
        this.#requeue(intent);
        this.#pump();
      });
    } else if (refusal.code === "stale_id" && intent.mayRestamp && !intent.isInDoubt
      && Number.isSafeInteger(refusal.details.time_ms)) {
      // The first send was refused, so nothing was done: a new id is no second intent.
      intent.mayRestamp = false;
      this.#uplink.clock.set(refusal.details.time_ms);
      this.#resetIds();
      intent.params = { ...intent.params, id: this.#newId() };
      this.#save();
      this.#requeue(intent);
    } else {
      this.#settle(intent, () => intent.reject(refusal));
    }
  }

  /**
   * Puts an intent back into the queue, where its age says.
   * @param {Intent} intent
   */
  #requeue(intent) {
    if (!this.#open.has(intent)) return;
    let place = this.#queue.length;
    while (place > 0 && this.#queue[place - 1].number > intent.number) place -= 1;
    this.#queue.splice(place, 0, intent);
  }

  /**
   * @param {Intent} intent
   * @param {() => void} settle
   */
  #settle(intent, settle) {
    if (!this.#open.delete(intent)) return;
    if (intent.id !== undefined) this.#save();
    settle();
  }

  #save() {
    if (this.#shelf === undefined) return;
    const kept = [];
    for (const { id, method, params } of this.#open) {
      if (id !== undefined) kept.push({ method, params });
    }
    this.#shelf.save(kept);
  }
}
