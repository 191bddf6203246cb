/** Where the page begins: a token, a client, the app; or what says how to get a token. */

import { open } from "../client/index.js";
import { App } from "./app.js";
import { el } from "./dom.js";
import { forgetToken, readFragment, shelf, takeToken } from "./token.js";
import { errorWords, languageOf, speaker } from "./words.js";

/** Lost connections under which something that was said is not given up. */
const SENDS_MAX = 1_000_000;

const language = languageOf(navigator.languages);
const say = speaker(language);
const root = /** @type {HTMLElement} */ (document.getElementById("app"));

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
document.getElementById("toasts")?.setAttribute("aria-label", say("messages"));

/**
 * Shows a page of a few words.
 * @param {string} title
 * @param {(Node | string)[]} content
 */
function plainPage(title, ...content) {
  root.replaceChildren(el("main", { class: "plain" }, el("h1", {}, "groupd"), el("h2", {}, title), ...content));
}

function welcome() {
  const command = `groupd token ${say("you") === "you" ? "mei" : "xiaoyu"}`;
  plainPage(
    say("welcome_title"),
    el("p", {}, say("welcome_text")),
    el("p", {}, say("welcome_try")),
    el("pre", {}, el("code", {}, `${command}\n${location.origin}/chat#token=…`)),
  );
}

/** @param {any} error */
function ended(error) {
  if (error?.code === "unauthenticated") forgetToken();
  const words = error?.code === "unauthenticated" ? say("token_refused")
    : say("ended_other", { words: errorWords(say, error) });
  plainPage(
    say("ended"),
    el("p", { role: "alert" }, words),
    el("button", { type: "button", class: "primary", onclick: () => location.reload() }, say("try_again")),
  );
}

/**
 * @param {string} token
 * @param {string | null} code
 */
function start(token, code) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const client = open(`${scheme}://${location.host}/ws`, {
    // Asked again, it is the same one: a token that is over is refused twice, and that is the end.
    token: async () => token,
    name: "groupd-chat/0.1.0",
    shelf,
    limits: { sendsMax: SENDS_MAX },
    onState: (state, waitMs) => app.onState(state, waitMs),
  });
  const app = new App({ client, say, language, root, code, ended });
}

// A new link from the app, opened in the same tab.
window.addEventListener("hashchange", () => {
  if (readFragment(location.hash).token !== null) location.reload();
});

const { token, code } = takeToken();
if (token === null) welcome();
else start(token, code);
