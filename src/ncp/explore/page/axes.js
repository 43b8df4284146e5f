// The 27 numbers as axes: drag one to set and fix it, bound it, free it; below each what one step more would bring.
import { h, s, set, short, write } from "./dom.js";

const TOP = 36, HIGH = 110, NAME = 166, STRIP = 214, REACH = 26, HEIGHT = 246, LEAST = 25, EDGE = 4, GAP = 10;
const KINDS = { i: "channels of the stem", b: "blocks", n: "residual units", c: "channels", o: "channels of the output" };

/** What a dimension is, in words. */
export function describe(dimension) {
  const where = dimension.stage ? `, stage ${dimension.stage}` : "";
  return `${KINDS[dimension.kind]}${where}${dimension.branch ? `, resolution 1/${2 << dimension.branch}` : ""}`;
}

/** n3_2 as n₂: where names stand close, below the title of their stage. */
function brief({ name, kind, branch }) {
  return branch ? `${kind}${"₀₁₂₃₄"[branch]}` : kind === "b" ? kind : name;
}

/** All axes. Calls `change(index, value)`, `fix(index, on)`, `bound(index, low, high)`; `now()` is the state, which may be ahead. */
export class Axes {
  constructor(place, space, on) {
    Object.assign(this, { space, on, chosen: 0, axes: [] });
    this.svg = s("svg", { role: "group", "aria-label": "The 27 numbers of the code", height: HEIGHT });
    this.groups = [[0, 1], ...[1, 2, 3, 4].map((st) => this.where(st)), [space.dim - 1]];
    this.titles = ["Stem", "Stage 1", "Stage 2", "Stage 3", "Stage 4", "Out"].map((title) => ({
      text: s("text", { class: "strong", y: 14 }, title), line: s("line", { class: "lane", y1: 21, y2: 21 }),
    }));
    this.svg.append(...this.titles.flatMap(({ text, line }) => [text, line]));
    this.axes = space.dimensions.map((_, i) => this.axis(i));
    this.base = s("line", { class: "grid", x1: 0, y1: STRIP, y2: STRIP });
    this.svg.append(this.base);
    this.inspector = h("div", { className: "inspector" });
    this.legend = h("p", { className: "hint" });
    this.frame = h("div", { className: "scroll" }, this.svg);
    place.append(this.frame, this.inspector, this.legend);
    new ResizeObserver(() => this.place()).observe(this.frame);
    this.place();
  }

  /** Axes side by side over the whole width, no closer than fingers and names allow. */
  place() {
    const around = 2 * EDGE + GAP * (this.groups.length - 1);
    const width = Math.max(this.frame.clientWidth, LEAST * this.space.dim + around);
    if (this.width === width) return;
    this.width = width;
    set(this.svg, { width, viewBox: `0 0 ${width} ${HEIGHT}` });
    set(this.base, { x2: width });
    const pitch = (width - around) / this.space.dim;
    let x = EDGE;
    this.groups.forEach((group, g) => {
      set(this.titles[g].text, { x: x + 3 });
      set(this.titles[g].line, { x1: x + 3, x2: x + group.length * pitch - 3 });
      for (const i of group) {
        const { hit, line, open, was, knob, name, value, bar } = this.axes[i];
        const middle = x + pitch / 2;
        set(hit, { x: x + 1, width: pitch - 2 });
        for (const one of [line, open]) set(one, { x1: middle, x2: middle });
        set(was, { x1: middle - 9, x2: middle + 9 });
        set(knob, { cx: middle });
        for (const one of [name, value]) set(one, { x: middle });
        name.textContent = pitch < 34 ? brief(this.space.dimensions[i]) : this.space.labels[i];
        set(bar, { x: middle - 5 });
        x += pitch;
      }
      x += GAP;
    });
  }

  where(stage) {
    return this.space.dimensions.flatMap((d, i) => (d.stage === stage ? [i] : []));
  }

  y(i, value) {
    const { lower, upper } = this.space.dimensions[i];
    return TOP + HIGH - ((value - lower) / (upper - lower)) * HIGH;
  }

  axis(i) {
    const d = this.space.dimensions[i];
    const part = {
      hit: s("rect", { class: "hit", y: TOP - 12, height: HEIGHT - TOP + 10, rx: 6 }),
      line: s("line", { class: "line", y1: TOP, y2: TOP + HIGH }),
      open: s("line", { class: "open" }),
      was: s("line", { class: "was", visibility: "hidden" }),
      knob: s("circle", { class: "knob", r: 7 }),
      name: s("text", { y: NAME }, d.name),
      value: s("text", { class: "strong", y: NAME + 14 }),
      bar: s("rect", { class: "gain", width: 10, rx: 1.5, y: STRIP, height: 0 }),
    };
    const group = s("g", { class: "axis", role: "slider", tabindex: i ? -1 : 0, "aria-orientation": "vertical",
      "aria-valuemin": d.lower, "aria-valuemax": d.upper, "aria-label": `${d.name}, ${describe(d)}` }, Object.values(part));
    group.addEventListener("pointerdown", (e) => this.press(e, i));
    group.addEventListener("keydown", (e) => this.key(e, i));
    group.addEventListener("focus", () => this.choose(i));
    this.svg.append(group);
    return { ...part, group };
  }

  /** `still`: whether the network stands; what takes long to lay out waits for that. */
  show({ code, pin, fixed, bounds, still = true }) {
    Object.assign(this, { code, pin, fixed, bounds, still });
    this.axes.forEach((axis, i) => {
      const d = this.space.dimensions[i];
      const [low, high] = this.limits(i);
      const value = Math.round(code[i] / d.step) * d.step;
      set(axis.knob, { cy: this.y(i, code[i]).toFixed(1), r: i in fixed ? 6 : 7 });
      set(axis.open, { y1: this.y(i, high), y2: this.y(i, low) });
      set(axis.was, pin ? { visibility: "visible", y1: this.y(i, pin[i]), y2: this.y(i, pin[i]) } : { visibility: "hidden" });
      write(axis.value, String(value));
      const held = i in fixed;
      set(axis.group, { class: `axis${held ? " fixed" : ""}${this.chosen === i ? " chosen" : ""}`, "aria-valuenow": value,
        "aria-valuetext": `${value}${held ? ", fixed" : ""}${i in bounds ? `, between ${low} and ${high}` : ""}` });
    });
    if (still) this.inspect();
  }

  limits(i) {
    const d = this.space.dimensions[i];
    if (i in this.fixed) return [this.fixed[i], this.fixed[i]];
    return this.bounds[i] ?? [d.lower, d.upper];
  }

  /** What a step brings: points of `words` per 100 M multiply-adds; null where there is no step. */
  showGains(gains, words) {
    this.gains = gains;
    const sorted = gains.filter(Boolean).map((g) => Math.abs(g.rate)).sort((a, b) => a - b);
    const most = sorted.length ? Math.max(sorted[Math.floor(0.9 * (sorted.length - 1))], 1e-6) : 1;
    this.axes.forEach((axis, i) => {
      const gain = gains[i];
      const height = gain ? Math.min(1, Math.abs(gain.rate) / most) * REACH : 0;
      set(axis.bar, {
        class: `${gain && gain.rate < 0 ? "loss" : "gain"}${gain && !gain.allowed ? " off" : ""}`,
        y: (gain && gain.rate < 0 ? STRIP : STRIP - height).toFixed(1), height: Math.max(height, gain ? 1 : 0).toFixed(1),
      });
    });
    const text = `Bars: what one unit or eight channels more would bring in ${words}, per 100 M multiply-adds` +
      " (up gains, down loses). Drag a knob, or use the arrow keys, to set and fix a number; F frees it.";
    write(this.legend, text);
    this.inspect();
  }

  choose(i) {
    if (this.chosen === i) return;
    this.axes[this.chosen].group.setAttribute("tabindex", -1);
    this.chosen = i;
    this.axes[i].group.setAttribute("tabindex", 0);
    if (this.code) this.show(this);
  }

  press(event, i) {
    event.preventDefault();
    this.choose(i);
    const { group } = this.axes[i];
    group.focus({ preventScroll: true });
    const d = this.space.dimensions[i];
    const box = this.svg.getBoundingClientRect();
    const scale = HEIGHT / box.height;
    const read = (e) => {
      const share = (TOP + HIGH - (e.clientY - box.y) * scale) / HIGH;
      const value = d.lower + share * (d.upper - d.lower);
      return Math.min(d.upper, Math.max(d.lower, Math.round(value / d.step) * d.step));
    };
    if ((event.clientY - box.y) * scale > NAME - 12) return; // a press on the name or the bar only chooses
    let last = null;
    const move = (e) => {
      const value = read(e);
      if (value !== last) this.on.change(i, (last = value));
    };
    group.setPointerCapture(event.pointerId);
    move(event);
    const end = () => {
      group.removeEventListener("pointermove", move);
      group.removeEventListener("pointerup", end);
      group.removeEventListener("pointercancel", end);
    };
    group.addEventListener("pointermove", move);
    group.addEventListener("pointerup", end);
    group.addEventListener("pointercancel", end);
  }

  key(event, i) {
    const d = this.space.dimensions[i];
    const { code, fixed, bounds } = this.on.now();
    const [low, high] = bounds[i] ?? [d.lower, d.upper];
    const value = code[i];
    const to = { ArrowUp: value + d.step, ArrowDown: value - d.step, PageUp: value + 4 * d.step, PageDown: value - 4 * d.step, Home: d.lower, End: d.upper }[event.key];
    if (to !== undefined) this.on.change(i, Math.min(d.upper, Math.max(d.lower, to)));
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const next = Math.min(this.space.dim - 1, Math.max(0, i + (event.key === "ArrowRight" ? 1 : -1)));
      this.choose(next);
      this.axes[next].group.focus();
    } else if (event.key === "f" || event.key === "F") this.on.fix(i, !(i in fixed));
    else if (event.key === "[") this.on.bound(i, value, Math.max(high, value));
    else if (event.key === "]") this.on.bound(i, Math.min(low, value), value);
    else return;
    event.preventDefault();
  }

  /** The chosen number with ordinary controls: for those who would rather not drag, and for exact bounds. */
  inspect() {
    const i = this.chosen, d = this.space.dimensions[i];
    const [low, high] = this.bounds[i] ?? [d.lower, d.upper];
    const gain = this.gains?.[i];
    const key = [i, this.code?.[i], low, high, i in this.fixed, gain?.text].join();
    if (!this.code || this.shown === key) return;
    this.shown = key;
    const values = [];
    for (let v = d.lower; v <= d.upper; v += d.step) values.push(v);
    const choice = (label, now, allowed, act) => h("label", null, label, h("select", { onchange: (e) => act(Number(e.target.value)) },
      values.filter(allowed).map((v) => h("option", { value: v, selected: v === now }, String(v)))));
    const value = Math.round(this.code[i] / d.step) * d.step;
    const focused = [...this.inspector.querySelectorAll("select, input")].indexOf(document.activeElement);
    this.inspector.replaceChildren(
      h("b", null, `${d.name}: ${describe(d)}`),
      choice("value", value, () => true, (v) => this.on.change(i, v)),
      choice("at least", low, (v) => v <= high, (v) => this.on.bound(i, v, high)),
      choice("at most", high, (v) => v >= low, (v) => this.on.bound(i, low, v)),
      h("label", null, h("input", { type: "checkbox", checked: i in this.fixed, onchange: (e) => this.on.fix(i, e.target.checked) }), "fixed"),
      gain ? h("span", { className: "hint" }, gain.text) : "",
    );
    if (focused >= 0) this.inspector.querySelectorAll("select, input")[focused]?.focus();
  }
}

/** Rates and words out of the worker's marginals, for one metric (its place among the objectives). */
export function gainsOf(space, marginals, place, sign, name) {
  return marginals.map(({ up }, i) => {
    if (!up || !up.macs) return null;
    const points = up.metrics[place];
    const d = space.dimensions[i];
    const what = d.step > 1 ? `${d.step} channels more` : "one more";
    const change = `${points >= 0 ? "+" : "−"}${Math.abs(points).toFixed(2)}`;
    return { rate: (sign * points * 1e8) / up.macs, allowed: up.allowed, text: `${what}: ${change} ${name}, +${short(up.macs)} multiply-adds` };
  });
}
