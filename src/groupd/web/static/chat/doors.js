/** The ways into a group: searching, a share link, making one, being invited. */

import { avatar, dialog, el, limited, toast } from "./dom.js";
import { cardWords } from "./cards.js";
import { pause } from "./fetcher.js";
import { forgetCode } from "./token.js";
import { errorWords } from "./words.js";

/** A share link's code, alone or in an address, whatever follows it there. */
const CODE = /(?:^|\/|[#?&]code=)([\w-]{38})\/?(?:[?#&].*)?$/;
/** The longest address that is looked at: it may have a token after its code. */
const QUERY_MAX = 20_000;
const DAY_MS = 86_400_000;
/** How long a chat may take to appear in the list after it was joined. */
const PATIENCE_MS = 10_000;

/** @typedef {{items: HTMLElement[], next?: any}} Some items of a list, and where it goes on */

export class Doors {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
  }

  /**
   * @param {string} title
   * @param {(close: () => void) => (Node | string | null | false)[]} fill
   */
  open(title, fill) {
    return dialog(title, this.app.say("close"), fill);
  }

  /**
   * Fills a list a page at a time: while there is more, its last line is a button for that.
   * @param {HTMLElement} list
   * @param {(after: any) => Promise<Some>} load is given what the page before gave as `next`
   */
  async fill(list, load) {
    const { say } = this.app;
    const line = el("li", { class: "line", tabindex: "-1", "aria-live": "polite" });
    list.replaceChildren(line);
    const turn = async (/** @type {any} */ after) => {
      line.replaceChildren(say("loading"));
      try {
        const { items, next } = await load(after);
        line.before(...items);
        // Whoever has asked for this page goes on where it begins.
        if (line === document.activeElement && items.length > 0) {
          items[0].tabIndex = -1;
          items[0].focus();
        }
        if (next) line.replaceChildren(button("more", next));
        else line.remove();
      } catch (error) {
        line.replaceChildren(errorWords(say, error), " ", button("try_again", after));
      }
    };
    const button = (/** @type {string} */ name, /** @type {any} */ after) => el("button", {
      type: "button", onclick: () => {
        // The button goes, and the focus is not to go with it.
        line.focus();
        turn(after);
      },
    }, say(name));
    await turn(undefined);
  }

  /** @param {any} event */
  cardOf(event) {
    return event.card ? cardWords(event.card, this.app.say) : "…";
  }

  /** Finds groups by name, or opens a share link. */
  search() {
    const { app } = this;
    const { say } = app;
    const list = el("ul", { class: "plainlist" });
    this.open(say("search"), (close) => [
      el("form", {
        class: "oneline",
        // The field takes the first Escape to be emptied.
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Escape" || event.isComposing) return;
          event.preventDefault();
          close();
        },
        onsubmit: (/** @type {any} */ event) => {
          event.preventDefault();
          const query = event.target.elements.query.value.trim();
          const code = query.match(CODE);
          if (code) {
            close();
            this.link(code[1]);
          } else if (query) {
            this.fill(list, (cursor) => this.#found(query, cursor, close));
          }
        },
      },
      el("input", { name: "query", type: "search", placeholder: say("by_name"), "aria-label": say("by_name"), maxlength: QUERY_MAX, autofocus: true }),
      el("button", { type: "submit", class: "primary" }, say("find_now"))),
      list,
    ]);
  }

  /**
   * @param {string} query
   * @param {string | undefined} cursor
   * @param {() => void} close
   * @returns {Promise<Some>}
   */
  async #found(query, cursor, close) {
    const { app } = this;
    const { say } = app;
    const { groups, next } = await app.client.call("search", { query: [...query].slice(0, 60).join(""), cursor });
    if (groups.length === 0) return { items: [el("li", { class: "line" }, say("nothing_found"))] };
    const items = groups.map((/** @type {any} */ card) => {
      const isIn = app.chats.rows.has(card.group);
      const name = isIn ? "open" : card.join_policy === "approval" ? "ask_join" : "join";
      return el("li", { class: "person" }, avatar(card.group, card.name, card.picture),
        el("span", { class: "row" }, el("span", { class: "title", dir: "auto" }, card.name),
          el("span", { class: "glimpse", dir: "auto" }, [say("member_count", { n: card.members }), card.category, card.description].filter(Boolean).join(" · "))),
        el("button", {
          type: "button", class: "primary", "aria-label": `${say(name)}: ${card.name}`, onclick: async () => {
            if (isIn || await this.#join({ group: card.group })) {
              close();
              await this.enter(card.group);
            }
          },
        }, say(name)));
    });
    return { items, next };
  }

  /**
   * Looks at a share link, and joins by it.
   * @param {string} code
   */
  async link(code) {
    const { app } = this;
    const { say } = app;
    const opened = await app.act("open_link", { code });
    if (opened === null) {
      forgetCode();
      return;
    }
    const { group: card, sharer, status } = opened;
    if (status === "member") {
      forgetCode();
      await this.enter(card.group);
      return;
    }
    if (sharer) await app.fetcher.meetStranger(sharer);
    const mayJoin = status === "joined" || status === "pending";
    const box = this.open(card.name, (close) => [
      el("div", { class: "face" }, avatar(card.group, card.name, card.picture)),
      card.description && el("p", { dir: "auto" }, card.description),
      el("p", { class: "note" }, [say("member_count", { n: card.members }), card.category].filter(Boolean).join(" · ")),
      sharer && el("p", { class: "note" }, say("shared_by", { name: app.chats.nameOf("", sharer) })),
      mayJoin ? el("button", {
        type: "button", class: "primary wide", autofocus: true, onclick: async () => {
          const isIn = await this.#join({ code });
          close();
          if (isIn) await this.enter(card.group);
        },
      }, say(status === "pending" ? "ask_join" : "join")) : el("p", { role: "alert" }, say(status === "group_full" ? "e_group_full" : "cannot_join")),
    ]);
    box.addEventListener("close", forgetCode);
  }

  /**
   * @param {Record<string, any>} how `group` or `code`
   * @returns {Promise<boolean>} whether one is a member now
   */
  async #join(how) {
    const result = await this.app.act("join", how);
    if (result?.status === "pending") toast(this.app.say("asked"));
    return result?.status === "joined";
  }

  /**
   * Opens a chat that one has just come into, once it is in the list.
   * @param {string} group
   */
  async enter(group) {
    const { app } = this;
    for (let waited = 0; waited < PATIENCE_MS && !app.chats.rows.has(group); waited += 50) {
      await pause(50);
    }
    await app.open(group);
  }

  /**
   * Tells of an invitation.
   * @param {string} group
   */
  async invited(group) {
    const { app } = this;
    const { say } = app;
    const card = await app.act("info", { group });
    if (card === null) return;
    toast(say("invited", { name: card.name }), [
      { label: say("accept"), act: async () => {
        const result = await app.act("accept_invite", { group });
        if (result?.status === "joined") await this.enter(group);
      } },
      { label: say("decline"), act: () => app.act("decline_invite", { group }) },
    ]);
  }

  /**
   * Tells that one is not let into a group.
   * @param {string} group
   */
  async declined(group) {
    const { client, say } = this.app;
    try {
      const { name } = await client.call("info", { group });
      toast(say("declined", { name }));
    } catch {
      // One that is not shown to everybody has no name for those outside.
      toast(say("e_cooldown"));
    }
  }

  /** Makes a group. */
  create() {
    const { app } = this;
    const { say } = app;
    const policies = ["open", "approval", "invite_only"];
    this.open(say("create"), (close) => [el("form", {
      class: "stack", onsubmit: async (/** @type {any} */ event) => {
        event.preventDefault();
        const { name, description, policy, members } = event.target.elements;
        const made = await app.act("create", {
          name: name.value.trim(),
          description: description.value.trim() || undefined,
          join_policy: policy.value,
          members: members.value.split(/[\s,，、]+/).filter(Boolean),
        });
        if (made === null) return;
        close();
        await this.enter(made.group);
      },
    },
    el("label", {}, say("group_name"), limited(el("input", { name: "name", required: true, autofocus: true, autocomplete: "off" }), app.client.limits.name_max, say)),
    el("label", {}, say("description"), limited(el("textarea", { name: "description", rows: "2" }), 1_000, say)),
    el("label", {}, say("who_may_join"), el("select", { name: "policy" }, ...policies.map((policy) => el("option", { value: policy }, say(`policy_${policy}`))))),
    el("label", {}, say("first_members"), el("input", { name: "members", autocomplete: "off" })),
    el("button", { type: "submit", class: "primary wide" }, say("make")))]);
  }

  /** Makes a share link, and shows it with its QR code. */
  share() {
    const { app } = this;
    const { say, group, info } = app;
    const channels = ["wechat", "qq", "weibo", "elsewhere"];
    const spans = [["for_ever", ""], ["one_day", String(DAY_MS)], ["one_week", String(7 * DAY_MS)]];
    const result = el("div", { class: "shared", hidden: true, "aria-live": "polite" });
    this.open(say("share"), () => [el("form", {
      class: "stack", onsubmit: async (/** @type {any} */ event) => {
        event.preventDefault();
        const { channel, span, approval } = event.target.elements;
        const made = await app.act("share_link", {
          group,
          channel: channel.value === "elsewhere" ? undefined : channel.value,
          expires_in_ms: span.value ? Number(span.value) : undefined,
          approval: approval.checked || undefined,
        });
        if (made !== null) this.#shared(result, made);
      },
    },
    el("label", {}, say("where_shared"), el("select", { name: "channel" }, ...channels.map((channel) => el("option", { value: channel }, say(channel))))),
    el("label", {}, say("how_long"), el("select", { name: "span" }, ...spans.map(([name, value]) => el("option", { value }, say(name))))),
    el("label", { class: "toggle" }, el("input", { type: "checkbox", name: "approval", checked: info?.join_policy === "approval" }), say("need_approval")),
    el("button", { type: "submit", class: "primary" }, say("make_link"))), result]);
  }

  /**
   * @param {HTMLElement} box
   * @param {Record<string, any>} made
   */
  #shared(box, { code, url }) {
    const { say } = this.app;
    // A server that is not told where browsers reach it gives a link that only apps can open.
    const shown = /^https?:/.test(url) ? url : `${location.origin}/g/${code}`;
    const image = el("img", { class: "qr", alt: say("qr"), width: "220", height: "220" });
    image.addEventListener("error", () => image.remove());
    image.src = `/g/${code}/qr.svg`;
    box.hidden = false;
    box.replaceChildren(
      image,
      el("input", { class: "url", readOnly: true, value: shown, "aria-label": say("link"), onfocus: (/** @type {any} */ event) => event.target.select() }),
      el("div", { class: "buttons" },
        el("button", { type: "button", class: "primary", onclick: () => /** @type {any} */ (this).copy(shown) }, say("copy")),
        navigator.share ? el("button", { type: "button", onclick: () => navigator.share({ url: shown }).catch(() => {}) }, say("share_to")) : ""),
    );
  }
}
