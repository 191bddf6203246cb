/** The client of groupd for browsers and Node. See `docs/guide/javascript.md`. */

export { CLIENT_NAME, Client, connect, open } from "./client.js";
export {
  Disconnected, GroupdError, ProtocolError, Rejected, TokenError, UsageError,
} from "./errors.js";
export { LIMITS } from "./limits.js";
export { claimsOf } from "./tokens.js";
