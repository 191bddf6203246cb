/** The list of chats, and how the connection is. */

import { avatar, el, iconButton, walkable } from "./dom.js";
import { glimpse } from "./messages.js";

export class Sidebar {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.#app = app;
    const { say } = app;
    this.#state = el("p", { class: "state", role: "status" });
    this.#find = el("input", {
      type: "search", placeholder: say("find"), "aria-label": say("find"), autocomplete: "off",
      oninput: () => app.render(),
    });
    this.#list = el("ul", { class: "chats" });
    this.#empty = el("p", { class: "empty" });
    walkable(this.#list, "button");
    this.root = el("nav", { class: "side", "aria-label": say("chats") },
      el("header", {},
        el("h1", {}, "groupd"),
        iconButton("search", say("search"), () => app.dialogs.search()),
        iconButton("plus", say("create"), () => app.dialogs.create())),
      this.#state, this.#find, this.#list, this.#empty);
    document.addEventListener("keydown", (event) => {
      if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        if (app.group !== null && getComputedStyle(this.root).display === "none") app.close();
        this.#find.focus();
      }
    });
    this.#find.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "ArrowDown") {
        event.preventDefault();
        this.#list.querySelector("button")?.focus();
      } else if (event.key === "Escape") {
        this.#find.value = "";
        app.render();
      }
    });
  }

  #app;
  #state;
  #find;
  #list;
  #empty;
  /** @type {Map<string, {version: string, item: HTMLElement}>} */
  #shown = new Map();

  /** Puts the focus on a chat. @param {string} group */
  focus(group) {
    /** @type {any} */ (this.#shown.get(group)?.item.firstElementChild)?.focus();
  }

  render() {
    const { say, state, chats } = this.#app;
    const words = { connecting: "connecting", greeting: "connecting", waiting: "waiting", ended: "ended" };
    const key = /** @type {Record<string, string>} */ (words)[state.state];
    this.#state.hidden = key === undefined;
    this.#state.textContent = key ? say(key) : "";
    this.root.dataset.state = state.state;
    const wanted = this.#find.value.trim().toLocaleLowerCase();
    const rows = chats.sorted().filter(({ name }) => name.toLocaleLowerCase().includes(wanted));
    this.#empty.hidden = rows.length > 0;
    this.#empty.textContent = state.state === "live" || chats.rows.size > 0
      ? say(wanted ? "no_match" : "no_chats") : "";
    this.#reconcile(rows);
  }

  /** @param {import("./chats.js").Chat[]} rows */
  #reconcile(rows) {
    const before = this.#shown;
    this.#shown = new Map();
    let cursor = this.#list.firstElementChild;
    for (const row of rows) {
      const version = this.#versionOf(row);
      const old = before.get(row.group);
      const item = old?.item ?? this.#row(row);
      if (old !== undefined && old.version !== version) {
        const made = this.#row(row);
        const hadFocus = item.contains(document.activeElement);
        item.replaceChildren(...made.children);
        item.className = made.className;
        if (hadFocus) /** @type {any} */ (item.firstElementChild)?.focus();
      }
      if (item === cursor) cursor = cursor?.nextElementSibling ?? null;
      else this.#list.insertBefore(item, cursor);
      this.#shown.set(row.group, { version, item });
      before.delete(row.group);
    }
    for (const { item } of before.values()) item.remove();
  }

  /** @param {import("./chats.js").Chat} row */
  #versionOf(row) {
    const { chats, group } = this.#app;
    const name = row.last ? chats.nameOf(row.group, row.last.user) : "";
    const types = chats.whoTypes(row.group, performance.now()).length;
    return JSON.stringify([row.name, row.picture, row.unread, row.mentions, row.isQuiet, row.isPinned,
      row.isMarked, row.last, name, types, row.group === group]);
  }

  /** @param {import("./chats.js").Chat} row */
  #row(row) {
    const app = this.#app;
    const { say, chats } = app;
    const isOpen = row.group === app.group;
    const last = row.last;
    let words = last ? glimpse(last, say) : "";
    if (last && !row.direct && last.user !== chats.me && last.user) {
      words = say("said", { name: chats.nameOf(row.group, last.user), text: words });
    }
    const typing = chats.whoTypes(row.group, performance.now());
    if (typing.length > 0) words = say("typing", { name: chats.nameOf(row.group, typing[0]) });
    const badge = row.unread > 0 || row.isMarked
      ? el("span", { class: `badge${row.isQuiet ? " quiet" : ""}` },
        el("span", { "aria-hidden": "true" }, row.unread > 99 ? "99+" : row.unread > 0 ? String(row.unread) : "●"),
        el("span", { class: "unseen" }, say("unread", { n: row.unread })))
      : null;
    const button = el("button", {
      type: "button",
      "aria-current": isOpen ? "true" : null,
      onclick: () => app.open(row.group),
    },
    avatar(row.group, row.name, row.picture),
    el("span", { class: "row" },
      el("span", { class: "title", dir: "auto" }, row.isPinned && el("span", { "aria-hidden": "true" }, "▴ "), row.name || "…"),
      el("span", { class: "glimpse", dir: "auto" },
        row.mentions > 0 && el("span", { class: "at" }, el("span", { "aria-hidden": "true" }, "@"), el("span", { class: "unseen" }, say("mentioned")), " "),
        words)),
    el("span", { class: "aside" },
      last && el("time", { datetime: new Date(last.timeMs).toISOString() }, this.#when(last.timeMs)),
      badge));
    return el("li", { class: isOpen ? "open" : "" }, button);
  }

  /** @param {number} ms */
  #when(ms) {
    const isToday = new Date(ms).toDateString() === new Date().toDateString();
    return isToday ? this.#app.clockTime(ms) : this.#app.day(ms);
  }
}
