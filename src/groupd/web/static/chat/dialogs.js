/** What opens over the chat: a message's menu, members, pins, requests, the group itself. */

import { avatar, el, limited, putOnClipboard, toast } from "./dom.js";
import { Doors } from "./doors.js";
import { LIKE, messageView } from "./messages.js";
import { sign } from "./signs.js";

/** Join requests of a page. */
const REQUESTS_PAGE = 50;
const RANKS = ["owner", "admin", "member"];

export class Dialogs extends Doors {
  /**
   * What can be done with a message.
   * @param {import("./log.js").Message} message
   */
  messageMenu(message) {
    const { app } = this;
    const { say, chats, group, info, client, isAdmin } = app;
    const { limits } = client;
    const ageMs = client.serverTimeMs() - message.timeMs;
    const isMine = message.user === chats.me;
    const isPinned = info?.pins?.some((/** @type {any} */ { seq }) => seq === message.seq);
    this.open(say("more"), (close) => {
      const item = (/** @type {string} */ name, /** @type {() => void} */ act, isThere = true) => isThere && el("button", {
        type: "button", class: "item", onclick: () => {
          close();
          act();
        },
      }, say(name));
      const call = (/** @type {string} */ method) => () => app.act(method, { group, seq: message.seq });
      return [
        item("reply", () => app.composer.reply(message)),
        item("like", () => app.react(message, LIKE)),
        item("copy", () => this.copy(message.text), Boolean(message.text)),
        item("edit", () => app.composer.edit(message), isMine && !message.isAnnouncement
          && ageMs < (limits.edit_within_ms ?? 0)),
        item("recall", call("recall"), isMine ? isAdmin || ageMs < (limits.recall_within_ms ?? 0) : isAdmin),
        item("pin", call("pin"), isAdmin && !isPinned && !info?.direct),
        item("unpin", call("unpin"), isAdmin && isPinned),
      ];
    });
  }

  /**
   * Shows one message that is not among those on the screen.
   * @param {import("./log.js").Message} message
   */
  message(message) {
    this.open(this.app.say("messages"), () => [
      el("ol", { class: "few" }, messageView(this.app, message, false)),
    ]);
  }

  /**
   * Shows the replies to a message.
   * @param {import("./log.js").Message} message
   */
  thread(message) {
    const { app } = this;
    const group = app.group ?? "";
    const list = el("ol", { class: "few" });
    this.open(app.say("replies", { n: message.replies }), () => [list]);
    this.fill(list, async (after) => {
      const { messages, next } = await app.fetcher.replies(group, message.seq, after);
      // What they reply to stands above them, so that none quotes it.
      const replies = messages.map((reply) => ({ ...reply, replyTo: 0 }));
      const shown = after === undefined ? [message, ...replies] : replies;
      return { items: shown.map((each) => messageView(app, each, false)), next };
    });
  }

  /** The pin board. */
  pins() {
    const { app } = this;
    const { say, chats, group } = app;
    const pins = app.info?.pins ?? [];
    this.open(say("pins"), (close) => pins.length === 0 ? [el("p", {}, say("no_pins"))] : [
      el("ul", { class: "plainlist" }, ...pins.map((/** @type {any} */ { seq, event, edited }) => el("li", {},
        el("button", {
          type: "button", class: "item", onclick: () => {
            close();
            app.pane.jump(seq);
          },
        }, el("strong", { dir: "auto" }, chats.nameOf(group ?? "", event.user ?? "")), " ",
        el("span", { dir: "auto" }, (edited ?? event).text || this.cardOf(edited ?? event))))),
      ),
    ]);
  }

  /** Who is in the group. */
  members() {
    const { app } = this;
    const { say, chats, group } = app;
    const list = el("ul", { class: "plainlist" });
    const box = this.open(say("members"), () => [list]);
    this.fill(list, async (after) => {
      const { members, next } = await app.fetcher.members(group ?? "", after);
      members.sort((a, b) => RANKS.indexOf(a.role) - RANKS.indexOf(b.role));
      const items = members.map(({ user, picture, role }) => {
        const shown = chats.nameOf(group ?? "", user);
        return el("li", { class: "person" }, avatar(user, shown, picture),
          el("span", { class: "row" }, el("span", { class: "title", dir: "auto" }, shown),
            el("span", { class: "glimpse", dir: "auto" }, user)),
          role !== "member" && el("span", { class: "tag" }, say(role)),
          user === chats.me ? el("span", { class: "note" }, say("you")) : el("button", {
            type: "button", class: "icon", title: say("write_to", { name: shown }), "aria-label": say("write_to", { name: shown }),
            onclick: () => {
              box.close();
              this.direct(user);
            },
          }, sign("letter")));
      });
      return { items, next };
    });
  }

  /** Who asks to join. */
  requests() {
    const { app } = this;
    const { say, chats, group } = app;
    const list = el("ul", { class: "plainlist" });
    this.open(say("requests"), () => [list]);
    this.fill(list, async (after) => {
      const { requests, next } = await app.client.call("requests", { group, after, limit: REQUESTS_PAGE });
      if (requests.length === 0) return { items: [el("li", {}, say("no_requests"))] };
      const items = requests.map((/** @type {any} */ { user, name, message, channel }) => {
        chats.meet(user, name);
        const decide = (/** @type {string} */ method) => async () => {
          if (await app.act(method, { group, user })) item.remove();
        };
        const item = el("li", { class: "person" }, avatar(user, name, ""),
          el("span", { class: "row" }, el("span", { class: "title", dir: "auto" }, name || user),
            el("span", { class: "glimpse", dir: "auto" }, [message, channel].filter(Boolean).join(" · "))),
          el("button", { type: "button", class: "primary", "aria-label": `${say("approve")}: ${name || user}`, onclick: decide("approve") }, say("approve")),
          el("button", { type: "button", "aria-label": `${say("decline")}: ${name || user}`, onclick: decide("decline") }, say("decline")));
        return item;
      });
      return { items, next };
    });
  }

  /** The group itself, and what one prefers for it. */
  details() {
    const { app } = this;
    const { say, chats, group, info } = app;
    const row = chats.rows.get(group ?? "");
    if (!info || !row) return;
    const toggle = (/** @type {string} */ name, /** @type {boolean} */ checked, /** @type {(on: boolean) => void} */ act) => el("label", { class: "toggle" },
      el("input", { type: "checkbox", checked, onchange: (/** @type {any} */ event) => act(event.target.checked) }), say(name));
    const announce = el("form", {
      class: "stack", onsubmit: async (/** @type {any} */ event) => {
        event.preventDefault();
        const text = event.target.elements.text.value.trim();
        if (text && await app.act("announce", { group, text })) event.target.reset();
      },
    }, el("label", {}, say("announcement"), limited(el("textarea", { name: "text", rows: "3" }), app.client.limits.announcement_max, say)),
    el("button", { type: "submit", class: "primary" }, say("announce")));
    this.open(info.direct ? row.name : info.name, (close) => [
      info.description && el("p", { dir: "auto" }, info.description),
      !info.direct && el("p", { class: "note" }, [say("member_count", { n: info.members }), info.category, say(`policy_${info.join_policy}`)].filter(Boolean).join(" · ")),
      !info.direct && el("button", {
        type: "button", onclick: () => {
          close();
          this.members();
        },
      }, say("members")),
      toggle("quiet", row.isQuiet, (on) => app.act("do_not_disturb", { group, on })),
      toggle("keep_on_top", row.isPinned, (pinned) => app.act("pin_chat", { group, pinned })),
      app.isAdmin && !info.direct && announce,
      !info.direct && info.role !== "owner" && el("button", {
        type: "button", class: "danger", onclick: async () => {
          if (!window.confirm(say("leave_sure", { name: info.name }))) return;
          close();
          await app.act("leave", { group });
        },
      }, say("leave")),
    ]);
  }

  /**
   * Opens the direct chat with somebody.
   * @param {string} user
   */
  async direct(user) {
    const { app } = this;
    const made = await app.act("direct", { user });
    if (made) await this.enter(made.group);
  }

  /** @param {string} text */
  async copy(text) {
    toast(this.app.say(await putOnClipboard(text) ? "copied" : "not_copied"));
  }
}
