/** Where one writes: a text, whom it replies to, and whom it mentions. */

import { el, excess } from "./dom.js";
import { glimpse } from "./messages.js";
import { sign } from "./signs.js";

const TYPING_EVERY_MS = 3_000;
/** Names that are offered. */
const OFFERED_MAX = 8;
/** Drafts that are kept. */
const DRAFTS_MAX = 100;
/** As high as the field grows. */
const ROWS_MAX = 6;
/** Code points of a message, for as long as the server has not said it. */
const TEXT_MAX = 5_000;

export class Composer {
  #app;
  /** @type {any} */
  #text;
  #about = el("div", { class: "about", hidden: true });
  /** @type {any} */
  #offers;
  #send;
  #note = el("p", { class: "note", hidden: true });
  #excess = el("p", { class: "note excess", role: "status" });
  /** @type {import("./log.js").Message | null} */
  #replyTo = null;
  /** @type {import("./log.js").Message | null} */
  #editing = null;
  /** @type {Map<string, string>} group -> what was begun there */
  #drafts = new Map();
  /** @type {string | null} */
  #group = null;
  /** Users of the open group: what an @ offers. @type {{user: string, name: string}[]} */
  #members = [];
  /** @type {Map<string, string>} name -> user, of those who were chosen */
  #mentioned = new Map();
  /** @type {{user: string, name: string}[]} */
  #offered = [];
  #chosen = 0;
  #typedMs = -TYPING_EVERY_MS;
  /** Whether the chat was just opened: it can take the focus once it is shown. */
  #wantsFocus = false;
  /** Likewise, it has a height only then. */
  #wantsFit = false;

  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.#app = app;
    const { say } = app;
    this.#text = el("textarea", {
      rows: "1", placeholder: say("say"), "aria-label": say("say"), enterkeyhint: "send",
      "aria-autocomplete": "list", "aria-controls": "offers", autocomplete: "off",
      oninput: () => this.#typed(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
      onblur: () => setTimeout(() => this.#offer([]), 150),
    });
    this.#offers = el("ul", { class: "offers", id: "offers", role: "listbox", "aria-label": say("members"), hidden: true });
    this.#send = el("button", { type: "submit", class: "send" }, say("send"));
    this.root = el("form", {
      class: "composer",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        this.#submit();
      },
    }, this.#offers, this.#about, this.#note, this.#excess, el("div", { class: "line" }, this.#text, this.#send));
    window.addEventListener("resize", () => this.#fit());
  }

  /** Another chat is open. */
  opened() {
    const { group } = this.#app;
    if (this.#group !== null && this.#group !== group) this.#keepDraft(this.#group);
    if (this.#group !== group) {
      this.#group = group;
      this.#replyTo = this.#editing = null;
      this.#mentioned.clear();
      this.#members = [];
      this.#text.value = (group && this.#drafts.get(group)) ?? "";
    }
    this.#offer([]);
    this.#about_();
    this.#wantsFit = true;
    // On a phone the keyboard would cover what one has come to read.
    this.#wantsFocus = matchMedia("(min-width: 760px)").matches;
  }

  render() {
    const { info, say, isAdmin } = this.#app;
    const mutedMs = info?.muted_until_ms ?? 0;
    const isMuted = mutedMs > this.#app.client.serverTimeMs();
    const isAllMuted = Boolean(info?.all_muted) && !isAdmin;
    const words = isMuted ? say("you_are_muted", { time: this.#app.clockTime(mutedMs) }) : isAllMuted ? say("all_muted") : "";
    this.#note.hidden = !words;
    this.#note.textContent = words;
    this.#text.disabled = Boolean(words);
    this.#send.disabled = Boolean(words) || this.#excessCount() > 0;
    if (this.#wantsFit && this.#app.group !== null) {
      this.#wantsFit = false;
      this.#fit();
    }
    if (this.#wantsFocus && this.#app.group !== null) {
      this.#wantsFocus = false;
      this.#text.focus();
    }
  }

  /** @param {import("./log.js").Message} message */
  reply(message) {
    this.#editing = null;
    this.#replyTo = message;
    this.#about_();
    this.#text.focus();
  }

  /** @param {import("./log.js").Message} message */
  edit(message) {
    this.#replyTo = null;
    this.#editing = message;
    this.#text.value = message.text;
    this.#mentioned.clear();
    const { chats, group, say } = this.#app;
    if (message.mentions === "all") {
      // As it may stand in the text: by the word of any language here.
      for (const name of [say("everyone"), "all", "所有人"]) this.#mentioned.set(name, "*");
    } else {
      for (const user of message.mentions) this.#mentioned.set(chats.nameOf(group ?? "", user), user);
    }
    this.#about_();
    this.#fit();
    this.#text.focus();
  }

  /** Gives up what is under way; says whether there was anything. */
  escape() {
    if (this.#offered.length > 0) this.#offer([]);
    else if (this.#editing) this.#clear();
    else if (this.#replyTo) this.#replyTo = null;
    else return false;
    this.#about_();
    return true;
  }

  #submit() {
    const text = this.#text.value.trim();
    if (!text || this.#text.disabled || this.#excessCount() > 0) return;
    const mentions = this.#mentionsIn(text);
    if (this.#editing) {
      const { seq, card } = this.#editing;
      this.#app.act("edit", { group: this.#app.group, seq, text, card: card ?? undefined, mentions });
    } else {
      this.#app.post({ text, mentions, reply_to: this.#replyTo?.seq });
    }
    this.#clear();
    this.#about_();
  }

  #clear() {
    this.#text.value = "";
    this.#replyTo = this.#editing = null;
    this.#mentioned.clear();
    if (this.#group !== null) this.#drafts.delete(this.#group);
    this.#offer([]);
    this.#fit();
  }

  /** @param {string} text @returns {string[] | "all" | undefined} */
  #mentionsIn(text) {
    const users = [];
    for (const [name, user] of this.#mentioned) {
      if (!text.includes(`@${name}`)) continue;
      if (user === "*") return "all";
      users.push(user);
    }
    return users.length > 0 ? users : undefined;
  }

  /** @param {string} group */
  #keepDraft(group) {
    if (this.#text.value && !this.#editing) this.#drafts.set(group, this.#text.value);
    else this.#drafts.delete(group);
    for (const other of this.#drafts.keys()) {
      if (this.#drafts.size <= DRAFTS_MAX) break;
      this.#drafts.delete(other);
    }
  }

  #about_() {
    const { say, chats, group } = this.#app;
    const message = this.#editing ?? this.#replyTo;
    this.#about.hidden = message === null;
    if (message === null) return;
    const words = this.#editing ? say("editing") : say("replying", { name: chats.nameOf(group ?? "", message.user) });
    this.#about.replaceChildren(
      el("span", {}, el("strong", {}, words), " ", el("span", { dir: "auto" }, glimpse(message, say))),
      el("button", { type: "button", class: "icon", "aria-label": say("cancel"), onclick: () => {
        this.escape();
        this.#text.focus();
      } }, sign("close")),
    );
  }

  // --- typing

  #typed() {
    this.#fit();
    this.#lookForMention();
    const now = performance.now();
    if (!this.#text.value || this.#editing || now - this.#typedMs < TYPING_EVERY_MS) return;
    this.#typedMs = now;
    // Nobody minds if it is not seen.
    this.#app.client.call("typing", { group: this.#app.group }).catch(() => {});
  }

  /** How many code points are more than a message may have. */
  #excessCount() {
    return excess(this.#text.value, this.#app.client.limits.text_max ?? TEXT_MAX);
  }

  #fit() {
    const n = this.#excessCount();
    this.#excess.textContent = n > 0 ? this.#app.say("too_long", { n }) : "";
    this.#send.disabled = this.#text.disabled || n > 0;
    this.#text.rows = 1;
    while (this.#text.rows < ROWS_MAX && this.#text.scrollHeight > this.#text.clientHeight) this.#text.rows += 1;
    this.#app.pane.stay();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // Enter ends a word of an input method, too.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#offered.length > 0 && this.#choosing(event.key)) {
      event.preventDefault();
      return;
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && this.escape()) {
      event.preventDefault();
    }
  }

  // --- mentions

  #lookForMention() {
    const before = this.#text.value.slice(0, this.#text.selectionStart);
    // Chinese has no spaces; what follows a Latin letter is an address.
    const found = before.match(/(?:^|[^\w.%+@-])@([^\s@]{0,30})$/u);
    if (!found) {
      this.#offer([]);
      return;
    }
    this.#loadMembers();
    const wanted = found[1].toLocaleLowerCase();
    const everyone = this.#app.isAdmin ? [{ user: "*", name: this.#app.say("everyone") }] : [];
    const fitting = [...this.#members, ...everyone].filter(({ user, name }) => user !== this.#app.chats.me
      && (name.toLocaleLowerCase().startsWith(wanted) || user.toLocaleLowerCase().startsWith(wanted)));
    this.#offer(fitting.slice(0, OFFERED_MAX));
  }

  async #loadMembers() {
    const { group, chats, fetcher } = this.#app;
    if (this.#members.length > 0 || group === null) return;
    try {
      const { members } = await fetcher.members(group);
      if (group !== this.#app.group) return;
      this.#members = members.map((/** @type {any} */ { user }) => ({ user, name: chats.nameOf(group, user) }));
      this.#lookForMention();
    } catch {
      // Without a list, nobody is offered.
    }
  }

  /** @param {{user: string, name: string}[]} offered */
  #offer(offered) {
    this.#offered = offered;
    this.#chosen = 0;
    this.#offers.hidden = offered.length === 0;
    this.#offers.replaceChildren(...offered.map(({ user, name }, at) => el("li", {
      role: "option", id: `offer-${at}`, "aria-selected": String(at === 0),
      onmousedown: (/** @type {Event} */ event) => {
        event.preventDefault();
        this.#take(at);
      },
    }, el("strong", { dir: "auto" }, name), user !== "*" && user !== name && el("span", {}, ` ${user}`))));
    this.#point();
  }

  #point() {
    [...this.#offers.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === this.#chosen)));
    if (this.#offered.length > 0) this.#text.setAttribute("aria-activedescendant", `offer-${this.#chosen}`);
    else this.#text.removeAttribute("aria-activedescendant");
  }

  /** @param {string} key */
  #choosing(key) {
    const count = this.#offered.length;
    if (key === "ArrowDown") this.#chosen = (this.#chosen + 1) % count;
    else if (key === "ArrowUp") this.#chosen = (this.#chosen + count - 1) % count;
    else if (key === "Enter" || key === "Tab") this.#take(this.#chosen);
    else if (key === "Escape") this.#offer([]);
    else return false;
    this.#point();
    return true;
  }

  /** @param {number} at */
  #take(at) {
    const { user, name } = this.#offered[at];
    const end = this.#text.selectionStart;
    const before = this.#text.value.slice(0, end).replace(/@[^\s@]*$/u, `@${name} `);
    this.#text.value = before + this.#text.value.slice(end);
    this.#text.setSelectionRange(before.length, before.length);
    this.#mentioned.set(name, user);
    this.#offer([]);
    this.#fit();
    this.#text.focus();
  }
}
