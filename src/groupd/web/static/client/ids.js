/** Request ids: UUIDv7 (RFC 9562), made once per intent, on the server's clock. */

/** Random bytes that an id takes. */
export const DRAW_BYTES = 10;

/**
 * Makes ids that rise strictly, also within a millisecond and when the clock steps back.
 *
 * Within a millisecond the random part counts up (RFC 9562, section 6.2, method 2).
 */
export class RisingIds {
  #ms = -1;
  #tail = 0n;

  /**
   * Gives the next id for a time.
   * @param {number} ms
   * @param {Uint8Array} draw `DRAW_BYTES` random bytes
   */
  make(ms, draw) {
    if (ms > this.#ms) {
      this.#ms = ms;
      let tail = 0n;
      for (const byte of draw) tail = (tail << 8n) | BigInt(byte);
      // 73 of the 74 bits that an id has: the free one leaves the counter room.
      this.#tail = tail >> 7n;
    } else {
      this.#tail += 1n;
    }
    return uuid7(this.#ms, this.#tail);
  }
}

/**
 * Gives the UUIDv7 of a time and the 74 bits that follow it.
 * @param {number} ms
 * @param {bigint} tail
 */
export function uuid7(ms, tail) {
  const high = (BigInt(ms) << 16n) | 0x7000n | ((tail >> 62n) & 0xfffn);
  const low = (0b10n << 62n) | (tail & ((1n << 62n) - 1n));
  const digits = high.toString(16).padStart(16, "0") + low.toString(16).padStart(16, "0");
  return [
    digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16),
    digits.slice(16, 20), digits.slice(20),
  ].join("-");
}
