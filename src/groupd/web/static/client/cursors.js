/**
 * Which events come next: for each log the one after the last, without gaps or doubles.
 *
 * Placement rules: no I/O and no buffer in here. A stream of events asks about each push and each
 * page that was fetched, and fetches what is behind.
 *
 * Theory of operation. A cursor knows the `last` seq that was taken of its log, and the `head` as
 * far as it is known. While both are equal, the push of the next seq is taken as it comes. A push
 * that is not the next, or for which there is no room, only moves the head: the log is *behind*,
 * and all its pushes are left until a fetch has caught up. So there is one way to mend everything:
 * a gap, a slow reader, a `lagged`, a lost connection.
 */

/** The user's own log, among the groups. */
export const ACCOUNT = "";

/**
 * @typedef {object} Cursor
 * @property {number} last
 * @property {number} head
 * @property {boolean} ending the user is not listed there any more: what is left is taken once
 */

export class Cursors {
  /** @type {Map<string, Cursor>} */
  #logs = new Map();
  /** @type {Set<string>} in the order in which they are fetched */
  #behind = new Set();
  /** @type {Map<string, Cursor>} joined unseen; where they begin the account's log says, perhaps */
  #unplaced = new Map();

  /** @param {Iterable<[string, number]>} lasts log -> the seq to begin after; ACCOUNT among them */
  constructor(lasts) {
    for (const [log, last] of lasts) this.#logs.set(log, cursorAt(last));
  }

  // --- what the server says by itself

  /**
   * Says whether to take a push now. If so, it counts as taken.
   * @param {string} log
   * @param {number} seq
   * @param {boolean} hasRoom
   */
  offer(log, seq, hasRoom) {
    const unplaced = this.#unplaced.get(log);
    if (unplaced !== undefined) {
      unplaced.head = Math.max(unplaced.head, seq);
      return false;
    }
    let cursor = this.#logs.get(log);
    if (cursor === undefined) {
      // The first push of a group is that of the user's own joining.
      cursor = cursorAt(seq - 1);
      this.#logs.set(log, cursor);
    }
    if (seq <= cursor.last) return false;
    cursor.ending = false;
    cursor.head = Math.max(cursor.head, seq);
    if (hasRoom && seq === cursor.last + 1 && !this.#behind.has(log)) {
      cursor.last = seq;
      return true;
    }
    this.#behind.add(log);
    return false;
  }

  /**
   * Learns how far a log goes, from a list or from `lagged`.
   * @param {string} log
   * @param {number} head
   */
  reaches(log, head) {
    const cursor = this.#logs.get(log) ?? this.#unplaced.get(log);
    if (cursor === undefined) {
      this.#unplaced.set(log, cursorAt(head));
      return;
    }
    cursor.head = Math.max(cursor.head, head);
    cursor.ending = false;
    if (this.#logs.has(log) && cursor.head > cursor.last) this.#behind.add(log);
  }

  /**
   * Learns in which groups the user still is.
   * @param {Set<string>} listed
   */
  keepOnly(listed) {
    for (const [log, cursor] of this.#logs) {
      if (log !== ACCOUNT && !listed.has(log)) {
        cursor.ending = true;
        this.#behind.add(log);
      }
    }
    for (const log of this.#unplaced.keys()) {
      if (!listed.has(log)) this.#unplaced.delete(log);
    }
  }

  // --- what is fetched

  /**
   * Gives log -> last seq of some that must be fetched; if ACCOUNT must, it alone: it says where
   * groups joined unseen begin.
   * @param {number} countMax
   * @returns {Map<string, number>}
   */
  behind(countMax) {
    if (this.#behind.has(ACCOUNT)) return new Map([[ACCOUNT, this.#lastOf(ACCOUNT)]]);
    for (const [log, cursor] of this.#unplaced) {
      this.#logs.set(log, cursor);
      if (cursor.head > cursor.last) this.#behind.add(log);
    }
    this.#unplaced.clear();
    const some = new Map();
    for (const log of this.#behind) {
      if (some.size >= countMax) break;
      some.set(log, this.#lastOf(log));
    }
    return some;
  }

  /**
   * Says whether to take an event that was fetched. If so, it counts as taken.
   * @param {string} log
   * @param {number} seq
   */
  take(log, seq) {
    const cursor = this.#logs.get(log);
    if (cursor === undefined || seq <= cursor.last) return false;
    cursor.last = seq;
    cursor.head = Math.max(cursor.head, seq);
    return true;
  }

  /**
   * Learns that all of a page is taken, where the log's head was, and whether more follows.
   * @param {string} log
   * @param {number} head
   * @param {boolean} hasMore
   */
  fetched(log, head, hasMore) {
    const cursor = this.#logs.get(log);
    if (cursor === undefined) return;
    // It goes to the end, so that a log that is long behind does not hold up the others.
    this.#behind.delete(log);
    if (!hasMore) {
      if (cursor.ending) {
        this.#logs.delete(log);
        return;
      }
      cursor.last = Math.max(cursor.last, head);
    }
    if (hasMore || cursor.head > cursor.last) this.#behind.add(log);
  }

  /**
   * Stops following a group that the server says nothing about any more.
   * @param {string} log
   */
  forget(log) {
    this.#behind.delete(log);
    this.#logs.delete(log);
  }

  /**
   * Learns from the account's log that the user was added to a group by its event `at`.
   * @param {string} group
   * @param {number} at
   */
  place(group, at) {
    const cursor = this.#unplaced.get(group);
    if (cursor !== undefined) cursor.last = Math.min(cursor.last, at - 1);
  }

  /** @param {string} log */
  #lastOf(log) {
    const cursor = this.#logs.get(log);
    return cursor === undefined ? 0 : cursor.last;
  }
}

/** @param {number} seq @returns {Cursor} */
function cursorAt(seq) {
  return { last: seq, head: seq, ending: false };
}
