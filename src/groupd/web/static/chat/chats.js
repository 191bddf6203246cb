/**
 * The list of chats: what each is called, what was said last, how much is unread.
 *
 * Pure, as `log.js`. Numbers are as of a row's `head`: an event that is not beyond it changes
 * nothing, so that a list that was fetched and the pushes meet without counting twice.
 */

/** How long somebody is shown as typing after they were seen at it. */
export const TYPING_MS = 5_000;
/** Those who are shown as typing in a chat. */
const TYPING_MAX = 20;
/** Names that are kept. */
const PEOPLE_MAX = 5_000;
/** Kinds that say what somebody is called. */
export const NAMING = new Set(["joined", "requested"]);

/**
 * @typedef {object} Chat
 * @property {string} group
 * @property {string} name
 * @property {string} picture
 * @property {string} role
 * @property {number} head
 * @property {number} read
 * @property {number} unread
 * @property {number} mentions
 * @property {boolean} isQuiet do not disturb
 * @property {boolean} isPinned
 * @property {boolean} isMarked
 * @property {string | undefined} direct the other user of a direct chat
 * @property {{user: string, text: string, card: any, timeMs: number, seq: number,
 *   isRecalled: boolean} | null} last
 * @property {Map<string, number>} typing user -> until when, on the steady clock
 * @property {number} joinedMs 0 where it is not known
 * @property {boolean} isNew whether it was heard of and not listed yet
 */

export class Chats {
  /** @type {Map<string, Chat>} */
  rows = new Map();
  /** @type {Map<string, {name: string, picture: string}>} */
  people = new Map();
  /** What the server is called, and whoever speaks in its name: an app, with nobody's id. */
  serverName = "";
  /** @type {Map<string, string>} `group user` -> nickname */
  nicknames = new Map();
  me = "";

  /**
   * Takes the list of a connection: what is not in it is over.
   * @param {Record<string, any>[]} list
   * @param {string} me
   */
  takeList(list, me) {
    this.me = me;
    const before = this.rows;
    this.rows = new Map();
    for (const entry of list) {
      const old = before.get(entry.group);
      const row = rowOf(entry);
      // What was heard since is truer.
      this.rows.set(row.group, old && old.head > row.head ? old : row);
      if (entry.direct) this.meet(entry.direct, entry.name, entry.picture);
    }
    // One that was joined while the list was on its way.
    for (const [group, row] of before) {
      if (row.isNew && !this.rows.has(group)) this.rows.set(group, row);
    }
    for (const row of this.rows.values()) row.isNew = false;
  }

  /** The chats in their order: those on top first, then the latest. */
  sorted() {
    const time = (/** @type {Chat} */ row) => row.last?.timeMs ?? row.joinedMs ?? 0;
    return [...this.rows.values()].sort(
      (a, b) => Number(b.isPinned) - Number(a.isPinned) || time(b) - time(a)
        || (a.group < b.group ? -1 : 1),
    );
  }

  /** How much is unread, without what is silenced. */
  get unread() {
    let sum = 0;
    for (const row of this.rows.values()) sum += row.isQuiet ? row.mentions : row.unread;
    return sum;
  }

  /**
   * Takes an event of a group; gives its row, or null where that is over.
   * @param {Record<string, any>} event
   * @returns {Chat | null}
   */
  take(event) {
    if (NAMING.has(event.kind)) this.meet(event.member || event.user, event.name);
    let row = this.rows.get(event.group);
    if (row === undefined) {
      row = rowOf({ group: event.group, name: "", head: event.seq - 1, read: event.seq - 1 });
      row.isNew = true;
      row.joinedMs = event.time_ms;
      this.rows.set(event.group, row);
    }
    if (event.seq <= row.head) return row;
    row.head = event.seq;
    if (this.#isOver(event)) {
      this.rows.delete(event.group);
      return null;
    }
    this.#apply(row, event);
    return row;
  }

  /**
   * Takes what `read` answered, or what another device of the user's has read.
   * @param {string} group
   * @param {{read: number, unread: number, mentions: number}} counts
   */
  takeRead(group, { read, unread, mentions }) {
    const row = this.rows.get(group);
    if (row === undefined || read < row.read) return;
    Object.assign(row, { read, unread, mentions, isMarked: false });
  }

  /**
   * Takes what a look at the group has told.
   * @param {Record<string, any>} info
   */
  takeInfo(info) {
    const row = this.rows.get(info.group);
    if (row === undefined) return;
    if (!row.direct) Object.assign(row, { name: info.name, picture: info.picture });
    row.role = info.role ?? row.role;
    const other = info.direct?.find((/** @type {string} */ user) => user !== this.me);
    if (other && !row.direct) {
      row.direct = other;
      row.name = this.nameOf("", other);
    }
  }

  /**
   * Takes what was said last, before the group was heard of.
   * @param {string} group
   * @param {import("./log.js").Message} message
   */
  takeLast(group, { seq, user, text, card, timeMs, isRecalled }) {
    const row = this.rows.get(group);
    if (row !== undefined && (row.last?.seq ?? 0) < seq) row.last = { seq, user, text, card, timeMs, isRecalled };
  }

  /**
   * Takes a preference that was set on some device of the user's.
   * @param {Record<string, any>} event `chat_set`
   */
  takePreference(event) {
    const row = this.rows.get(event.group);
    if (row === undefined) return;
    if (event.pinned_ms !== undefined) row.isPinned = event.pinned_ms > 0;
    if (event.do_not_disturb !== undefined) row.isQuiet = event.do_not_disturb;
    if (event.marked_unread !== undefined) row.isMarked = event.marked_unread;
  }

  // --- people

  /**
   * Learns what somebody is called.
   * @param {string} user
   * @param {string} [name]
   * @param {string} [picture]
   */
  meet(user, name, picture) {
    if (!user) return;
    const known = this.people.get(user);
    this.people.delete(user);
    this.people.set(user, {
      name: name || known?.name || "", picture: picture || known?.picture || "",
    });
    forgetFirst(this.people, PEOPLE_MAX);
  }

  /**
   * @param {string} group
   * @param {string} user
   * @param {string | undefined} nickname
   */
  nickname(group, user, nickname) {
    if (nickname) this.nicknames.set(`${group} ${user}`, nickname);
    else this.nicknames.delete(`${group} ${user}`);
    forgetFirst(this.nicknames, PEOPLE_MAX);
  }

  /**
   * What somebody is called in a group.
   * @param {string} group
   * @param {string} user
   */
  nameOf(group, user) {
    if (user === "") return this.serverName;
    return this.nicknames.get(`${group} ${user}`) || this.people.get(user)?.name || user;
  }

  // --- typing

  /**
   * @param {string} group
   * @param {string} user
   * @param {number} nowMs
   */
  typing(group, user, nowMs) {
    const row = this.rows.get(group);
    if (row === undefined) return;
    row.typing.set(user, nowMs + TYPING_MS);
    forgetFirst(row.typing, TYPING_MAX);
  }

  /**
   * Who is typing in a chat now.
   * @param {string} group
   * @param {number} nowMs
   */
  whoTypes(group, nowMs) {
    const row = this.rows.get(group);
    if (row === undefined) return [];
    for (const [user, untilMs] of row.typing) if (untilMs <= nowMs) row.typing.delete(user);
    return [...row.typing.keys()];
  }

  /** @param {Record<string, any>} event */
  #isOver({ kind, user, member }) {
    if (kind === "dissolved") return true;
    if (kind === "left") return user === this.me;
    return (kind === "kicked" || kind === "banned") && member === this.me;
  }

  /**
   * @param {Chat} row
   * @param {Record<string, any>} event
   */
  #apply(row, event) {
    const { kind, user } = event;
    if (kind === "posted" || kind === "announced") {
      row.last = lastOf(event);
      row.typing.delete(user);
      if (user === this.me) {
        Object.assign(row, { unread: 0, mentions: 0, read: event.seq });
      } else {
        row.unread += 1;
        if (mentions(event, this.me)) row.mentions += 1;
      }
    } else if (kind === "recalled") {
      // One's own was never counted; whose it was is known of the last one only, and a mention is
      // told by the next list.
      const isOwn = row.last?.seq === event.message && row.last?.user === this.me;
      if (event.message > row.read && row.unread > 0 && !isOwn) row.unread -= 1;
      if (row.last !== null && row.last.seq === event.message) {
        Object.assign(row.last, { isRecalled: true, text: "", card: null });
      }
    } else if (kind === "edited" && row.last !== null && row.last.seq === event.message) {
      Object.assign(row.last, { text: event.text ?? "", card: event.card ?? null });
    } else if (kind === "created" || kind === "updated") {
      const { name, picture } = kind === "created" ? event : event.changes ?? {};
      if (name !== undefined) row.name = name;
      if (picture !== undefined) row.picture = picture;
    } else if (kind === "nicknamed") {
      this.nickname(row.group, event.member || user, event.nickname);
    } else if (kind === "role_set" && event.member === this.me) {
      row.role = event.role ?? "member";
    } else if (kind === "transferred") {
      if (user === this.me) row.role = "owner";
      else if (event.former === this.me) row.role = "admin";
    } else if (kind === "joined" && (event.member || user) === this.me) {
      row.role = event.role ?? "member";
    }
  }
}

/**
 * Whether an event mentions somebody.
 * @param {Record<string, any>} event
 * @param {string} user
 */
export function mentions(event, user) {
  return event.mentions === "all" || (event.mentions ?? []).includes(user);
}

/** @param {Record<string, any>} entry a `listed_group` @returns {Chat} */
function rowOf(entry) {
  return {
    group: entry.group,
    name: entry.name ?? "",
    picture: entry.picture ?? "",
    role: entry.role ?? "member",
    head: entry.head ?? 0,
    read: entry.read ?? 0,
    unread: entry.unread ?? 0,
    mentions: entry.mentions ?? 0,
    isQuiet: entry.do_not_disturb ?? false,
    isPinned: entry.chat_pinned ?? false,
    isMarked: entry.marked_unread ?? false,
    direct: entry.direct,
    last: entry.last ? lastOf(entry.last, entry.edited) : null,
    typing: new Map(),
    joinedMs: 0,
    isNew: false,
  };
}

/**
 * @param {Record<string, any>} event
 * @param {Record<string, any>} [edited]
 */
function lastOf(event, edited) {
  const form = edited ?? event;
  return {
    seq: event.seq,
    user: event.user ?? "",
    text: form.text ?? "",
    card: form.card ?? null,
    timeMs: event.time_ms,
    isRecalled: event.kind === "erased",
  };
}

/**
 * Forgets what was put in first, down to a number.
 * @param {Map<any, any>} map
 * @param {number} countMax
 */
export function forgetFirst(map, countMax) {
  for (const key of map.keys()) {
    if (map.size <= countMax) return;
    map.delete(key);
  }
}
