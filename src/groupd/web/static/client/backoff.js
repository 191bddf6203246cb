/** How long to wait before the next try. */

/** Random bytes that a wait takes: 48 bits, which a double holds exactly. */
export const DRAW_BYTES = 6;

/**
 * Gives the wait before the try after some failures in a row, counted from 1: uniform from 0 to
 * `baseMs` doubled for each failure after the first, or to `capMs`. The whole of it is drawn, so
 * that clients cut off together do not come back together.
 * @param {number} attempt
 * @param {Uint8Array} draw `DRAW_BYTES` random bytes
 * @param {{backoffBaseMs: number, backoffCapMs: number}} limits
 */
export function delayMs(attempt, draw, limits) {
  const ceiling = Math.min(limits.backoffCapMs, limits.backoffBaseMs * 2 ** (attempt - 1));
  let drawn = 0;
  for (const byte of draw) drawn = drawn * 256 + byte;
  return Math.floor((drawn / 256 ** draw.length) * (ceiling + 1));
}
