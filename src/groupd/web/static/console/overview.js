// What the server does now, and did in the last ten minutes.

import { Chart } from "./chart.js";
import { el, replace, table } from "./dom.js";
import { say, sayBytes, sayError, sayMs, sayNumber, saySpan } from "./words.js";

const EVERY_MS = 1_000;
const SAMPLES_MAX = 600;

/** Show it on a page until `signal` aborts. */
export function overview(page, app, signal) {
  const tiles = el("dl", { class: "tiles" });
  const refusals = el("div");
  const trouble = el("p", { class: "notice", hidden: true });
  const charts = [
    new Chart(say("postsPerS"), (sample) => sample.posts_per_s, sayNumber),
    new Chart(say("deliveriesPerS"), (sample) => sample.deliveries_per_s, sayNumber),
    new Chart(say("p99"), (sample) => sample.post_p99_ms, sayMs),
    new Chart(say("backlog"), (sample) => sample.backlog_bytes, sayBytes),
  ];
  replace(
    page,
    el("h1", { tabindex: "-1" }, say("overview")),
    trouble,
    tiles,
    el("div", { class: "charts" }, charts.map((chart) => chart.node)),
    el("h2", {}, say("refusals")),
    refusals,
  );
  let samples = [];
  let startedMs = 0;

  async function look() {
    const afterMs = samples.length ? samples[samples.length - 1].time_ms : 0;
    const figures = await app.ask("operator_figures", { after_ms: afterMs });
    if (signal.aborted) return;
    // A server that was started again has another past.
    if (figures.started_ms !== startedMs) samples = [];
    startedMs = figures.started_ms;
    samples = [...samples, ...figures.samples].slice(-SAMPLES_MAX);
    replace(tiles, shown(figures).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    for (const chart of charts) chart.draw(samples, figures.time_ms);
    const codes = Object.entries(figures.refused);
    replace(
      refusals,
      codes.length
        ? table(say("refusals"), [say("code"), say("count")], codes.map(([code, n]) => [code, sayNumber(n)]))
        : el("p", {}, say("noRefusals")),
    );
  }

  async function go() {
    while (!signal.aborted) {
      try {
        // Nobody looks on from a tab in the background.
        if (!document.hidden) await look();
        trouble.hidden = true;
      } catch (error) {
        replace(trouble, sayError(error));
        trouble.hidden = false;
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  go();
}

function shown(figures) {
  return [
    [say("connections"), sayNumber(figures.connections)],
    [say("online"), sayNumber(figures.users)],
    [say("awake"), sayNumber(figures.awake)],
    [say("postsPerS"), sayNumber(figures.posts_per_s)],
    [say("deliveriesPerS"), sayNumber(figures.deliveries_per_s)],
    [say("p50"), sayMs(figures.post_p50_ms)],
    [say("p99"), sayMs(figures.post_p99_ms)],
    [say("backlog"), sayBytes(figures.backlog_bytes)],
    [say("store"), sayBytes(figures.store_bytes)],
    [say("rounds"), sayNumber(figures.rounds_per_s)],
    [say("writes"), figures.writes_per_round === undefined ? "–" : sayNumber(figures.writes_per_round)],
    [say("posts"), sayNumber(figures.posts)],
    [say("deliveries"), sayNumber(figures.deliveries)],
    [say("uptime"), saySpan(figures.time_ms - figures.started_ms)],
  ];
}
