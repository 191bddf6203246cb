// Elements out of plain values. Text becomes text nodes and nothing else: whatever a name or a message
// holds, it is shown and not run.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. In `props`, `on` has listeners by event; true sets an attribute without a value,
 * and false, null or undefined none.
 * @param {string} name
 * @param {Record<string, any>} props
 * @param {...any} children elements, texts, numbers, lists of these, or null for nothing
 * @returns {any}
 */
export function el(name, props = {}, ...children) {
  return fill(document.createElement(name), props, children);
}

/** Make an element of a drawing; see `el`. */
export function svg(name, props = {}, ...children) {
  return fill(document.createElementNS(SVG, name), props, children);
}

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value === true) {
      node.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(key, String(value));
    }
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      node.append(child instanceof Node ? child : String(child));
    }
  }
}

/** Put other children in the place of those that a node has. */
export function replace(node, ...children) {
  node.replaceChildren();
  add(node, children);
}

/** A text field with its label. */
export function field(label, props = {}) {
  const input = el(props.rows ? "textarea" : "input", { autocomplete: "off", ...props });
  return { input, node: el("label", { class: "field" }, el("span", {}, label), input) };
}

/** A choice with its label; `options` are [value, text]. */
export function choice(label, options) {
  const input = el("select", {}, options.map(([value, text]) => el("option", { value }, text)));
  return { input, node: el("label", { class: "field" }, el("span", {}, label), input) };
}

/** A table that scrolls by itself where a screen is narrow. */
export function table(caption, heads, rows) {
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", { class: "unseen" }, caption),
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell))))),
    ),
  );
}

/** Names and values, one under the other. */
export function facts(pairs) {
  return el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}
