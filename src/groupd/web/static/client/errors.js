/**
 * Every error that the client throws.
 *
 *     GroupdError
 *     ├── Rejected       the server refuses a request; decide by `code` and `reason`
 *     ├── Disconnected   the connection was lost too often, or the client has ended
 *     ├── ProtocolError  the server sent what is not this protocol
 *     ├── TokenError     the application could not get a token
 *     └── UsageError     the client was used in a way that it does not have, or cannot dial here
 */

/** The codes of errors. One that is not among them is to be taken for `internal`. */
export const CODES = new Set([
  "bad_request", "unknown_method", "unauthenticated", "forbidden", "not_found", "conflict",
  "quota_exceeded", "group_full", "muted", "rate_limited", "stale_id", "too_large", "unavailable",
  "internal",
]);

export class GroupdError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** The server refuses a request. */
export class Rejected extends GroupdError {
  /**
   * @param {string} code one of the closed list in `proto/groupd.md`
   * @param {string} message English, for developers
   * @param {Record<string, any>} [details] what the code carries, `reason` among them
   */
  constructor(code, message, details = {}) {
    super(`${code}: ${message}`);
    this.code = code;
    /** @type {string | undefined} */
    this.reason = typeof details.reason === "string" ? details.reason : undefined;
    this.details = details;
  }

  /**
   * Reads an error of a response, or a goodbye.
   * @param {any} error
   */
  static fromWire(error) {
    const { code, message, ...details } = isMap(error) ? error : {};
    const words = typeof message === "string" ? message : "";
    if (CODES.has(code)) return new Rejected(code, words, details);
    return new Rejected("internal", `${words} (the code was ${JSON.stringify(code)})`, details);
  }

  /**
   * How long the server asks to wait, in milliseconds; 0 where it does not say.
   * @returns {number}
   */
  get retryAfterMs() {
    const asked = this.details.retry_after_ms;
    return Number.isInteger(asked) && asked > 0 ? asked : 0;
  }
}

/** There is no connection, and this did not wait for another. */
export class Disconnected extends GroupdError {}

/** The server sent what is not this protocol. */
export class ProtocolError extends GroupdError {}

/** The application's function gave no token. */
export class TokenError extends GroupdError {
  /** @param {unknown} cause */
  constructor(cause) {
    super(`no token: ${cause instanceof Error ? cause.message : String(cause)}`);
    this.cause = cause;
  }
}

/** The client was used in a way that it does not have, or the platform cannot dial as it is told. */
export class UsageError extends GroupdError {}

/**
 * Whether a value is a map, as MessagePack has them.
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
export function isMap(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    && !ArrayBuffer.isView(value);
}
