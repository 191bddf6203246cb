/** The open chat: its bar, the announcement, and the log. */

import { avatar, el, iconButton, walkable } from "./dom.js";
import { lineWords, messageView, namesIn, pendingView } from "./messages.js";

/** How near the end counts as being there, in pixels. */
const NEAR = 80;
/** How near the beginning the page before is fetched. */
const EARLY = 400;
/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

export class Pane {
  #app;
  #bar = el("header", { class: "bar" });
  #banner = el("div", { class: "banner", hidden: true });
  #list = el("ol", {});
  #log;
  #latest;
  #hint;
  /** @type {Map<string, {version: string, element: HTMLElement}>} */
  #shown = new Map();
  /** Whether the end is shown, and is to be after the next drawing. */
  isAtEnd = true;
  /** @type {number | null} how far the end was from the top, before older ones come in */
  #place = null;
  #isNewBelow = false;
  #barVersion = "";
  #bannerVersion = "";

  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.#app = app;
    const { say } = app;
    this.#log = el("div", {
      class: "log", role: "log", "aria-live": "off", "aria-label": say("messages"), tabindex: "0",
      onscroll: () => this.#scrolled(),
    }, this.#list);
    walkable(this.#list, "li.message");
    this.#log.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.target !== this.#log || event.key !== "ArrowUp") return;
      event.preventDefault();
      const last = this.#list.querySelectorAll("li.message");
      last[last.length - 1]?.focus();
    });
    this.#latest = el("button", {
      type: "button", class: "latest", hidden: true, onclick: () => this.toEnd(),
    });
    this.#hint = el("div", { class: "hint" },
      el("h2", {}, say("choose")), el("p", {}, say("choose_text")));
    this.#main = el("div", { class: "chat" }, this.#bar, this.#banner,
      el("div", { class: "scroller" }, this.#log, this.#latest), app.composer.root);
    this.root = el("main", { class: "pane" }, this.#hint, this.#main);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || document.querySelector("dialog[open]") || event.defaultPrevented) return;
      if (app.composer.escape()) return;
      if (app.group !== null) app.close();
    });
  }

  #main;

  /** Another chat was opened. */
  opened() {
    this.#shown.clear();
    this.#list.replaceChildren();
    this.isAtEnd = true;
    this.#place = null;
    this.#isNewBelow = false;
    this.#barVersion = "";
  }

  /** Something was said. */
  cameIn() {
    if (!this.isAtEnd) this.#isNewBelow = true;
  }

  /** Remembers what is in sight, since something is about to come in above it. */
  keepPlace() {
    this.#place = this.#log.scrollHeight - this.#log.scrollTop;
  }

  /** Keeps the end in sight, if it was, since what is below has another height now. */
  stay() {
    if (this.isAtEnd && !this.#app.log?.isDetached) this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** Shows the end, which is fetched anew where too much is in between. */
  async toEnd() {
    const { log } = this.#app;
    this.isAtEnd = true;
    this.#isNewBelow = false;
    this.#app.render();
    if (log?.isDetached) await this.#app.fetcher.load(log);
    // Scrolling there finds that it was there before, and says nothing.
    this.#app.seenEnd();
  }

  /**
   * Shows a message, if it is among those that are here.
   * @param {number} seq
   */
  jump(seq) {
    const found = this.#list.querySelector(`[data-seq="${seq}"]`);
    if (!found) {
      const { log } = this.#app;
      const message = log?.messageAt(seq);
      if (message) this.#app.dialogs.message(message);
      return;
    }
    found.scrollIntoView({ block: "center" });
    found.focus({ preventScroll: true });
    found.classList.add("flash");
    setTimeout(() => found.classList.remove("flash"), 1_500);
  }

  render() {
    const { group, log } = this.#app;
    this.#hint.hidden = group !== null;
    this.#main.hidden = group === null;
    if (group === null) return;
    this.#renderBar(group);
    this.#renderBanner();
    if (log !== null) this.#renderLog(log);
    this.#latest.hidden = this.isAtEnd && !log?.isDetached;
    this.#latest.textContent = this.#app.say(this.#isNewBelow ? "new_below" : "latest");
  }

  /** @param {string} group */
  #renderBar(group) {
    const app = this.#app;
    const { say, info, chats } = app;
    const row = chats.rows.get(group);
    const typing = chats.whoTypes(group, performance.now());
    const names = typing.map((user) => chats.nameOf(group, user));
    const requests = info?.requests ?? 0;
    const pins = info?.pins?.length ?? 0;
    const version = JSON.stringify([group, row?.name, row?.picture, info?.members, names, requests, pins, Boolean(info?.direct)]);
    if (version === this.#barVersion) return;
    this.#barVersion = version;
    const under = names.length > 1 ? say("typing_many") : names.length === 1 ? say("typing", { name: names[0] })
      : info && !info.direct ? say("member_count", { n: info.members }) : "";
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.act;
    const hadFocus = this.#bar.contains(document.activeElement);
    const isGroup = info && !info.direct;
    const button = (/** @type {string} */ what, /** @type {string} */ act, /** @type {() => void} */ onclick, /** @type {string} */ name = say(act)) => iconButton(
      what, name, onclick, { "data-act": act },
    );
    const many = requests > 0 && button("requests", "requests", () => app.dialogs.requests(), say("requests_n", { n: requests }));
    if (many) many.append(el("span", { class: "badge", "aria-hidden": "true" }, String(requests)));
    this.#bar.replaceChildren(...[
      button("back", "back", () => app.close()),
      avatar(group, row?.name ?? "", row?.picture),
      el("div", { class: "titles" }, el("h2", { dir: "auto" }, row?.name || "…"),
        el("p", { class: names.length ? "typing" : "" }, under)),
      many,
      pins > 0 && button("pin", "pins", () => app.dialogs.pins()),
      isGroup && button("people", "members", () => app.dialogs.members()),
      isGroup && button("share", "share", () => app.dialogs.share()),
      info && button("info", "details", () => app.dialogs.details()),
    ].filter(Boolean));
    if (hadFocus && focused) this.#bar.querySelector(`[data-act="${focused}"]`)?.focus();
  }

  #renderBanner() {
    const app = this.#app;
    const announcement = app.info?.announcement;
    const version = JSON.stringify([app.group, announcement?.seq, announcement?.text, announcement?.acknowledged, this.#gotIt.has(`${app.group} ${announcement?.seq}`)]);
    if (version === this.#bannerVersion) return;
    this.#bannerVersion = version;
    const isSeen = !announcement?.text || this.#gotIt.has(`${app.group} ${announcement.seq}`);
    this.#banner.hidden = isSeen;
    if (isSeen) return;
    this.#banner.replaceChildren(
      el("strong", {}, app.say("announcement")),
      el("p", { dir: "auto" }, announcement.text),
      el("button", { type: "button", onclick: () => this.#acknowledge(announcement.seq) }, app.say("got_it")),
    );
  }

  /** @type {Set<string>} announcements that were acknowledged here */
  #gotIt = new Set();

  /** @param {number} seq */
  #acknowledge(seq) {
    const { group } = this.#app;
    this.#gotIt.add(`${group} ${seq}`);
    this.#app.act("acknowledge", { group, seq });
    this.#app.render();
    this.#log.focus();
  }

  /** @param {import("./log.js").Log} log */
  #renderLog(log) {
    const wasAtEnd = this.isAtEnd;
    this.#reconcile(this.#wanted(log));
    if (this.#place !== null) {
      this.#log.scrollTop = this.#log.scrollHeight - this.#place;
      this.#place = null;
    } else if (wasAtEnd && !log.isDetached) {
      this.#log.scrollTop = this.#log.scrollHeight;
      log.trim();
    }
    // A page that does not fill the pane has no way to be scrolled.
    if (log.isLoaded && log.hasOlder && this.#log.scrollHeight <= this.#log.clientHeight) this.#app.fetcher.loadOlder();
  }

  /**
   * What is to stand in the list: a key, what makes it look as it does, and how it is made.
   * @param {import("./log.js").Log} log
   * @returns {{key: string, version: string, make: () => HTMLElement}[]}
   */
  #wanted(log) {
    const app = this.#app;
    const { say, chats } = app;
    /** @type {{key: string, version: string, make: () => HTMLElement}[]} */
    const wanted = [];
    const add = (/** @type {string} */ key, /** @type {string} */ version, /** @type {() => HTMLElement} */ make) => wanted.push({ key, version, make });
    const line = (/** @type {string} */ key, /** @type {string} */ words, name = "line") => add(
      key, words, () => el("li", { class: name }, words),
    );
    if (!log.isLoaded) line("loading", say("loading"));
    else if (!log.hasOlder) line("beginning", say("beginning"));
    let [day, before, isNewShown] = ["", /** @type {any} */ (null), false];
    for (const { seq, event, message, version } of log.entries) {
      const today = app.day(event.time_ms);
      if (today !== day) {
        day = today;
        before = null;
        line(`day ${today}`, today, "line day");
      }
      if (!isNewShown && message && seq > this.#app.readAt && message.user !== chats.me && this.#app.readAt > 0) {
        isNewShown = true;
        if (wanted.some(({ key }) => key.startsWith("e "))) line("new", say("new_below"), "line new");
      }
      if (message === null) {
        const words = lineWords(app, event);
        if (words !== null) line(`e ${seq}`, words);
        before = null;
        continue;
      }
      const follows = before?.user === message.user && message.timeMs - before.timeMs < TOGETHER_MS;
      const name = chats.nameOf(log.group, message.user);
      const picture = chats.people.get(message.user)?.picture ?? "";
      const quoted = message.replyTo ? log.messageAt(message.replyTo) : null;
      const quote = quoted ? `${quoted.text} ${quoted.isRecalled} ${chats.nameOf(log.group, quoted.user)}` : "";
      const names = namesIn(app, message);
      add(`e ${seq}`, JSON.stringify([version, follows, name, picture, quote, names]), () => messageView(app, message, follows));
      before = message;
    }
    if (!log.isDetached) {
      for (const pending of log.pending) {
        add(`p ${pending.id}`, String(pending.error), () => pendingView(app, pending));
      }
    }
    return wanted;
  }

  /** @param {{key: string, version: string, make: () => HTMLElement}[]} wanted */
  #reconcile(wanted) {
    const before = this.#shown;
    this.#shown = new Map();
    let cursor = this.#list.firstElementChild;
    for (const { key, version, make } of wanted) {
      const old = before.get(key);
      let element = old?.element;
      if (element === undefined || old?.version !== version) {
        const made = make();
        if (element !== undefined) {
          if (element === cursor) cursor = made;
          this.#replace(element, made);
        }
        element = made;
      }
      if (element === cursor) cursor = cursor?.nextElementSibling ?? null;
      else this.#list.insertBefore(element, cursor);
      this.#shown.set(key, { version, element });
      before.delete(key);
    }
    for (const { element } of before.values()) element.remove();
  }

  /**
   * Puts an element in another's place, and the focus where it was.
   * @param {HTMLElement} old
   * @param {HTMLElement} made
   */
  #replace(old, made) {
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    const hadFocus = old.contains(focused);
    const act = focused?.dataset?.act;
    old.replaceWith(made);
    if (!hadFocus) return;
    const again = act ? [.../** @type {NodeListOf<HTMLElement>} */ (made.querySelectorAll("[data-act]"))].find((each) => each.dataset.act === act) : null;
    (again ?? made).focus({ preventScroll: true });
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    const wasAtEnd = this.isAtEnd;
    this.isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.isAtEnd) this.#isNewBelow = false;
    if (this.isAtEnd !== wasAtEnd) {
      this.#app.render();
      if (this.isAtEnd) this.#app.seenEnd();
    }
    if (scrollTop < EARLY) this.#app.fetcher.loadOlder();
  }
}
