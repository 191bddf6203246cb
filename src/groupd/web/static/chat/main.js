/** Where the page begins: a token, a client, the app; or what says how to get a token. */

import { open } from "../client/index.js";
import { App } from "./app.js";
import { el } from "./dom.js";
import { forgetToken, readFragment, shelf, takePlace, takeToken } from "./token.js";
import { errorWords, languageOf, speaker } from "./words.js";

/** Lost connections under which something that was said is not given up. */
const SENDS_MAX = 1_000_000;

/** The machine that the browser runs on: whoever tries it out there can make a token. */
const LOOPBACK = /^(localhost|127\.[0-9.]+|\[::1\])$/;

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

/**
 * The way to the page of the host's app that gives people a token, which leads back here with it.
 * @returns {string | null} null where the operator has named none
 */
function signInAddress() {
  const named = document.querySelector('meta[name="groupd-sign-in"]')?.getAttribute("content");
  if (!named) return null;
  const address = new URL(named, location.href);
  address.searchParams.set("return", `${location.origin}/chat`);
  return address.href;
}

function welcome() {
  const signIn = signInAddress();
  if (signIn !== null) {
    plainPage(
      say("sign_in_title"),
      el("p", {}, say(code === null ? "sign_in_text" : "sign_in_invited")),
      el("a", { class: "primary", href: signIn }, say("sign_in")),
    );
    return;
  }
  plainPage(say("welcome_title"), el("p", {}, say("welcome_text")));
  if (!LOOPBACK.test(location.hostname)) return;
  const command = `groupd token ${say("you") === "you" ? "mei" : "xiaoyu"}`;
  root.firstElementChild?.append(
    el("p", {}, say("welcome_try")),
    el("pre", {}, el("code", {}, `${command}\n${location.origin}/chat#token=…`)),
  );
}

/** @param {any} error */
function ended(error) {
  if (error?.code === "unauthenticated") forgetToken(history.state?.group ?? null);
  const words = error?.code === "unauthenticated" ? say("token_refused")
    : say("ended_other", { words: errorWords(say, error) });
  const signIn = error?.code === "unauthenticated" ? signInAddress() : null;
  plainPage(
    say("ended"),
    el("p", { role: "alert" }, words),
    signIn !== null ? el("a", { class: "primary", href: signIn }, say("sign_in"))
      : el("button", { type: "button", class: "primary", onclick: () => location.reload() }, say("try_again")),
  );
}

/**
 * @param {string} token
 * @param {string | null} code
 */
function start(token, code) {
  const place = takePlace();
  if (place !== null) history.replaceState({ group: place }, "", `#/${place}`);
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

// A new link from the app, or an invitation, opened in the same tab.
window.addEventListener("hashchange", () => {
  const given = readFragment(location.hash);
  if (given.token !== null || given.code !== null) location.reload();
});

const { token, code } = takeToken();
if (token === null) welcome();
else start(token, code);
