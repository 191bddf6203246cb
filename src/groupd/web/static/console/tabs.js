// Parts of a page of which one is shown. Arrow keys go from one to the next.

import { el, replace } from "./dom.js";

/**
 * Make tabs. Each is [name, make]: `make(signal)` gives its content when it is opened; what it has
 * running ends when `signal` aborts.
 */
export function tabs(label, parts, signal) {
  const panel = el("div", { role: "tabpanel", id: "panel", tabindex: "0" });
  let shown = new AbortController();
  signal.addEventListener("abort", () => shown.abort());

  function open(place) {
    shown.abort();
    shown = new AbortController();
    buttons.forEach((button, other) => {
      button.setAttribute("aria-selected", String(other === place));
      button.tabIndex = other === place ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[place].id);
    replace(panel, parts[place][1](shown.signal));
  }

  function onKey(event) {
    const at = buttons.indexOf(document.activeElement);
    const last = buttons.length - 1;
    const to = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowLeft: at === 0 ? last : at - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    buttons[to].focus();
    open(to);
  }

  const buttons = parts.map(([name], place) =>
    el(
      "button",
      { type: "button", role: "tab", id: `tab-${place}`, "aria-controls": "panel", on: { click: () => open(place) } },
      name,
    ),
  );
  const list = el("div", { role: "tablist", "aria-label": label, class: "tabs", on: { keydown: onKey } }, buttons);
  open(0);
  return el("div", {}, list, panel);
}
