/** The token that a client shows, and when to get another one. */

import { TokenError } from "./errors.js";

/** @typedef {string | (() => string | Promise<string>)} Token one for good, or where to get one */

export class TokenSource {
  #token;

  /** @param {Token} token */
  constructor(token) {
    this.#token = token;
  }

  /** Whether asking again may give another token. */
  get isRenewable() {
    return typeof this.#token === "function";
  }

  /** Gives a token; throws TokenError where the application cannot make one. */
  async get() {
    if (typeof this.#token === "string") return this.#token;
    let token;
    try {
      token = await this.#token();
    } catch (error) {
      throw new TokenError(error);
    }
    if (typeof token !== "string") throw new TokenError("the function gave no string");
    return token;
  }
}

/**
 * Reads what a JWT claims, without believing it; gives null where it is none.
 * @param {string} token
 * @returns {Record<string, any> | null}
 */
export function claimsOf(token) {
  try {
    const text = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? claims : null;
  } catch {
    return null;
  }
}

/**
 * Reads when a JWT ends, in milliseconds; null where it does not say.
 * @param {string} token
 */
export function expiryMs(token) {
  const exp = claimsOf(token)?.exp;
  return Number.isFinite(exp) ? exp * 1_000 : null;
}
