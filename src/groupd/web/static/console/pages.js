// What comes a page at a time: what is known first, and a button for what follows.

import { el } from "./dom.js";
import { say, sayError } from "./words.js";

/**
 * Show pages one under the other.
 * @param {any} app
 * @param {AbortSignal} signal of the place where they stand
 * @param {object} how
 * @param {any} how.first with a `next`, where there is more
 * @param {(page: any) => Node} how.show
 * @param {(after: any) => Promise<any>} how.ask
 */
export function pages(app, signal, { first, show, ask }) {
  const box = el("div");

  function add(page) {
    box.append(show(page));
    if (page.next === undefined) return;
    const more = el("button", { type: "button" }, say("more"));
    more.addEventListener("click", async () => {
      more.disabled = true;
      try {
        const next = await ask(page.next);
        more.remove();
        if (!signal.aborted) add(next);
      } catch (error) {
        more.disabled = false;
        app.tell(sayError(error));
      }
    });
    box.append(more);
  }

  add(first);
  return box;
}
