/**
 * Cuts a stream of bytes into whole MessagePack values, without decoding them.
 *
 * Theory of operation. A stack of counts says how many values are still to come at each level; a
 * value that is whole is found when the stack is empty. The scan goes on where it stopped, so that
 * a message that comes byte by byte is looked at once. Nothing is trusted: sizes and levels have
 * bounds, and a value that announces more than the bound is refused before it has come.
 */

import { ProtocolError } from "./errors.js";

/** Keys that would change what an object is, in JavaScript, and that the decoder refuses. */
const PROTO = new TextEncoder().encode("__proto__");
/** The last byte of such a key in what is handed on. */
const OTHER = "-".charCodeAt(0);

export class Cutter {
  #messageMaxBytes;
  #depthMax;
  #bytes = new Uint8Array(1024);
  /** How many bytes there are. */
  #size = 0;
  /** How far they are scanned. It may lie beyond `#size`, inside a value that is still coming. */
  #at = 0;
  /** @type {number[]} values still to come, for each level */
  #counts = [];
  /** @type {boolean[]} whether the level is a map */
  #maps = [];

  /** @param {{messageMaxBytes: number, depthMax: number}} limits */
  constructor({ messageMaxBytes, depthMax }) {
    this.#messageMaxBytes = messageMaxBytes;
    this.#depthMax = depthMax;
  }

  /** How many bytes of a message that is not whole are kept. */
  get keptBytes() {
    return this.#size;
  }

  /**
   * Takes bytes; gives the messages that are whole now, each an array of bytes of its own. Throws
   * ProtocolError, and is of no use any more then.
   * @param {Uint8Array} data
   * @returns {Uint8Array[]}
   */
  feed(data) {
    this.#append(data);
    const messages = [];
    let start = 0;
    while (this.#scan(start)) {
      messages.push(this.#bytes.slice(start, this.#at));
      start = this.#at;
    }
    this.#bytes.copyWithin(0, start, this.#size);
    this.#size -= start;
    this.#at -= start;
    return messages;
  }

  /** @param {Uint8Array} data */
  #append(data) {
    const needed = this.#size + data.length;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = grown;
    }
    this.#bytes.set(data, this.#size);
    this.#size = needed;
  }

  /**
   * Scans on; says whether a value ends at `#at`.
   * @param {number} start where that value begins
   */
  #scan(start) {
    for (;;) {
      if (this.#at > this.#size || (this.#at === this.#size && this.#at === start)) return false;
      if (this.#at > start && this.#counts.length === 0) return true;
      if (this.#at === this.#size || !this.#step(start)) return false;
    }
  }

  /**
   * Takes one head, and what follows it where that is no value; says whether it was there whole.
   * @param {number} start
   */
  #step(start) {
    const head = readHead(this.#bytes, this.#at, this.#size);
    if (head === null) return false;
    const [headBytes, payload, children, isMap] = head;
    const level = this.#counts.length - 1;
    const isKey = level >= 0 && this.#maps[level] && this.#counts[level] % 2 === 0;
    const end = this.#at + headBytes + payload;
    // Each of its values takes a byte at least.
    if (end + children - start > this.#messageMaxBytes) {
      throw new ProtocolError(`a message of more than ${this.#messageMaxBytes} bytes`);
    }
    if (isKey && payload === PROTO.length) {
      if (end > this.#size) return false;
      this.#rename(end);
    }
    if (level >= 0) this.#counts[level] -= 1;
    if (children > 0) {
      if (this.#counts.length >= this.#depthMax) {
        throw new ProtocolError(`a message of more than ${this.#depthMax} levels`);
      }
      this.#counts.push(children);
      this.#maps.push(isMap);
    }
    while (this.#counts.length > 0 && this.#counts[this.#counts.length - 1] === 0) {
      this.#counts.pop();
      this.#maps.pop();
    }
    this.#at = end;
    return true;
  }

  /**
   * Gives a key that ends here another name, if it is the one that the decoder refuses: what a
   * member has put into a card must not cut everybody else off.
   * @param {number} end
   */
  #rename(end) {
    const begin = end - PROTO.length;
    if (PROTO.every((byte, index) => this.#bytes[begin + index] === byte)) {
      this.#bytes[end - 1] = OTHER;
    }
  }
}

/**
 * Reads the head of a value: its own bytes, the bytes that follow, the values that follow, and
 * whether it is a map. Gives null where it is not whole. See the MessagePack specification.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} size how many of the bytes count
 * @returns {[number, number, number, boolean] | null}
 */
function readHead(bytes, at, size) {
  const byte = bytes[at];
  if (byte <= 0x7f || byte >= 0xe0) return [1, 0, 0, false];
  if (byte <= 0x8f) return [1, 0, (byte & 0x0f) * 2, true];
  if (byte <= 0x9f) return [1, 0, byte & 0x0f, false];
  if (byte <= 0xbf) return [1, byte & 0x1f, 0, false];
  if (byte === 0xc1) throw new ProtocolError("a byte that MessagePack does not have");
  const fixed = FIXED[byte];
  if (fixed !== undefined) return [1, fixed, 0, false];
  const sized = SIZED[byte];
  if (at + 1 + sized.width > size) return null;
  let count = 0;
  for (let index = 0; index < sized.width; index += 1) count = count * 256 + bytes[at + 1 + index];
  const headBytes = 1 + sized.width + sized.extra;
  if (sized.is === "bytes") return [headBytes, count, 0, false];
  return [headBytes, 0, sized.is === "map" ? count * 2 : count, sized.is === "map"];
}

/** @type {Readonly<Record<number, number>>} bytes that follow heads of a fixed size */
const FIXED = Object.freeze({
  0xc0: 0, 0xc2: 0, 0xc3: 0, 0xca: 4, 0xcb: 8,
  0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8,
  // Extensions have a byte for their type.
  0xd4: 2, 0xd5: 3, 0xd6: 5, 0xd7: 9, 0xd8: 17,
});

/**
 * Heads that hold a count: how many bytes it has, and how many more belong to the head.
 * @type {Readonly<Record<number, {width: number, extra: number, is: string}>>}
 */
const SIZED = Object.freeze({
  0xc4: { width: 1, extra: 0, is: "bytes" },
  0xc5: { width: 2, extra: 0, is: "bytes" },
  0xc6: { width: 4, extra: 0, is: "bytes" },
  0xc7: { width: 1, extra: 1, is: "bytes" },
  0xc8: { width: 2, extra: 1, is: "bytes" },
  0xc9: { width: 4, extra: 1, is: "bytes" },
  0xd9: { width: 1, extra: 0, is: "bytes" },
  0xda: { width: 2, extra: 0, is: "bytes" },
  0xdb: { width: 4, extra: 0, is: "bytes" },
  0xdc: { width: 2, extra: 0, is: "list" },
  0xdd: { width: 4, extra: 0, is: "list" },
  0xde: { width: 2, extra: 0, is: "map" },
  0xdf: { width: 4, extra: 0, is: "map" },
});
