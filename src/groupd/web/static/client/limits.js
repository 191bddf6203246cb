/** The named bound of every queue, wait and repetition in the client. */

import { UsageError } from "./errors.js";

/**
 * @typedef {object} ClientLimits
 * @property {number} requestsMax requests under way on a connection; others wait for their turn
 * @property {number} callsMax calls that are open, waiting or under way; more are refused
 * @property {number} eventsMax events that wait in a stream; more are fetched when it is read
 * @property {number} streamsMax streams that are open at a time
 * @property {number} messageMaxBytes the largest message that is taken from the server
 * @property {number} depthMax levels of lists and maps in such a message
 * @property {number} dialTimeoutMs
 * @property {number} helloTimeoutMs for `hello`, and for the list of all groups
 * @property {number} backoffBaseMs the longest first wait before dialling again
 * @property {number} backoffCapMs the longest wait
 * @property {number} stableMs a connection that held this long begins the back-off anew
 * @property {number} retryAfterMaxMs the longest wait that a server can ask for
 * @property {number} sendsMax connections that may be lost under one call
 * @property {number} retriesMax times that `unavailable` or `internal` is asked again
 * @property {number} renewBeforeMs how long before its end a token is renewed; at half of its
 *   time, if that is later
 * @property {number} renewMinMs the shortest time between two renewals
 * @property {number} silenceMs a server that says nothing for so long is asked whether it is there
 * @property {number} pingTimeoutMs and has this long to answer
 */

/** @type {Readonly<ClientLimits>} */
export const LIMITS = Object.freeze({
  requestsMax: 256,
  callsMax: 2_000,
  eventsMax: 10_000,
  streamsMax: 64,
  messageMaxBytes: 4 * 1024 * 1024,
  depthMax: 64,
  dialTimeoutMs: 10_000,
  helloTimeoutMs: 20_000,
  backoffBaseMs: 1_000,
  backoffCapMs: 30_000,
  stableMs: 10_000,
  retryAfterMaxMs: 300_000,
  sendsMax: 8,
  retriesMax: 5,
  renewBeforeMs: 60_000,
  renewMinMs: 1_000,
  silenceMs: 25_000,
  pingTimeoutMs: 10_000,
});

/**
 * Gives the limits with some of them replaced; throws UsageError where one is no limit.
 * @param {Partial<ClientLimits>} [own]
 * @returns {Readonly<ClientLimits>}
 */
export function limitsWith(own = {}) {
  for (const [name, value] of Object.entries(own)) {
    if (!Object.hasOwn(LIMITS, name)) throw new UsageError(`there is no limit ${name}`);
    if (!Number.isInteger(value) || value <= 0) {
      throw new UsageError(`${name}: expected a whole number above 0, got ${value}`);
    }
  }
  const limits = Object.freeze({ ...LIMITS, ...own });
  if (limits.backoffBaseMs > limits.backoffCapMs) {
    throw new UsageError("expected backoffBaseMs to be at most backoffCapMs");
  }
  return limits;
}
