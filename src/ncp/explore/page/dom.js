// Elements in few words, and how numbers are written.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    // as attributes: not every browser knows these as properties
    if (/^aria[A-Z]/.test(name)) element.setAttribute(`aria-${name.slice(4).toLowerCase()}`, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !(element instanceof SVGElement) && name !== "list" && name !== "role") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element with attributes (or properties, or `onclick` and such) and children. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element likewise. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Sets attributes of an SVG element that differ from what was set before. */
export function set(element, attributes) {
  const known = (element.known ??= {});
  for (const name in attributes) {
    if (known[name] !== attributes[name]) element.setAttribute(name, (known[name] = attributes[name]));
  }
}

/** Sets the text of an element that no one else writes, if it is another one: even the same would be laid out anew. */
export function write(element, text) {
  if (element.written !== text) element.textContent = element.written = text;
}

const UNITS = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];

/** 1.23 G, 45.6 M, ... with three digits. */
export function short(value, unit = "") {
  const [factor, letter] = UNITS.find(([f]) => Math.abs(value) >= f * 0.9995) ?? UNITS[3];
  const text = digits(value / factor, 3);
  return letter + unit ? `${text}\u202f${letter}${unit}` : text;
}

/** A number with so many digits, never as a power of ten. */
export function digits(value, count) {
  if (value === 0) return "0";
  const places = Math.max(0, count - 1 - Math.floor(Math.log10(Math.abs(value)) + 1e-9));
  return value.toFixed(Math.min(places, 6));
}

/** Bytes as people read them. */
export function bytes(value) {
  if (value >= 2 ** 20) return `${digits(value / 2 ** 20, 3)}\u202fMiB`;
  return value >= 1024 ? `${digits(value / 1024, 3)}\u202fKiB` : `${value}\u202fB`;
}

export function percent(share) {
  return share >= 0.0995 ? `${Math.round(100 * share)}\u202f%` : `${(100 * share).toFixed(1)}\u202f%`;
}

/** Says something to screen readers. */
export function announce(text) {
  document.getElementById("said").textContent = text;
}

/** Copies text to the clipboard, also where the page was opened from a disk. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { value: text, className: "hidden" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Lets the user save a text as a file. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
