/**
 * The client of groupd for browsers and Node. See `docs/guide/javascript.md`.
 *
 * @typedef {import("./client.js").Options} Options
 * @typedef {import("./limits.js").ClientLimits} ClientLimits
 * @typedef {import("./outbox.js").Intent} Intent
 * @typedef {import("./outbox.js").Shelf} Shelf
 * @typedef {import("./ports.js").Ports} Ports
 * @typedef {import("./stream.js").EventStream} EventStream
 * @typedef {import("./stream.js").Heard} Heard
 * @typedef {import("./tokens.js").Token} Token
 * @typedef {import("./uplink.js").State} State
 */

export { CLIENT_NAME, Client, connect, open } from "./client.js";
export {
  Disconnected, GroupdError, ProtocolError, Rejected, TokenError, UsageError,
} from "./errors.js";
export { LIMITS } from "./limits.js";
export { claimsOf } from "./tokens.js";
