/**
 * Elements out of plain calls. Text becomes text nodes, and nothing else ever becomes markup: what
 * people have written cannot run.
 */

import { sign } from "./signs.js";

/** What is set, rather than written as an attribute. */
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "readOnly"]);

/**
 * Makes an element.
 * @param {string} tag
 * @param {Record<string, any>} [given] attributes; `on...` are listeners; null, undefined and false
 *   are left out
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {any}
 */
export function el(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter(isThere));
  return element;
}

/**
 * @param {Node | string | null | undefined | false} child
 * @returns {child is Node | string}
 */
function isThere(child) {
  return child !== null && child !== undefined && child !== false;
}

/**
 * Says how many code points, as the server counts them, are more than a text may have.
 * @param {string} text
 * @param {number} most
 */
export function excess(text, most) {
  // Most texts are too short for that to be a question.
  if (text.length <= most) return 0;
  return Math.max(0, [...text.trim().normalize("NFC")].length - most);
}

/**
 * Lets a field of a form say when it has too much, in place of a `maxlength`, which would cut it
 * without a word.
 * @param {any} field
 * @param {number} most code points
 * @param {import("./words.js").Say} say
 */
export function limited(field, most, say) {
  field.addEventListener("input", () => {
    const n = excess(field.value, most);
    field.setCustomValidity(n > 0 ? say("too_long", { n }) : "");
  });
  return field;
}

/**
 * Makes a button with a picture sign and a name for those who do not see it.
 * @param {string} what see `signs.js`
 * @param {string} name
 * @param {(event: Event) => void} onclick
 * @param {Record<string, any>} [given]
 */
export function iconButton(what, name, onclick, given = {}) {
  return el("button", {
    type: "button", class: "icon", title: name, "aria-label": name, onclick, ...given,
  }, sign(what));
}

/**
 * Gives a URL if it leads to a page, and null for all that does something else.
 * @param {unknown} url
 * @param {string[]} [schemes]
 */
export function safeUrl(url, schemes = ["https:", "http:"]) {
  if (typeof url !== "string") return null;
  try {
    return schemes.includes(new URL(url).protocol) ? url : null;
  } catch {
    return null;
  }
}

/**
 * Gives a picture's URL if the page may load it.
 * @param {unknown} url
 */
export function safePicture(url) {
  return safeUrl(url, ["https:"]);
}

/**
 * Makes a link to somewhere else; text alone, where the URL leads nowhere.
 * @param {unknown} url
 * @param {Record<string, any>} given
 * @param {...(Node | string | null | false)} children
 */
export function outLink(url, given, ...children) {
  const href = safeUrl(url);
  if (href === null) return el("span", given, ...children);
  return el("a", { ...given, href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

/**
 * Makes a picture that has no name of its own. One that does not load goes, and `lost` is called.
 * @param {string} src
 * @param {() => void} [lost]
 */
export function picture(src, lost) {
  const image = el("img", { alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
  image.addEventListener("error", () => {
    image.remove();
    lost?.();
  });
  image.src = src;
  return image;
}

/** How many hues avatars have; the style sheet has them. */
const HUES = 8;

/**
 * Makes the round picture of somebody or something.
 * @param {string} key by which the hue is chosen
 * @param {string} name
 * @param {unknown} url
 */
export function avatar(key, name, url) {
  let sum = 0;
  for (const letter of key) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  const first = [...(name.trim() || key)][0] ?? "?";
  const box = el("span", { class: `avatar hue-${sum % HUES}`, "aria-hidden": "true" }, first);
  const src = safePicture(url);
  // It lies over the letter, which is seen again if it does not load.
  if (src !== null) box.append(picture(src));
  return box;
}

/**
 * Gives a region of the page, where it is seen and heard: what is outside of an open dialog is not.
 * @param {string} id
 */
function region(id) {
  const found = document.getElementById(id);
  if (found && found.parentElement !== front()) front().append(found);
  return found;
}

/** What can be seen, heard and focused now. */
function front() {
  return document.querySelector("dialog:modal") ?? document.body;
}

/**
 * Puts a text on the clipboard.
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there
 */
export async function putOnClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP there is none, and it may be refused; what is selected can be copied still.
    return copySelected(text);
  }
}

/** @param {string} text */
function copySelected(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const field = el("textarea", { class: "unseen", readOnly: true, tabindex: "-1", "aria-hidden": "true" });
  field.value = text;
  front().append(field);
  field.focus();
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return isDone;
}

/** Says something to those who listen to the page instead of seeing it. @param {string} words */
export function announce(words) {
  const live = region("live");
  if (live) live.textContent = words;
}

/** How many toasts are shown at a time. */
const TOASTS_MAX = 4;
const TOAST_MS = 8_000;

/**
 * Shows a line for a while, with buttons perhaps.
 * @param {string} words
 * @param {{label: string, act: () => void}[]} [actions]
 */
export function toast(words, actions = []) {
  const box = region("toasts");
  if (!box) return;
  const buttons = actions.map(({ label, act }) => el("button", {
    type: "button",
    onclick: () => {
      line.remove();
      act();
    },
  }, label));
  const line = el("div", { class: "toast" }, el("span", {}, words), ...buttons);
  while (box.children.length >= TOASTS_MAX) box.firstElementChild?.remove();
  box.append(line);
  announce(words);
  // One that asks something stays until it is answered or pushed out.
  if (actions.length === 0) setTimeout(() => line.remove(), TOAST_MS);
}

/**
 * Opens a dialog; `fill` gives what is in it, and is handed a function that closes it.
 * @param {string} title
 * @param {string} closeName
 * @param {(close: () => void) => (Node | string | null | false)[]} fill
 * @returns {any} the dialog
 */
export function dialog(title, closeName, fill) {
  const box = el("dialog", { "aria-label": title, class: "dialog" });
  const close = () => box.close();
  box.append(
    el("header", {}, el("h2", {}, title), iconButton("close", closeName, close)),
    el("div", { class: "body" }, ...fill(close)),
  );
  box.addEventListener("close", () => {
    for (const id of ["live", "toasts"]) region(id);
    box.remove();
  });
  box.addEventListener("click", (/** @type {Event} */ event) => {
    // The backdrop is the dialog itself.
    if (event.target === box) close();
  });
  document.body.append(box);
  box.showModal();
  return box;
}

/**
 * Lets the arrow keys, Home and End go through what is in a list.
 * @param {HTMLElement} list
 * @param {string} selector
 */
export function walkable(list, selector) {
  list.addEventListener("keydown", (event) => {
    const items = [.../** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll(selector))];
    const at = items.findIndex((item) => item.contains(document.activeElement));
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    const to = steps[event.key];
    if (to === undefined || at < 0 || !items[to]) return;
    event.preventDefault();
    items[to].focus();
  });
}
