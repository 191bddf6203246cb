// Finding users, and looking at one.

import { el, facts, replace, table } from "./dom.js";
import { explainView } from "./explain.js";
import { logView } from "./log.js";
import { pages } from "./pages.js";
import { search } from "./search.js";
import { tabs } from "./tabs.js";
import { say, sayError, sayNumber, sayTime } from "./words.js";

/** Show the search for users. */
export function usersPage(page, app, signal, query) {
  search(
    page,
    {
      title: say("users"),
      hint: say("searchUsers"),
      heads: [say("name"), say("id"), say("plan"), say("sessions")],
      query,
      remember: (text) => app.remember("users", text),
      async find(text, after) {
        const params = { query: text, after, tenant: app.tenant };
        const found = await app.ask("operator_users", params);
        return { items: found.users, next: found.next };
      },
      row: (user) => [
        el("a", { href: app.link("user", user.user) }, user.name || user.user),
        el("code", {}, user.user),
        user.plan,
        sayNumber(user.sessions),
      ],
    },
    signal,
  );
}

/** Show one user. */
export async function userPage(page, app, signal, user) {
  const title = el("h1", { tabindex: "-1" }, user);
  replace(page, title);
  let known;
  try {
    known = await app.ask("operator_user", { user, tenant: app.tenant });
  } catch (error) {
    if (!signal.aborted) page.append(el("p", { class: "notice" }, sayError(error)));
    return;
  }
  if (signal.aborted) return;
  replace(title, known.name || known.user);
  page.append(
    el("p", {}, el("code", {}, known.user)),
    tabs(
      known.name || known.user,
      [
        [say("account"), () => account(known)],
        [say("groups"), (inner) => groups(app, known, inner)],
        [say("log"), (inner) => logView(app, user, true, inner)],
        [say("explain"), (inner) => explainView(app, { user }, inner)],
      ],
      signal,
    ),
  );
}

function account(known) {
  return facts([
    [say("plan"), known.plan],
    [say("sessions"), sayNumber(known.sessions)],
    [say("owned"), sayNumber(known.owned.length)],
    [say("joinedCount"), sayNumber(known.joined)],
    [say("directs"), sayNumber(known.directs)],
    [say("revoked"), known.revoked_before_ms && sayTime(known.revoked_before_ms)],
  ]);
}

function groups(app, known, signal) {
  return pages(app, signal, {
    first: known,
    show(page) {
      const rows = page.groups.map((place) => [
        el("a", { href: app.link("group", place.group) }, place.direct ? say("direct") : place.name),
        el("code", {}, place.group),
        place.role,
      ]);
      return table(say("groups"), [say("name"), say("id"), say("role")], rows);
    },
    ask: (after) => app.ask("operator_user", { user: known.user, after, tenant: app.tenant }),
  });
}
