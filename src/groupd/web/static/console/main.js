// The console: who looks on, which page, and the connection.
//
// The token comes behind the # of the address, or is pasted. It is never sent anywhere but in `hello`,
// does not stay in the address bar, and is kept for this tab alone.

import { open } from "../client/index.js";
import { el, field, replace } from "./dom.js";
import { groupPage, groupsPage } from "./groups.js";
import { overview } from "./overview.js";
import { userPage, usersPage } from "./users.js";
import { language, say, sayError, switchLanguage } from "./words.js";

const CLIENT_NAME = "groupd-console/1";
const CALLS_MAX = 64; // That wait for an answer, or for the connection to come back.
const KEPT = "groupd-console-token";
const PAGES = {
  overview: (page, app, signal) => overview(page, app, signal),
  groups: groupsPage,
  group: groupPage,
  users: usersPage,
  user: userPage,
};
const root = document.getElementById("console");

/** Take the token out of the address; gives it, or the one that this tab has had before. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", `${location.pathname}#/overview`);
  }
  return given ?? sessionStorage.getItem(KEPT);
}

/** Where the address leads: a page, and what of. */
function place() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  try {
    const what = decodeURIComponent(rest.join("/"));
    if (Object.hasOwn(PAGES, name)) return { name, what };
  } catch {
    // Somebody has typed an address that is none.
  }
  return { name: "overview", what: "" };
}

class App {
  constructor(token) {
    this.tenant = "";
    this._page = el("main", { id: "content", tabindex: "-1" });
    this._state = el("span", { class: "state", role: "status" });
    this._toast = el("p", { class: "toast", role: "status", hidden: true });
    this._links = {};
    this._shown = new AbortController();
    this._tenantBox = el("span");
    this._isIn = this._isOver = false;
    this._onHash = () => this.show();
    const url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`;
    this._last = "connecting";
    this._client = open(url, {
      token,
      name: CLIENT_NAME,
      events: false,
      limits: { callsMax: CALLS_MAX },
      onState: (state) => this._onState(state),
    });
    addEventListener("hashchange", this._onHash);
    this._draw();
  }

  /** The time by the server's clock. */
  get nowMs() {
    return this._client.serverTimeMs();
  }

  /** Ask for something; while there is no connection, it waits for the next one. */
  ask(method, params) {
    return this._client.call(method, params);
  }

  /** Make a request id, for what is to be done once. */
  newId() {
    return this._client.newId();
  }

  link(name, what) {
    return `#/${name}/${encodeURIComponent(what)}`;
  }

  /** Put what is looked for into the address, so that going back finds it again. */
  remember(name, what) {
    history.replaceState(null, "", what ? this.link(name, what) : `#/${name}`);
  }

  /** Say what has been done. */
  tell(text) {
    replace(this._toast, text);
    this._toast.hidden = false;
    clearTimeout(this._toastTimer);
    this._toastTimer = setTimeout(() => {
      this._toast.hidden = true;
    }, 8_000);
  }

  /** Show the page of the address. */
  show() {
    if (!this._isIn) return;
    const { name, what } = place();
    this._shown.abort();
    this._shown = new AbortController();
    const section = { group: "groups", user: "users" }[name] ?? name;
    for (const [other, link] of Object.entries(this._links)) {
      if (other === section) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    PAGES[name](this._page, this, this._shown.signal, what);
    document.title = `${this._page.querySelector("h1")?.textContent ?? ""} · ${say("title")}`;
    this._page.querySelector("h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  end() {
    this._isOver = true;
    this._shown.abort();
    this._client.close();
    removeEventListener("hashchange", this._onHash);
  }

  _draw() {
    for (const name of ["overview", "groups", "users"]) {
      this._links[name] = el("a", { href: `#/${name}` }, say(name));
    }
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    replace(
      root,
      el("a", { class: "skip", href: "#content", on: { click: (event) => this._skip(event) } }, say("skip")),
      el(
        "header",
        {},
        el("strong", {}, "groupd"),
        el("nav", { "aria-label": say("title") }, Object.values(this._links)),
        el(
          "div",
          { class: "bar" },
          this._tenantBox,
          this._state,
          el("button", { type: "button", on: { click: () => this._speakOther() } }, say("language")),
          el("button", { type: "button", on: { click: () => leave() } }, say("leave")),
        ),
      ),
      this._page,
      this._toast,
    );
  }

  _skip(event) {
    event.preventDefault();
    this._page.focus();
  }

  _speakOther() {
    switchLanguage();
    this._draw();
    this._drawState();
    if (this._isAll) this._drawTenant();
    this.show();
  }

  _onState(state) {
    if (this._isOver) return;
    if (state === "ended") {
      this._refuse(sayError(this._client.final));
      return;
    }
    this._last = state === "live" ? "ready" : "connecting";
    this._drawState();
    if (state === "live" && !this._isIn) this._begin();
  }

  /** Ask for another token: this one is good for nothing here. */
  _refuse(why) {
    sessionStorage.removeItem(KEPT);
    this.end();
    enter(why);
  }

  _drawState() {
    replace(this._state, say(this._last));
    this._state.className = `state ${this._last}`;
  }

  async _begin() {
    try {
      const figures = await this.ask("operator_figures", { after_ms: this.nowMs });
      this._isAll = figures.tenant === undefined;
      this.tenant = figures.tenant ?? "";
      if (this._isAll) this._drawTenant();
      this._isIn = true;
      this.show();
    } catch (error) {
      if (error.code === "unknown_method") {
        this._refuse(say("failed", { text: say("notOperator") }));
      } // Else it is asked again with the next connection.
    }
  }

  _drawTenant() {
    const input = field(say("tenant"), { value: this.tenant, maxlength: 64, size: 8 });
    input.input.addEventListener("change", () => {
      this.tenant = input.input.value.trim();
      this.show();
    });
    replace(this._tenantBox, input.node);
  }
}

let app = null;

function leave() {
  sessionStorage.removeItem(KEPT);
  app?.end();
  app = null;
  enter("");
}

/** Ask for a token. */
function enter(trouble) {
  document.title = say("title");
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  const token = field(say("token"), { type: "password", required: true });
  const submit = (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEPT, token.input.value.trim());
    begin();
  };
  replace(
    root,
    el(
      "main",
      { class: "enter" },
      el("h1", {}, say("title")),
      el("p", {}, say("noToken")),
      trouble ? el("p", { class: "error", role: "alert" }, trouble) : null,
      el("p", {}, say("howToToken")),
      el("pre", {}, el("code", {}, "groupd token NAME --operator")),
      el("form", { class: "search", on: { submit } }, token.node, el("button", { class: "main" }, say("enter"))),
      el(
        "button",
        {
          type: "button",
          on: {
            click: () => {
              switchLanguage();
              enter(trouble);
            },
          },
        },
        say("language"),
      ),
    ),
  );
}

function begin() {
  const token = takeToken();
  if (token) app = new App(token);
  else enter("");
}

// A token may come while the page is open: by another link to it.
addEventListener("hashchange", () => {
  if (new URLSearchParams(location.hash.slice(1)).has("token")) {
    app?.end();
    begin();
  }
});
begin();
