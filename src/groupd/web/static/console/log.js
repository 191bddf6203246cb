// A log, page by page, from its newest events back to its first.

import { el, replace } from "./dom.js";
import { say, sayError, sayNumber, sayTime } from "./words.js";

const PAGE = 50;
const COMMON = new Set(["group", "seq", "time_ms", "user", "kind", "id"]);

/** Show the log of a group, or with `account` of a user. */
export function logView(app, key, account, signal) {
  const body = el("tbody");
  const said = el("p", { role: "status" });
  const older = el("button", { type: "button", hidden: true }, say("older"));
  const newest = el("button", { type: "button" }, say("newer"));

  async function page(after, limit) {
    return app.ask("operator_log", { group: key, account, after, limit, tenant: app.tenant });
  }

  function show(events, first) {
    const rows = [...events].reverse().map((event) => eventRow(event));
    body.append(...rows);
    older.hidden = first <= 1;
    older.onclick = () => guarded(() => back(first));
  }

  async function back(before) {
    const after = Math.max(0, before - 1 - PAGE);
    const events = [];
    // A page of large events comes in parts.
    while ((events.at(-1)?.seq ?? after) < before - 1) {
      const from = events.at(-1)?.seq ?? after;
      const part = await page(from, before - 1 - from);
      if (signal.aborted || part.events.length === 0) break;
      events.push(...part.events);
    }
    if (!signal.aborted) show(events, after + 1);
  }

  async function begin() {
    const { head } = await page(0, 1);
    if (signal.aborted) return;
    replace(body);
    replace(said, `${say("head")}: ${sayNumber(head)}`);
    await back(head + 1);
  }

  async function guarded(work) {
    older.disabled = newest.disabled = true;
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) replace(said, sayError(error));
    } finally {
      older.disabled = newest.disabled = false;
    }
  }

  newest.addEventListener("click", () => guarded(begin));
  guarded(begin);
  return el(
    "div",
    {},
    el("div", { class: "bar" }, said, newest),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": say("log") },
      el(
        "table",
        { class: "log" },
        el("caption", { class: "unseen" }, say("log")),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["seq", "time", "user", "kind", "details"].map((word) => el("th", { scope: "col" }, say(word))),
          ),
        ),
        body,
      ),
    ),
    older,
  );
}

function eventRow(event) {
  const details = Object.fromEntries(Object.entries(event).filter(([key]) => !COMMON.has(key)));
  const text = Object.keys(details).length ? JSON.stringify(details) : "";
  return el(
    "tr",
    {},
    el("td", { class: "number" }, event.seq),
    el("td", {}, sayTime(event.time_ms)),
    el("td", {}, event.user === "" ? el("em", {}, say("server")) : (event.user ?? "")),
    el("td", {}, event.kind),
    el("td", { class: "text" }, text),
  );
}
