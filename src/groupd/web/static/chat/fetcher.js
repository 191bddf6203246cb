/** What the page asks the server for, to be shown: pages of a log, names, the group itself. */

import { NAMING, forgetFirst } from "./chats.js";
import { messageOf, messageSeqs, shownOf } from "./log.js";

/**
 * @typedef {import("./log.js").Log} Log
 * @typedef {import("./log.js").Message} Message
 */

/** Events of a page. */
const PAGE = 50;
/** Users in one call of `users`, and messages in one of `messages`. */
const SOME_MAX = 200;
/** Members that are fetched at a time: all of most groups. */
const MEMBERS_MAX = 500;
/** How long strangers are gathered, to be asked for in one call. */
const STRANGERS_WAIT_MS = 50;
/** How long those of whom nothing was told are not asked for again: twice as long each time. */
const AGAIN_MIN_MS = 5_000;
const AGAIN_MAX_MS = 600_000;
/** Those of whom nothing was told who are remembered. */
const UNTOLD_MAX = 5_000;

/** @param {number} ms @returns {Promise<void>} */
export function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/**
 * Whom an event names.
 * @param {Record<string, any>} event
 * @returns {string[]}
 */
export function usersOf({ user, member, mentions }) {
  return [user, member, ...(Array.isArray(mentions) ? mentions : [])].filter(Boolean);
}

export class Fetcher {
  #app;
  #isFetching = false;
  /** Users who are about to be asked for. @type {Set<string>} */
  #strangers = new Set();
  /** When their answer will have come. @type {Promise<void> | null} */
  #gathering = null;
  /** Users who have been asked for, and when their answer will have come. @type {Map<string, Promise<void>>} */
  #coming = new Map();
  /** Users of whom nothing was told, and when they may be asked for again. @type {Map<string, {atMs: number, waitMs: number}>} */
  #untold = new Map();

  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.#app = app;
  }

  /**
   * Fetches the newest page of a log.
   * @param {Log} log
   */
  async load(log) {
    const { group } = log;
    log.begin();
    try {
      const page = await this.#app.client.call("history", { group, limit: PAGE });
      log.reset(/** @type {any} */ (page), await this.#shown(group, page.events));
      this.#complete(log);
    } catch (error) {
      this.#app.complain(error);
    } finally {
      log.end();
    }
    this.#app.render();
  }

  /**
   * Fetches what was said last in a group that one has just come into.
   * @param {string} group
   */
  async last(group) {
    const { chats, client } = this.#app;
    try {
      const { events } = await client.call("history", { group, limit: PAGE });
      const shown = await this.#shown(group, events);
      const said = events.filter((/** @type {any} */ { seq }) => shown[seq]).at(-1);
      if (said === undefined) return;
      chats.takeLast(group, messageOf(said, shown[said.seq], said.seq));
      await this.know(said.user);
    } catch {
      // Then the next that is said is the first in the list.
    }
    this.#app.render();
  }

  /** Fetches what was said before the first message that is shown. */
  async loadOlder() {
    const { log } = this.#app;
    if (log === null || !log.isLoaded || !log.hasOlder || this.#isFetching) return;
    this.#isFetching = true;
    log.begin();
    const before = log.first;
    try {
      const page = await this.#app.client.call("history", { group: log.group, before, limit: PAGE });
      const shown = await this.#shown(log.group, page.events);
      if (this.#app.log === log) this.#app.pane.keepPlace();
      log.prepend(/** @type {any} */ (page), shown, before);
      this.#complete(log);
    } catch (error) {
      this.#app.complain(error);
    } finally {
      this.#isFetching = false;
      log.end();
    }
    this.#app.render();
  }

  /**
   * Fetches a page of the replies to a message, as they are now.
   * @param {string} group
   * @param {number} seq
   * @param {number} [after]
   * @returns {Promise<{messages: Message[], next: number | undefined}>}
   */
  async replies(group, seq, after) {
    const { events, more } = await this.#app.client.call("thread", { group, seq, after, limit: PAGE });
    const shown = await this.#shown(group, events);
    await this.#meetIn(events);
    const messages = events.map((/** @type {any} */ event) => messageOf(event, shown[event.seq], shown.head ?? event.seq));
    return { messages, next: more ? events.at(-1)?.seq : undefined };
  }

  /**
   * @param {string} group
   * @param {Record<string, any>[]} events
   */
  async #shown(group, events) {
    const seqs = messageSeqs(events);
    if (seqs.length === 0) return {};
    return shownOf(/** @type {any} */ (await this.#app.client.call("messages", { group, seqs })));
  }

  /**
   * Fetches what a log shows beside itself: names, and messages that are replied to.
   * @param {Log} log
   */
  async #complete(log) {
    const { group } = log;
    await this.#meetIn(log.entries.map(({ event }) => event));
    const seqs = log.unquoted().slice(0, SOME_MAX);
    if (seqs.length > 0) {
      try {
        const found = await this.#app.client.call("messages", { group, seqs });
        log.quote(found.messages);
      } catch (error) {
        this.#app.complain(error);
      }
    }
    this.#app.render();
  }

  /**
   * Learns what those are called whom events name, unless it is known.
   * @param {Record<string, any>[]} events
   */
  async #meetIn(events) {
    const { chats } = this.#app;
    const users = new Set(events.flatMap(usersOf));
    await this.meet([...users].filter((user) => this.#isStranger(user)));
    // Nobody is told of those who only ask to join: they have said it themselves.
    for (const { kind, member, user, name } of events) {
      const whom = member || user;
      if (NAMING.has(kind) && name && !chats.people.get(whom)?.name) chats.meet(whom, name);
    }
  }

  /**
   * Fetches members, by user id, and learns what they are called.
   * @param {string} group
   * @param {string} [after]
   * @returns {Promise<{members: Record<string, any>[], next: string | undefined}>}
   */
  async members(group, after) {
    const { chats, client } = this.#app;
    const members = [];
    let next = after;
    do {
      const limit = Math.min(SOME_MAX, MEMBERS_MAX - members.length);
      const page = await client.call("members", { group, after: next, limit });
      members.push(...page.members);
      next = page.next;
    } while (next && members.length < MEMBERS_MAX);
    for (const { user, name, picture, nickname } of members) {
      chats.meet(user, name, picture);
      chats.nickname(group, user, nickname);
    }
    return { members, next };
  }

  /**
   * Learns what somebody is called, unless it is known. It is over once there is nothing to wait for.
   * @param {string | undefined} user
   * @returns {Promise<void>}
   */
  async know(user) {
    if (!user) return;
    if (!this.#isStranger(user)) {
      await this.#coming.get(user);
      return;
    }
    this.#strangers.add(user);
    this.#gathering ??= this.#meetStrangers();
    await this.#gathering;
  }

  /**
   * Whether somebody is to be asked for: they are not known, nor were asked for just now.
   * @param {string} user
   */
  #isStranger(user) {
    if (this.#app.chats.people.has(user) || this.#coming.has(user)) return false;
    return performance.now() >= (this.#untold.get(user)?.atMs ?? 0);
  }

  /**
   * Learns what somebody is called with whom one need not share a group.
   * @param {string} user
   */
  async meetStranger(user) {
    const { chats, client } = this.#app;
    if (chats.people.get(user)?.name) return;
    try {
      const { name, picture } = await client.call("profile", { user });
      if (name) chats.meet(user, name, picture);
    } catch {
      // Then they are called by their id, until there is a common group.
    }
  }

  /** The user shares another group: more may be told now of whom nothing was. */
  askAnew() {
    this.#untold.clear();
  }

  async #meetStrangers() {
    await pause(STRANGERS_WAIT_MS);
    const users = [...this.#strangers];
    this.#strangers.clear();
    this.#gathering = null;
    await this.meet(users);
    this.#app.render();
  }

  /**
   * Learns what users are called.
   * @param {string[]} users
   */
  async meet(users) {
    for (let at = 0; at < users.length; at += SOME_MAX) {
      const some = users.slice(at, at + SOME_MAX);
      const asked = this.#ask(some);
      for (const user of some) this.#coming.set(user, asked);
      await asked;
      for (const user of some) this.#coming.delete(user);
    }
  }

  /** @param {string[]} users */
  async #ask(users) {
    const { chats, client } = this.#app;
    const untold = new Set(users);
    try {
      const found = await client.call("users", { users });
      for (const { user, name, picture } of found.users) {
        chats.meet(user, name, picture);
        untold.delete(user);
        this.#untold.delete(user);
      }
    } catch {
      // Then there are ids, until somebody is met again.
      return;
    }
    // Whoever shares no group with one is called by their id. They may do later.
    for (const user of untold) {
      const waitMs = Math.min(2 * (this.#untold.get(user)?.waitMs ?? AGAIN_MIN_MS / 2), AGAIN_MAX_MS);
      this.#untold.set(user, { atMs: performance.now() + waitMs, waitMs });
    }
    forgetFirst(this.#untold, UNTOLD_MAX);
  }

  /**
   * Looks at a group.
   * @param {string} group
   */
  async look(group) {
    try {
      const info = await this.#app.client.call("info", { group });
      if (info.direct) await this.meet(info.direct.filter((/** @type {string} */ user) => !this.#app.chats.people.get(user)?.name));
      this.#app.chats.takeInfo(info);
      if (group === this.#app.group) this.#app.info = info;
    } catch (error) {
      // A group may be over by now; its own event says so.
      if (group === this.#app.group && /** @type {any} */ (error).code === "not_found") this.#app.close();
    }
    this.#app.render();
  }
}
