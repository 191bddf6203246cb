// What an operator does to a group: asked for once more, with a reason, and done once.

import { choice, el, field, replace } from "./dom.js";
import { say, sayError } from "./words.js";

const REASON_MAX = 200;
const SPANS = [
  ["", "forever"],
  ["3600000", "hour"],
  ["86400000", "day"],
  ["2592000000", "month"],
];

/** Ban somebody from a group; resolves to true where that was done. */
export function banDialog(app, group, name, user) {
  const told = field(say("told"), { maxlength: REASON_MAX });
  const span = choice(say("until"), SPANS.map(([value, word]) => [value, say(word)]));
  return confirm(app, {
    title: say("banTitle", { user, group: name }),
    hint: say("banHint"),
    action: say("ban"),
    fields: [span.node, told.node],
    method: "operator_ban",
    params: () => ({
      group,
      user,
      tenant: app.tenant,
      message: told.input.value,
      ...(span.input.value ? { for_ms: Number(span.input.value) } : {}),
    }),
  });
}

/** Dissolve a group; resolves to true where that was done. */
export function dissolveDialog(app, group, name) {
  const typed = field(say("typeToConfirm", { text: group }), { required: true });
  return confirm(app, {
    title: say("dissolveTitle", { group: name }),
    hint: say("dissolveHint"),
    action: say("dissolve"),
    fields: [typed.node],
    isConfirmed: () => typed.input.value.trim() === group,
    method: "operator_dissolve",
    params: () => ({ group, tenant: app.tenant }),
  });
}

function confirm(app, { title, hint, action, fields, method, params, isConfirmed = () => true }) {
  // One id for the whole dialog: however often the button is pressed, it is done once.
  const id = app.newId();
  const reason = field(say("reason"), { required: true, maxlength: REASON_MAX, rows: 2 });
  const said = el("p", { class: "error", role: "alert" });
  const go = el("button", { type: "submit", class: "danger" }, action);
  return new Promise((resolve) => {
    let isDone = false;

    async function submit(event) {
      event.preventDefault();
      go.disabled = true;
      try {
        const answer = await app.ask(method, { ...params(), reason: reason.input.value, id });
        isDone = true;
        dialog.close();
        app.tell(say("done", { seq: answer.seq }));
      } catch (error) {
        replace(said, sayError(error));
        update();
      }
    }

    function update() {
      go.disabled = !reason.input.value.trim() || !isConfirmed();
    }

    const heading = `act-${id}`;
    const dialog = el(
      "dialog",
      {
        "aria-labelledby": heading,
        on: {
          close: () => {
            dialog.remove();
            resolve(isDone);
          },
        },
      },
      el(
        "form",
        { on: { submit, input: update } },
        el("h2", { id: heading }, title),
        el("p", {}, hint),
        reason.node,
        el("p", { class: "quiet" }, say("reasonHint")),
        fields,
        said,
        el(
          "div",
          { class: "bar" },
          el("button", { type: "button", on: { click: () => dialog.close() } }, say("cancel")),
          go,
        ),
      ),
    );
    document.body.append(dialog);
    update();
    dialog.showModal();
    reason.input.focus();
  });
}
