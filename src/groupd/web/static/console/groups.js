// Finding groups, and looking at one.

import { banDialog, dissolveDialog } from "./acts.js";
import { el, facts, field, replace, table } from "./dom.js";
import { explainView } from "./explain.js";
import { logView } from "./log.js";
import { pages } from "./pages.js";
import { search } from "./search.js";
import { tabs } from "./tabs.js";
import { say, sayError, sayMs, sayNumber, sayTime } from "./words.js";

/** Show the search for groups. */
export function groupsPage(page, app, signal, query) {
  search(
    page,
    {
      title: say("groups"),
      hint: say("searchGroups"),
      heads: [say("name"), say("id"), say("owner"), say("members"), say("state")],
      query,
      remember: (text) => app.remember("groups", text),
      async find(text, after) {
        const params = { query: text, after, tenant: app.tenant };
        const found = await app.ask("operator_groups", params);
        return { items: found.groups, next: found.next };
      },
      row: (group) => [
        el("a", { href: app.link("group", group.group) }, group.name || say("direct")),
        el("code", {}, group.group),
        group.owner ? el("a", { href: app.link("user", group.owner) }, group.owner) : "–",
        sayNumber(group.members),
        badges(group),
      ],
    },
    signal,
  );
}

function badges(group) {
  const words = [
    [group.dissolved, "dissolved", "bad"],
    [!group.dissolved, "live", "good"],
    [group.discoverable === false && !group.direct, "hidden", ""],
    [group.direct, "direct", ""],
    [group.awake, "inMemory", ""],
  ];
  return words
    .filter(([holds]) => holds)
    .map(([, word, kind]) => [el("span", { class: `badge ${kind}` }, say(word)), " "]);
}

/** Show one group. */
export async function groupPage(page, app, signal, group) {
  const title = el("h1", { tabindex: "-1" }, group);
  replace(page, title);
  let known;
  try {
    known = await app.ask("operator_group", { group, tenant: app.tenant });
  } catch (error) {
    if (signal.aborted) return;
    // Of a direct chat, and of a group that is damaged, there still is the log.
    page.append(el("p", { class: "notice" }, sayError(error)), logView(app, group, false, signal));
    return;
  }
  if (signal.aborted) return;
  const again = () => groupPage(page, app, signal, group);
  replace(title, known.name);
  page.append(
    el("p", {}, el("code", {}, group), " ", badges({ ...known, discoverable: known.settings.discoverable })),
    tabs(
      known.name,
      [
        [say("settings"), () => settings(app, known)],
        [say("members"), (inner) => members(app, known, again, inner)],
        [say("log"), (inner) => logView(app, group, false, inner)],
        [say("explain"), (inner) => explainView(app, { group }, inner)],
        ...(known.dissolved ? [] : [[say("acts"), () => acts(app, known, again)]]),
      ],
      signal,
    ),
  );
}

function settings(app, known) {
  const { settings: set } = known;
  const yes = (value) => say(value ? "yes" : "no");
  const channels = Object.entries(known.links.joins_by_channel);
  return facts([
    [say("owner"), known.owner && el("a", { href: app.link("user", known.owner) }, known.owner)],
    [say("members"), `${sayNumber(known.members)} / ${sayNumber(known.members_max)}`],
    [say("messages"), sayNumber(known.messages)],
    [say("head"), sayNumber(known.head)],
    [say("description"), known.description],
    [say("category"), known.category],
    [say("joinPolicy"), known.join_policy],
    [say("condition"), known.condition],
    [say("hidden"), yes(!set.discoverable)],
    [say("history"), set.history],
    [say("allMuted"), yes(known.all_muted)],
    [say("slowMode"), known.slow_mode_ms ? sayMs(known.slow_mode_ms) : say("no")],
    [say("requests"), sayNumber(known.requests)],
    [say("invitations"), sayNumber(known.invitations)],
    [say("bans"), sayNumber(known.bans)],
    [say("pins"), known.pins.join(", ")],
    [say("announced"), known.announcement],
    [say("byChannel"), channels.map(([channel, count]) => `${channel || "–"} ${count}`).join(", ")],
    [say("plan"), known.plan],
    [say("timeZone"), set.time_zone],
    [say("created"), sayTime(known.created_ms)],
    [say("ref"), set.ref],
    [say("data"), Object.keys(set.data).length ? JSON.stringify(set.data) : ""],
  ]);
}

function members(app, known, again, signal) {
  const heads = [say("name"), say("id"), say("role"), say("joined"), ""];

  function row(member) {
    const isOwner = member.role === "owner";
    const ban = el(
      "button",
      {
        type: "button",
        "aria-label": `${say("ban")}: ${member.name || member.user}`,
        on: {
          click: async () => {
            if (await banDialog(app, known.group, known.name, member.user)) again();
          },
        },
      },
      say("ban"),
    );
    return [
      member.nickname ? `${member.name} (${member.nickname})` : member.name,
      el("a", { href: app.link("user", member.user) }, member.user),
      member.role,
      sayTime(member.joined_ms),
      isOwner || known.dissolved ? "" : ban,
    ];
  }

  return pages(app, signal, {
    first: known,
    show(page) {
      return table(say("members"), heads, page.listed.map(row));
    },
    ask: (after) => app.ask("operator_group", { group: known.group, after, tenant: app.tenant }),
  });
}

function acts(app, known, again) {
  const who = field(say("user"), { required: true, maxlength: 64 });
  const ban = async (event) => {
    event.preventDefault();
    const user = who.input.value.trim();
    if (user && (await banDialog(app, known.group, known.name, user))) again();
  };
  const dissolve = async () => {
    if (await dissolveDialog(app, known.group, known.name)) again();
  };
  return el(
    "div",
    { class: "acts" },
    el(
      "form",
      { class: "search", on: { submit: ban } },
      who.node,
      el("button", { type: "submit", class: "danger" }, `${say("ban")}…`),
    ),
    el("hr"),
    el("p", {}, say("dissolveHint")),
    el("button", { type: "button", class: "danger", on: { click: dissolve } }, `${say("dissolve")}…`),
  );
}
