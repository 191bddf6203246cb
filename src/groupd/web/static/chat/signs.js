/** The signs on buttons: lines on a square of 24, drawn here, so that no font need have them. */

/** @type {Readonly<Record<string, string>>} */
const LINES = Object.freeze({
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 21 21",
  plus: "M12 4v16M4 12h16",
  back: "M15 4 7 12l8 8",
  close: "M5 5l14 14M19 5 5 19",
  pin: "M9 3h6l-1 6 4 4H6l4-4zM12 13v8",
  people: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-7 7-7s7 3 7 7M16 3.5a4 4 0 0 1 0 7M18 14.5c2.400 1 4 3.300 4 6.500",
  share: "M12 15V3M7 8l5-5 5 5M5 13v7h14v-7",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v6M12 7v.5",
  requests: "M10 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM3 21c0-4 3-7 7-7s7 3 7 7M19 6v6M16 9h6",
  reply: "M9 5 3 11l6 6M3 11h11a7 7 0 0 1 7 7v1",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  letter: "M3 6h18v12H3zM3 7l9 7 9-7",
  place: "M12 21s7-6.500 7-12a7 7 0 0 0-14 0c0 5.500 7 12 7 12zM12 11.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z",
});

const SVG = "http://www.w3.org/2000/svg";

/**
 * Draws a sign; nobody hears of it.
 * @param {string} name
 */
export function sign(name) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("class", "sign");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", LINES[name] ?? "");
  picture.append(path);
  return picture;
}
