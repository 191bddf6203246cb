/**
 * Where the token comes from: the fragment of the address, which no server and no log ever sees. It
 * is taken out of the address bar, and kept for as long as the tab is open.
 */

import { claimsOf } from "../client/index.js";

const TOKEN_KEY = "groupd.token";
const OUTBOX_KEY = "groupd.outbox";
const CODE_KEY = "groupd.code";
const WHOSE_KEY = "groupd.whose";
const PLACE_KEY = "groupd.place";
/** The longest fragment that is looked at. */
const FRAGMENT_MAX = 16_384;

/**
 * Reads token and share code out of a fragment.
 * @param {string} fragment with its `#`
 * @returns {{token: string | null, code: string | null}}
 */
export function readFragment(fragment) {
  if (fragment.length > FRAGMENT_MAX) return { token: null, code: null };
  const params = new URLSearchParams(fragment.replace(/^#/, ""));
  return { token: params.get("token") || null, code: params.get("code") || null };
}

/** Takes what stands in the address out of it, and gives it with what is kept. */
export function takeToken() {
  const { token, code } = readFragment(location.hash);
  if (token !== null || code !== null) {
    history.replaceState(null, "", location.pathname);
  }
  if (token !== null) {
    // Somebody else's words are not sent in another's name, nor is their place another's.
    if (sessionStorage.getItem(WHOSE_KEY) !== whose(token)) {
      sessionStorage.removeItem(OUTBOX_KEY);
      sessionStorage.removeItem(PLACE_KEY);
    }
    sessionStorage.setItem(WHOSE_KEY, whose(token));
    sessionStorage.setItem(TOKEN_KEY, token);
  }
  // An invitation waits until it is answered: whoever comes by it may have to sign in first.
  if (code !== null) sessionStorage.setItem(CODE_KEY, code);
  return {
    token: token ?? sessionStorage.getItem(TOKEN_KEY),
    code: code ?? sessionStorage.getItem(CODE_KEY),
  };
}

/** Drops the invitation: it is answered, or leads nowhere. */
export function forgetCode() {
  sessionStorage.removeItem(CODE_KEY);
}

/**
 * Drops the token, which is over. What was not sent with it waits for the next one of the same
 * user, and so does the place where they were.
 * @param {string | null} place the group that was open
 */
export function forgetToken(place) {
  sessionStorage.removeItem(TOKEN_KEY);
  if (place !== null) sessionStorage.setItem(PLACE_KEY, place);
}

/** Gives where the user was when their token ended, once. @returns {string | null} */
export function takePlace() {
  const place = sessionStorage.getItem(PLACE_KEY);
  sessionStorage.removeItem(PLACE_KEY);
  return place;
}

/** @param {string} token */
function whose(token) {
  const claims = claimsOf(token);
  return JSON.stringify([claims?.tenant ?? "", claims?.sub ?? ""]);
}

/** Keeps what is not answered yet, so that a reload loses nothing. See `Shelf`. */
export const shelf = {
  load() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(OUTBOX_KEY) ?? "[]");
      return Array.isArray(kept) ? kept : [];
    } catch {
      return [];
    }
  },
  /** @param {import("../client/outbox.js").Kept[]} kept */
  save(kept) {
    try {
      sessionStorage.setItem(OUTBOX_KEY, JSON.stringify(kept));
    } catch {
      // The storage is full: then a reload loses what is on its way, and nothing else.
    }
  },
};
