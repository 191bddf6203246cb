// A line over the last ten minutes, drawn as SVG: for the eye, for the keyboard, and in words.

import { el, replace, svg } from "./dom.js";
import { say, sayClock } from "./words.js";

const WIDTH = 600;
const HEIGHT = 120;
const SPAN_MS = 600_000;
const GAP_MS = 5_000; // Between two points: then nothing is known in between, and nothing drawn.

/** Round a scale up to 1, 2 or 5 times a power of ten. */
export function niceMax(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/**
 * Give the pieces of a line, as the `d` of paths: one for the line, one for the area below it.
 * @param {{timeMs: number, value: number | null}[]} points in rising time
 */
export function paths(points, untilMs, max) {
  const x = (timeMs) => ((timeMs - untilMs + SPAN_MS) / SPAN_MS) * WIDTH;
  const y = (value) => HEIGHT - (Math.min(value, max) / max) * HEIGHT;
  const pieces = [];
  let last = null;
  for (const point of points) {
    if (point.value === null || point.timeMs < untilMs - SPAN_MS) {
      last = null;
      continue;
    }
    if (last === null || point.timeMs - last.timeMs > GAP_MS) pieces.push([]);
    pieces[pieces.length - 1].push([x(point.timeMs).toFixed(1), y(point.value).toFixed(1)]);
    last = point;
  }
  const line = pieces.map((piece) => `M${piece.map((pair) => pair.join(" ")).join("L")}`).join("");
  const area = pieces
    .map((piece) => {
      const over = piece.map((pair) => pair.join(" ")).join("L");
      return `M${piece[0][0]} ${HEIGHT}L${over}L${piece[piece.length - 1][0]} ${HEIGHT}Z`;
    })
    .join("");
  return { line, area };
}

/** One chart. `read` gives the value of a sample, `show` says it. */
export class Chart {
  constructor(title, read, show) {
    this.title = title;
    this.read = read;
    this.show = show;
    this._points = [];
    this._untilMs = 0;
    this._marked = null; // The place of the point that is pointed at; null for the newest.
    this._area = svg("path", { class: "area" });
    this._line = svg("path", { class: "line", "vector-effect": "non-scaling-stroke" });
    this._mark = svg("line", {
      class: "mark", y1: 0, y2: HEIGHT, x1: -9, x2: -9, "vector-effect": "non-scaling-stroke",
    });
    this._svg = svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        tabindex: "0",
        on: {
          keydown: (event) => this._onKey(event),
          pointermove: (event) => this._onPointer(event),
          pointerleave: () => this._point(null),
          blur: () => this._point(null),
        },
      },
      this._area,
      this._line,
      this._mark,
    );
    this._max = el("span", { class: "max", "aria-hidden": "true" });
    this._said = el("output", { class: "said" });
    this.node = el(
      "figure",
      { class: "chart" },
      el("figcaption", {}, el("span", {}, title), this._said),
      el("div", { class: "plot" }, this._svg, this._max),
    );
  }

  /** Draw samples, the oldest first. */
  draw(samples, untilMs) {
    this._untilMs = untilMs;
    this._points = samples.map((sample) => ({
      timeMs: sample.time_ms,
      value: this.read(sample) ?? null,
    }));
    const values = this._points.map((point) => point.value ?? 0);
    const highest = Math.max(0, ...values);
    const max = niceMax(highest);
    const { line, area } = paths(this._points, untilMs, max);
    this._line.setAttribute("d", line);
    this._area.setAttribute("d", area);
    replace(this._max, this.show(max));
    const newest = values.length ? this.show(values[values.length - 1]) : say("noData");
    this._svg.setAttribute(
      "aria-label",
      `${this.title}, ${say("lastMinutes")}: ${say("now")} ${newest}, ` +
        `${say("highest")} ${this.show(highest)}`,
    );
    this._tell();
  }

  _tell() {
    const place = this._marked === null ? this._points.length - 1 : this._marked;
    const point = this._points[Math.min(place, this._points.length - 1)];
    if (point === undefined) {
      replace(this._said, say("noData"));
      return;
    }
    const value = point.value === null ? "–" : this.show(point.value);
    replace(this._said, this._marked === null ? value : `${sayClock(point.timeMs)} ${value}`);
    const x = ((point.timeMs - this._untilMs + SPAN_MS) / SPAN_MS) * WIDTH;
    for (const end of ["x1", "x2"]) this._mark.setAttribute(end, this._marked === null ? -9 : x);
  }

  _point(place) {
    this._marked = place;
    this._tell();
  }

  _onPointer(event) {
    const box = this._svg.getBoundingClientRect();
    const atMs = this._untilMs - SPAN_MS + ((event.clientX - box.left) / box.width) * SPAN_MS;
    const place = this._points.findIndex((point) => point.timeMs >= atMs);
    this._point(place < 0 ? null : place);
  }

  _onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60 }[event.key];
    if (event.key === "Escape") this._point(null);
    if (step === undefined || this._points.length === 0) return;
    event.preventDefault();
    const last = this._points.length - 1;
    this._point(Math.max(0, Math.min(last, (this._marked ?? last) + step)));
  }
}
