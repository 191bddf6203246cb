/**
 * The page's one owner of state: what is heard changes `Chats` and `Log`, and views show them.
 *
 * Theory of operation. One loop reads the client's stream; each event goes to the list of chats and
 * to the logs that are loaded. Whatever changes asks for a `render`, which comes once a frame. What
 * a person does is a call; what comes of it is heard by the same loop, from the server.
 */

import { Chats } from "./chats.js";
import { Composer } from "./composer.js";
import { Dialogs } from "./dialogs.js";
import { announce, el, toast } from "./dom.js";
import { Fetcher, usersOf } from "./fetcher.js";
import { Log } from "./log.js";
import { overWords } from "./messages.js";
import { Pane } from "./pane.js";
import { Sidebar } from "./sidebar.js";
import { Teller } from "./teller.js";
import { readFragment } from "./token.js";
import { errorWords } from "./words.js";

/** Logs that are kept, so that going back and forth fetches nothing. */
const LOGS_MAX = 8;
/** Events that are taken before the page is drawn. */
const BATCH = 500;
const READ_WAIT_MS = 400;
const INFO_WAIT_MS = 300;
/** Kinds after which a look at the group shows something else. */
const LOOK_AGAIN = new Set([
  "announced", "pinned", "unpinned", "updated", "role_set", "transferred", "joined", "left",
  "kicked", "banned", "requested", "declined", "withdrawn", "request_expired", "muted", "unmuted",
  "all_muted", "slow_mode_set", "recalled", "acknowledged", "dissolved", "edited", "nicknamed",
]);

export class App {
  /** The group that is open. @type {string | null} */
  group = null;
  /** What `info` has told of it. @type {Record<string, any> | null} */
  info = null;
  /** Where the reader was when the chat was opened: what is after it is new. */
  readAt = 0;
  /** How the connection is. @type {{state: string, waitMs: number}} */
  state = { state: "connecting", waitMs: 0 };
  chats = new Chats();
  /** @type {Map<string, Log>} the one used last stands last */
  #logs = new Map();
  #teller = new Teller(this);
  #isDrawn = true;
  #isReading = false;
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #timers = new Map();

  /**
   * @param {object} options
   * @param {import("../client/client.js").Client} options.client
   * @param {import("./words.js").Say} options.say
   * @param {string} options.language
   * @param {HTMLElement} options.root
   * @param {string | null} options.code of a share link, to be joined by
   * @param {(error: any) => void} options.ended
   */
  constructor({ client, say, language, root, code, ended }) {
    this.client = client;
    this.say = say;
    this.chats.serverName = say("the_server");
    this.language = language;
    this.#code = code;
    this.#ended = ended;
    this.#hours = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
    this.#days = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
    this.fetcher = new Fetcher(this);
    this.dialogs = new Dialogs(this);
    this.sidebar = new Sidebar(this);
    this.composer = new Composer(this);
    this.pane = new Pane(this);
    this.root = el("div", { class: "app" }, this.sidebar.root, this.pane.root);
    root.replaceChildren(this.root);
    for (const intent of client.restored) this.#pending(intent);
    document.addEventListener("visibilitychange", () => this.#seen());
    window.addEventListener("focus", () => this.#seen());
    window.addEventListener("online", () => client.nudge());
    window.addEventListener("popstate", () => this.#navigated());
    // Who types stops to be shown without an event.
    setInterval(() => this.render(), 2_000);
    this.render();
  }

  #code;
  #ended;
  #hours;
  #days;

  /** @param {number} ms */
  clockTime(ms) {
    return this.#hours.format(ms);
  }

  /** @param {number} ms */
  day(ms) {
    return this.#days.format(ms);
  }

  /** The log of the group that is open. @returns {Log | null} */
  get log() {
    return this.group === null ? null : this.#logs.get(this.group) ?? null;
  }

  get isAdmin() {
    return this.info?.role === "admin" || this.info?.role === "owner";
  }

  // --- what the client tells

  /**
   * @param {string} state
   * @param {number} waitMs
   */
  onState(state, waitMs) {
    const before = this.state.state;
    this.state = { state, waitMs };
    if (state === "live") {
      this.chats.takeList(this.client.chatList, this.client.user);
      this.fetcher.know(this.client.user);
      for (const { last } of this.chats.rows.values()) this.fetcher.know(last?.user);
      if (before === "waiting" || before === "greeting") this.#lookAgain();
      if (!this.#isReading) this.#read();
    } else if (state === "ended") {
      this.#ended(this.client.final);
      return;
    } else if (state === "waiting" && before === "live") {
      announce(this.say("waiting"));
    }
    this.render();
  }

  async #read() {
    this.#isReading = true;
    // From what the list speaks of: what was said since is fetched.
    const after = Object.fromEntries(this.client.chatList.map(({ group, head }) => [group, head]));
    const stream = this.client.events({ after });
    if (this.#code) this.dialogs.link(this.#code);
    this.#navigated();
    for (;;) {
      let batch;
      try {
        batch = await stream.some(BATCH);
      } catch (error) {
        this.#ended(error);
        return;
      }
      if (batch.length === 0) return;
      for (const heard of batch) this.#take(heard);
      this.render();
    }
  }

  /** @param {import("../client/stream.js").Heard} heard */
  #take(heard) {
    if (heard.type === "event") this.#takeEvent(heard.event);
    else if (heard.type === "account") this.#takeAccount(heard.event);
    else if (heard.type === "signal") this.#takeSignal(heard.signal);
    else this.#restart();
  }

  /** @param {Record<string, any>} event */
  #takeEvent(event) {
    const isNew = !this.chats.rows.has(event.group);
    const name = this.chats.rows.get(event.group)?.name;
    const row = this.chats.take(event);
    if (event.kind === "joined" && (event.member || event.user) === this.chats.me) this.fetcher.askAnew();
    for (const user of usersOf(event)) this.fetcher.know(user);
    this.#logs.get(event.group)?.take(event);
    if (row === null) {
      this.#over(event, name || event.group);
      return;
    }
    if (isNew) this.fetcher.last(event.group);
    if (isNew || !row.name) this.#later(`info ${event.group}`, INFO_WAIT_MS, () => this.fetcher.look(event.group));
    if (event.group !== this.group) return;
    if (LOOK_AGAIN.has(event.kind)) this.#later("info", INFO_WAIT_MS, () => this.fetcher.look(event.group));
    if ((event.kind === "posted" || event.kind === "announced") && event.user !== this.chats.me) {
      this.#teller.tell(event);
      this.pane.cameIn();
    }
    this.#seen();
  }

  /** @param {Record<string, any>} event */
  #takeAccount(event) {
    if (event.kind === "chat_set") {
      this.chats.takePreference(event);
    } else if (event.kind === "invited") {
      this.dialogs.invited(event.group);
    } else if (event.kind === "declined") {
      this.dialogs.declined(event.group);
    }
  }

  /** @param {Record<string, any>} signal */
  #takeSignal({ kind, group, user, seq }) {
    if (kind === "typing") {
      this.chats.typing(group, user, performance.now());
      this.fetcher.know(user);
    } else if (kind === "read" && Number.isInteger(seq)) {
      // It answers how much is unread after that.
      this.client.call("read", { group, seq }).then(
        (counts) => {
          this.chats.takeRead(group, /** @type {any} */ (counts));
          this.render();
        },
        () => {},
      );
    }
  }

  /** The server was restored from a backup: nothing that was seen counts. */
  #restart() {
    this.chats.rows.clear();
    this.chats.takeList(this.client.chatList, this.client.user);
    const { group } = this;
    this.#logs.clear();
    if (group !== null) this.open(group);
  }

  /**
   * @param {Record<string, any>} event by which a group is over for the user
   * @param {string} name the group's
   */
  #over(event, name) {
    this.#logs.delete(event.group);
    if (event.group === this.group) this.close();
    const words = event.user === this.chats.me ? null : overWords(this.say, event, name);
    if (words !== null) toast(words);
  }

  // --- the open chat

  /**
   * Opens a chat.
   * @param {string} group
   * @param {{remember?: boolean}} [how] whether the browser's back button leads back
   */
  async open(group, { remember = true } = {}) {
    const row = this.chats.rows.get(group);
    if (remember && group !== this.group) history.pushState({ group }, "", `#/${group}`);
    this.group = group;
    this.info = null;
    this.readAt = row?.read ?? 0;
    this.root.classList.add("is-open");
    this.composer.opened();
    this.pane.opened();
    const log = this.#logOf(group);
    this.render();
    this.fetcher.look(group);
    if (!log.isLoaded) await this.fetcher.load(log);
    this.#seen();
  }

  /** Goes back to the list. */
  close() {
    const { group } = this;
    this.group = null;
    this.info = null;
    this.root.classList.remove("is-open");
    if (location.hash) history.pushState(null, "", location.pathname);
    this.render();
    if (group) this.sidebar.focus(group);
  }

  /** After a time without a connection. */
  #lookAgain() {
    if (this.group !== null) this.fetcher.look(this.group);
  }

  // --- what a person does

  /**
   * Says something in the open chat.
   * @param {Record<string, any>} params of `post`
   */
  post(params) {
    try {
      this.#pending(this.client.begin("post", { group: this.group, ...params }));
      this.pane.toEnd();
    } catch (error) {
      this.complain(error);
    }
  }

  /** @param {import("./log.js").Pending} pending */
  retry({ id, params }) {
    const log = this.#logOf(params.group);
    log.dropPending(id);
    this.#pending(this.client.begin("post", params));
  }

  /** @param {import("./log.js").Pending} pending */
  discard({ id, params }) {
    this.#logOf(params.group).dropPending(id);
    this.render();
  }

  /** @param {import("../client/outbox.js").Intent} intent */
  #pending(intent) {
    const { method, params } = intent;
    if (method !== "post") return;
    const log = this.#logOf(params.group);
    /** @type {import("./log.js").Pending} */
    const pending = { get id() { return intent.params.id; }, params, error: null, timeMs: Date.now() };
    log.addPending(pending);
    intent.answer.then(
      ({ seq }) => {
        // Its event may have come before, or be where nobody looks.
        if (!log.isLoaded || log.isDetached || log.head >= seq) log.dropPending(pending.id);
        this.render();
      },
      (error) => {
        pending.error = error;
        this.render();
      },
    );
    this.render();
  }

  /**
   * @param {import("./log.js").Message} message
   * @param {string} reaction
   */
  react(message, reaction) {
    const method = message.mine.has(reaction) ? "unreact" : "react";
    this.act(method, { group: this.group, seq: message.seq, reaction });
  }

  /**
   * Does something, and says what is wrong if it cannot be.
   * @param {string} method
   * @param {Record<string, any>} params
   * @returns {Promise<Record<string, any> | null>}
   */
  async act(method, params) {
    try {
      return await this.client.call(method, params);
    } catch (error) {
      this.complain(error);
      return null;
    }
  }

  /** @param {unknown} error */
  complain(error) {
    if (this.client.final === null) toast(errorWords(this.say, error));
  }

  // --- reading, drawing, moving

  /** Tells the server what was seen, if somebody looks. */
  #seen() {
    if (document.visibilityState === "visible") this.#wake();
    const { group, log } = this;
    if (group === null || log === null || !log.isLoaded || document.visibilityState !== "visible") return;
    const row = this.chats.rows.get(group);
    if (row === undefined || !this.pane.isAtEnd || log.head <= row.read) return;
    if (row.unread === 0 && !row.isMarked) return;
    this.#later("read", READ_WAIT_MS, async () => {
      try {
        const counts = await this.client.call("read", { group, seq: log.head });
        this.chats.takeRead(group, /** @type {any} */ (counts));
        this.render();
      } catch {
        // It is said again with the next message that is seen.
      }
    });
  }

  /** Somebody has looked at the end of the log. */
  seenEnd() {
    this.#seen();
  }

  #wake() {
    if (this.state.state === "waiting") this.client.nudge();
  }

  #navigated() {
    // A new link into the page: it is begun anew by that (`main.js`).
    const { token, code } = readFragment(location.hash);
    if (token !== null || code !== null) return;
    const group = history.state?.group ?? location.hash.match(/^#\/([\w-]{16})$/)?.[1] ?? null;
    if (group !== null && this.chats.rows.has(group)) this.open(group, { remember: false });
    else if (group === null && this.group !== null) this.close();
  }

  /** Shows what is so now, with the next frame. */
  render() {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    const draw = () => {
      this.#isDrawn = true;
      this.sidebar.render();
      this.pane.render();
      this.composer.render();
      const { unread } = this.chats;
      document.title = unread > 0 ? `(${unread}) groupd` : "groupd";
    };
    // A page in the background has no frames, and its title is read.
    if (document.visibilityState === "visible") requestAnimationFrame(draw);
    else setTimeout(draw, 100);
  }

  /**
   * Does something once, a moment after it was last asked for.
   * @param {string} key
   * @param {number} ms
   * @param {() => void} act
   */
  #later(key, ms, act) {
    clearTimeout(this.#timers.get(key));
    this.#timers.set(key, setTimeout(() => {
      this.#timers.delete(key);
      act();
    }, ms));
  }

  /** @param {string} group */
  #logOf(group) {
    const log = this.#logs.get(group) ?? new Log(group, this.client.user || this.chats.me);
    this.#logs.delete(group);
    this.#logs.set(group, log);
    for (const [other, old] of this.#logs) {
      if (this.#logs.size <= LOGS_MAX) break;
      if (other !== this.group && old.pending.length === 0) this.#logs.delete(other);
    }
    return log;
  }
}
