/** What one entry of a log looks like: a message, a line, or one of one's own on its way. */

import { cardView, cardWords } from "./cards.js";
import { avatar, el } from "./dom.js";
import { mentions } from "./chats.js";
import { sign } from "./signs.js";
import { errorWords } from "./words.js";

/** The reaction of the button; the others that there are can be given, too. */
export const LIKE = "👍";
const URL_PATTERN = /https?:\/\/[^\s<>"'，。！？、；：）】》]+/g;
/** Code points of a message that stand in a quote or a row. */
const GLIMPSE = 80;

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./log.js").Message} Message
 */

/**
 * Makes the text of a message: its links lead somewhere, and whom it mentions stands out.
 * @param {string} text
 * @param {string[]} names what follows an @ in it
 */
export function textNodes(text, names) {
  /** @type {(Node | string)[]} */
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(URL_PATTERN)) {
    nodes.push(...marked(text.slice(at, found.index), names));
    const url = found[0].replace(/[.,;:!?)\]]+$/, "");
    nodes.push(el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url));
    at = found.index + url.length;
  }
  nodes.push(...marked(text.slice(at), names));
  return nodes;
}

/**
 * @param {string} text
 * @param {string[]} names
 */
function marked(text, names) {
  /** @type {(Node | string)[]} */
  const nodes = [];
  let rest = text;
  while (rest) {
    let [first, name] = [-1, ""];
    for (const each of names) {
      const found = rest.indexOf(`@${each}`);
      if (found >= 0 && (first < 0 || found < first || (found === first && each.length > name.length))) {
        [first, name] = [found, each];
      }
    }
    if (first < 0) break;
    nodes.push(rest.slice(0, first), el("span", { class: "mention" }, `@${name}`));
    rest = rest.slice(first + name.length + 1);
  }
  nodes.push(rest);
  return nodes;
}

/**
 * Says in a few words what a message is.
 * @param {{text: string, card: any, isRecalled: boolean}} message
 * @param {import("./words.js").Say} say
 */
export function glimpse({ text, card, isRecalled }, say) {
  if (isRecalled) return say("recalled");
  const words = text || (card ? cardWords(card, say) : "");
  const letters = [...words.replaceAll(/\s+/g, " ").trim()];
  return letters.length > GLIMPSE ? `${letters.slice(0, GLIMPSE).join("")}…` : letters.join("");
}

/**
 * What follows an @ in a message, for those whom it mentions.
 * @param {App} app
 * @param {Message} message
 */
export function namesIn(app, message) {
  const group = app.group ?? "";
  if (message.mentions === "all") return [app.say("everyone"), "all", "所有人"];
  return message.mentions.flatMap((user) => {
    const person = app.chats.people.get(user);
    return [app.chats.nameOf(group, user), person?.name ?? "", user].filter(Boolean);
  });
}

/**
 * Makes a message of the log.
 * @param {App} app
 * @param {Message} message
 * @param {boolean} follows whether it is of the same person as the one before it
 */
export function messageView(app, message, follows) {
  const { say, chats } = app;
  const group = app.group ?? "";
  const isMine = message.user === chats.me;
  const name = chats.nameOf(group, message.user);
  const classes = ["message", isMine && "mine", follows && "follows", message.isRecalled && "gone",
    !isMine && mentions(message, chats.me) && "calls"];
  return el("li", {
    class: classes.filter(Boolean).join(" "), tabindex: "-1", "data-seq": message.seq,
  },
  avatar(message.user, name, chats.people.get(message.user)?.picture),
  el("div", { class: "bubble" },
    el("div", { class: "who" },
      el("span", { class: "name", dir: "auto" }, isMine ? say("you") : name),
      el("time", { datetime: new Date(message.timeMs).toISOString() }, app.clockTime(message.timeMs))),
    message.isAnnouncement && el("span", { class: "tag" }, say("announcement")),
    quoteView(app, message),
    message.isRecalled ? el("p", { class: "text recalled" }, say("recalled"))
      : message.text && el("p", { class: "text", dir: "auto" },
        ...textNodes(message.text, namesIn(app, message))),
    message.card && cardView(message.card, app),
    message.isEdited && el("span", { class: "note" }, say("edited")),
    footer(app, message)),
  !message.isRecalled && actions(app, message, name));
}

/**
 * @param {App} app
 * @param {Message} message
 */
function quoteView(app, message) {
  if (!message.replyTo) return null;
  const quoted = app.log?.messageAt(message.replyTo);
  const name = quoted ? app.chats.nameOf(app.group ?? "", quoted.user) : "…";
  const words = quoted ? glimpse(quoted, app.say) : "…";
  return el("button", {
    type: "button", class: "quote", "data-act": "quote", onclick: () => app.pane.jump(message.replyTo),
  }, el("span", { class: "name", dir: "auto" }, name), el("span", { dir: "auto" }, words));
}

/**
 * @param {App} app
 * @param {Message} message
 */
function footer(app, message) {
  const { say } = app;
  const reactions = [...message.reactions].map(([reaction, count]) => el("button", {
    type: "button",
    class: "reaction",
    "data-act": `reaction ${reaction}`,
    "aria-pressed": String(message.mine.has(reaction)),
    "aria-label": say("likes", { reaction, n: count }),
    onclick: () => app.react(message, reaction),
  }, `${reaction} ${count}`));
  if (message.replies > 0) {
    reactions.push(el("button", {
      type: "button", class: "reaction", "data-act": "thread", onclick: () => app.dialogs.thread(message),
    }, say("replies", { n: message.replies })));
  }
  return reactions.length > 0 && el("div", { class: "reactions" }, ...reactions);
}

/**
 * @param {App} app
 * @param {Message} message
 * @param {string} name
 */
function actions(app, message, name) {
  const { say } = app;
  const make = (/** @type {Node | string} */ shown, /** @type {string} */ act, /** @type {() => void} */ onclick) => el(
    "button", {
      type: "button", class: "icon", "data-act": act, title: say(act), "aria-label": `${say(act)}: ${name}`, onclick,
    }, shown,
  );
  return el("div", { class: "actions" },
    make(el("span", { "aria-hidden": "true" }, LIKE), "like", () => app.react(message, LIKE)),
    make(sign("reply"), "reply", () => app.composer.reply(message)),
    make(sign("more"), "more", () => app.dialogs.messageMenu(message)));
}

/**
 * Makes a message of one's own that the log does not have yet.
 * @param {App} app
 * @param {import("./log.js").Pending} pending
 */
export function pendingView(app, pending) {
  const { say } = app;
  const failed = pending.error !== null;
  const note = failed ? say("failed", { words: errorWords(say, pending.error) }) : say("sending");
  return el("li", { class: `message mine pending${failed ? " failed" : ""}`, tabindex: "-1" },
    avatar(app.chats.me, app.chats.nameOf("", app.chats.me), ""),
    el("div", { class: "bubble" },
      pending.params.text && el("p", { class: "text", dir: "auto" }, ...textNodes(pending.params.text, [])),
      pending.params.card && cardView(pending.params.card, app),
      el("span", { class: "note" }, note),
      failed && el("div", { class: "reactions" },
        el("button", { type: "button", class: "reaction", onclick: () => app.retry(pending) }, say("try_again")),
        el("button", { type: "button", class: "reaction", onclick: () => app.discard(pending) }, say("discard")))));
}

/**
 * Says what an event that is no message was; null where there is nothing to say.
 * @param {App} app
 * @param {Record<string, any>} event
 */
export function lineWords(app, event) {
  const { say, chats } = app;
  const nameOf = (/** @type {string} */ user) => (
    user === chats.me ? say("you") : chats.nameOf(event.group, user));
  const who = nameOf(event.user ?? "");
  const whom = nameOf(event.member || event.user || "");
  const key = lineKey(event);
  if (key === null) return null;
  const name = event.kind === "updated" ? event.changes?.name : event.nickname;
  return say(key, { who, whom, name, s: Math.round((event.interval_ms ?? 0) / 1_000) });
}

/** @param {Record<string, any>} event */
function lineKey(event) {
  switch (event.kind) {
    case "joined":
      if (event.via === "created") return null;
      if (event.via === "added" || event.via === "approval") {
        return event.via === "added" ? "l_added" : "l_approved";
      }
      return event.via === "link" ? "l_joined_link" : "l_joined";
    case "updated": return event.changes?.name ? "l_renamed" : "l_updated";
    case "role_set": return event.role === "admin" ? "l_role_admin" : "l_role_member";
    case "all_muted": return event.on ? "l_all_muted" : "l_all_unmuted";
    case "slow_mode_set": return event.interval_ms ? "l_slow" : "l_slow_off";
    case "nicknamed": return event.nickname ? "l_nicknamed" : null;
    case "created": case "left": case "kicked": case "banned": case "pinned": case "transferred":
    case "muted": case "unmuted": case "requested": case "dissolved":
      return `l_${event.kind}`;
    // A kind that this page does not know yet is passed over.
    default: return null;
  }
}

/**
 * Says why a group is over for the user; null where that was their own will.
 * @param {import("./words.js").Say} say
 * @param {Record<string, any>} event
 * @param {string} name the group's
 */
export function overWords(say, { kind, message }, name) {
  if (kind !== "dissolved" && kind !== "kicked" && kind !== "banned") return null;
  return [say(`over_${kind}`, { name }), message].filter(Boolean).join(" ");
}
