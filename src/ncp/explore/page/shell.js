// What the page says beside its cards: a tip at the pointer, a toast at the bottom, the status above the network.
import { announce, h, write } from "./dom.js";

const byId = (id) => document.getElementById(id);

/** A title and [name, value] lines beside a place in the window; `spoken` for those who came there by keys. */
export function showTip(title, lines, { x, y }, spoken) {
  const tip = byId("tip");
  tip.replaceChildren(h("b", null, title), h("dl", null, lines.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)])));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 18}px`;
  if (spoken) announce(`${title}. ${lines.map((line) => line.join(" ")).join(", ")}`);
}

export function hideTip() {
  byId("tip").hidden = true;
}

let timer = 0;
/** A line that goes away by itself. */
export function toast(text) {
  const element = byId("toast");
  element.textContent = text;
  element.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { element.hidden = true; }, 4000);
}

/** What the search is doing, or what is wrong; `quiet` for what changes too often to be read out. */
export function status(text, bad = false, quiet = false) {
  byId("status").setAttribute("aria-live", quiet ? "off" : "polite");
  write(byId("status"), text);
  byId("status").classList.toggle("bad", bad);
}
