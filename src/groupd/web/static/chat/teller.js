/** Tells what was said to those who do not see it. */

import { announce } from "./dom.js";
import { pause } from "./fetcher.js";
import { glimpse } from "./messages.js";

/** How long what was said waits to be told with a name. */
const NAME_WAIT_MS = 2_000;

export class Teller {
  #app;
  /** When all before has been told. */
  #told = Promise.resolve();

  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.#app = app;
  }

  /**
   * Tells what was said: in its order, and by names, as far as they come.
   * @param {Record<string, any>} event
   */
  tell({ group, user, text = "", card }) {
    const { chats, fetcher, say } = this.#app;
    const words = glimpse({ text, card, isRecalled: false }, say);
    const known = Promise.race([fetcher.know(user), pause(NAME_WAIT_MS)]);
    this.#told = this.#told.then(() => known).then(() => {
      announce(say("said", { name: chats.nameOf(group, user), text: words }));
    });
  }
}
