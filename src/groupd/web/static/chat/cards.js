/** Cards: a piece of something else, shown as a link, a picture or a few lines. */

import { el, outLink, picture, safePicture } from "./dom.js";
import { sign } from "./signs.js";

/**
 * Makes what shows a card. One whose type is not known is a link.
 * @param {any} card
 * @param {{say: import("./words.js").Say, language: string}} page
 * @returns {HTMLElement}
 */
export function cardView(card, page) {
  const make = Object.hasOwn(TYPES, card?.type) ? TYPES[card.type] : other;
  return make(card ?? {}, page);
}

/**
 * Says in one line what a card is.
 * @param {any} card
 * @param {import("./words.js").Say} say
 */
export function cardWords(card, say) {
  return `[${kindOf(card, say)}] ${titleOf(card)}`;
}

/**
 * @param {any} card
 * @param {import("./words.js").Say} say
 */
function kindOf(card, say) {
  if (!Object.hasOwn(TYPES, card?.type)) return say("card");
  return say(isOver(card) ? "live_over" : card.type);
}

/** @param {any} card */
function isOver(card) {
  return card.type === "live" && card.state === "ended";
}

/** @param {any} card */
function titleOf(card) {
  for (const field of ["title", "name", "url", "type"]) {
    if (typeof card?.[field] === "string") return card[field];
  }
  return "";
}

/** @typedef {{say: import("./words.js").Say, language: string}} Page */

/**
 * The frame that most cards share.
 * @param {any} card
 * @param {Page} page
 * @param {{cover?: unknown, lines?: (string | null)[], mark: string | Node}} how
 */
function frame(card, { say }, { cover, lines = [], mark }) {
  const src = safePicture(cover);
  const type = Object.hasOwn(TYPES, card.type) ? card.type : "other";
  return outLink(
    card.url, { class: `card card-${type}${isOver(card) ? " over" : ""}` },
    src && picture(src),
    el("span", { class: "card-text" },
      el("span", { class: "card-kind" }, el("span", { "aria-hidden": "true" }, mark, " "), kindOf(card, say)),
      el("strong", { dir: "auto" }, titleOf(card)),
      ...lines.filter(Boolean).map((line) => el("span", { class: "card-line", dir: "auto" }, line))),
  );
}

/**
 * @param {unknown} amount in the minor units of a currency
 * @param {unknown} currency
 * @param {string} language
 */
export function money(amount, currency, language) {
  if (!Number.isSafeInteger(amount) || typeof currency !== "string") return "";
  try {
    const format = new Intl.NumberFormat(language, { style: "currency", currency });
    const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
    return format.format(/** @type {number} */ (amount) / 10 ** digits);
  } catch {
    return "";
  }
}

/** @param {unknown} ms @param {string} language */
export function moment(ms, language) {
  if (!Number.isSafeInteger(ms)) return "";
  const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  try {
    return format.format(/** @type {number} */ (ms));
  } catch {
    return "";
  }
}

/** @param {unknown} ms */
export function length(ms) {
  if (!Number.isSafeInteger(ms)) return "";
  const seconds = Math.round(/** @type {number} */ (ms) / 1_000);
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, at) => (at ? String(part).padStart(2, "0") : part)).join(":");
}

/** @param {unknown} bytes */
export function size(bytes) {
  if (!Number.isSafeInteger(bytes)) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let left = /** @type {number} */ (bytes);
  let unit = 0;
  while (left >= 1_000 && unit < units.length - 1) {
    left /= 1_000;
    unit += 1;
  }
  return `${unit ? left.toFixed(1) : left} ${units[unit]}`;
}

/**
 * Says when something begins or is over, where that is told.
 * @param {string} key
 * @param {unknown} ms
 * @param {Page} page
 */
function when(key, ms, page) {
  const time = moment(ms, page.language);
  return time ? page.say(key, { time }) : null;
}

/** @param {any} card @param {Page} page */
function other(card, page) {
  return frame(card, page, { mark: "◇" });
}

/** @type {Record<string, (card: any, page: Page) => HTMLElement>} */
const TYPES = {
  video: (card, page) => frame(card, page, {
    cover: card.cover, mark: "▶", lines: [length(card.duration_ms)],
  }),
  live: (card, page) => frame(card, page, {
    cover: card.cover,
    mark: isOver(card) ? "○" : "●",
    lines: [card.host ?? null, isOver(card) ? when("ended_at", card.ended_ms, page)
      : when("starts", card.starts_at_ms, page)],
  }),
  goods: (card, page) => {
    const { language } = page;
    const box = frame(card, page, { cover: card.picture, mark: "◈" });
    const was = money(card.original_price, card.currency, language);
    box.querySelector(".card-text")?.append(el("span", { class: "price" },
      money(card.price, card.currency, language), was && el("s", {}, was)));
    return box;
  },
  link: (card, page) => frame(card, page, {
    cover: card.picture, mark: "↗", lines: [card.description ?? null],
  }),
  image: (card, page) => {
    const src = safePicture(card.thumbnail) ?? safePicture(card.url);
    const words = frame(card, page, { mark: "▨" });
    if (src === null) return words;
    const box = outLink(card.url, { class: "card card-image", "aria-label": page.say("image") }, picture(src, () => {
      // Of a picture that does not load, its words are shown, and they are its name.
      box.removeAttribute("aria-label");
      box.append(...words.children);
    }));
    return box;
  },
  file: (card, page) => frame(card, page, {
    mark: "▤", lines: [[size(card.size_bytes), card.media_type].filter(Boolean).join(" · ")],
  }),
  place: (card, page) => {
    const { lat, lon } = card;
    const isPlace = Number.isFinite(lat) && Number.isFinite(lon);
    const url = isPlace ? `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=16/${lat}/${lon}` : null;
    return frame({ ...card, url }, page, { mark: sign("place"), lines: [card.address ?? null] });
  },
};
