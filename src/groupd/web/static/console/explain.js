// What stands between a user and a method, in a group or without one.

import { el, field, replace, table } from "./dom.js";
import { say, sayError } from "./words.js";

const METHODS = [
  "post", "join", "invite", "announce", "pin", "kick", "ban", "mute", "share_link", "approve",
  "update", "leave", "dissolve", "create", "direct", "react", "edit", "recall",
];

/** Make the form and what is answered; `user` and `group` are what is known already. */
export function explainView(app, { user = "", group = "" }, signal) {
  const who = field(say("user"), { value: user, required: true, maxlength: 64 });
  const where = field(say("group"), { value: group, maxlength: 128 });
  const method = field(say("method"), { value: group ? "post" : "create", required: true, list: "methods" });
  const answer = el("div", { role: "status" });

  async function ask(event) {
    event.preventDefault();
    try {
      const found = await app.ask("operator_explain", {
        user: who.input.value.trim(),
        method: method.input.value.trim(),
        group: where.input.value.trim(),
        tenant: app.tenant,
      });
      if (!signal.aborted) replace(answer, verdict(found));
    } catch (error) {
      if (!signal.aborted) replace(answer, el("p", { class: "error" }, sayError(error)));
    }
  }

  return el(
    "div",
    {},
    el(
      "form",
      { class: "search", on: { submit: ask } },
      who.node,
      method.node,
      where.node,
      el("datalist", { id: "methods" }, METHODS.map((name) => el("option", { value: name }))),
      el("button", { type: "submit", class: "main" }, say("ask")),
    ),
    answer,
  );
}

function verdict(found) {
  const rows = found.rules.map((rule) => [
    rule.rule,
    rule.verdict === "holds"
      ? el("span", { class: "good" }, say("holds"))
      : el("span", { class: "bad" }, `${say("refuses")}: ${rule.reason ?? rule.code}`),
    rule.value === undefined ? "" : JSON.stringify(rule.value),
    rule.source,
  ]);
  const heads = ["rule", "verdict", "value", "source"].map((word) => say(word));
  return [
    el("p", { class: found.allowed ? "good" : "bad" }, say(found.allowed ? "allowed" : "notAllowed")),
    table(say("explain"), heads, rows),
  ];
}
