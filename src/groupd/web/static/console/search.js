// Lists of groups and of users: a search field, and pages below it.

import { el, field, replace } from "./dom.js";
import { say, sayError } from "./words.js";

const PAGES_MAX = 20; // That are looked through for one that has something in it.

/**
 * Show a search. `find(query, after)` gives `{items, next}`; `row(item)` gives the cells of one;
 * `query` is what is looked for at first.
 */
export function search(page, { title, hint, heads, find, row, query, remember }, signal) {
  const input = field(hint, { type: "search", value: query, maxlength: 60, name: "query" });
  const body = el("tbody");
  const said = el("p", { role: "status" });
  const more = el("button", { type: "button", hidden: true }, say("more"));
  let count = 0;
  let turn = 0;

  async function load(after) {
    turn += 1;
    const mine = turn;
    more.hidden = true;
    replace(said, say("searching"));
    let next = after;
    try {
      for (let pages = 0; pages < PAGES_MAX; pages += 1) {
        const found = await find(input.input.value.trim(), next);
        if (signal.aborted || mine !== turn) return;
        body.append(...found.items.map((item) => el("tr", {}, row(item).map((cell) => el("td", {}, cell)))));
        count += found.items.length;
        next = found.next;
        if (next === undefined || found.items.length) break;
      }
      replace(said, count ? "" : say("nothing"));
      more.hidden = next === undefined;
      more.onclick = () => load(next);
    } catch (error) {
      if (!signal.aborted && mine === turn) replace(said, sayError(error));
    }
  }

  function begin(event) {
    event?.preventDefault();
    remember(input.input.value.trim());
    count = 0;
    replace(body);
    load("");
  }

  replace(
    page,
    el("h1", { tabindex: "-1" }, title),
    el(
      "form",
      { class: "search", role: "search", on: { submit: begin } },
      input.node,
      el("button", { type: "submit", class: "main" }, say("search")),
    ),
    said,
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      el(
        "table",
        {},
        el("caption", { class: "unseen" }, title),
        el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
        body,
      ),
    ),
    more,
  );
  begin();
}
