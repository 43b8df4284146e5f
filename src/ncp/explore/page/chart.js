// The front: the best networks of every cost, the present one among them, and whatever files were dropped onto the page.
import { h, s, set, short, write } from "./dom.js";
import { split } from "./state.js";

const HEIGHT = 226, LEFT = 30, RIGHT = 8, TOP = 10, BOTTOM = 38;

/** A chart of one metric against multiply-adds (logarithmic). `take` is called with the code of a point that was chosen. */
export class Chart {
  constructor(place, settings, { take, choose, tip, untip }) {
    Object.assign(this, { take, tip, untip, cursor: -1 });
    const metrics = Object.entries(settings).flatMap(([setting, { metrics }]) => Object.keys(metrics).map((metric) => [setting, metric]));
    this.select = h("select", { id: "axis-choice", onchange: () => choose(this.select.value) },
      metrics.map(([setting, metric]) => h("option", { value: `${setting}.${metric}` }, `${setting} ${metric}`)));
    this.svg = s("svg", { height: HEIGHT, role: "group", tabindex: 0 });
    this.svg.addEventListener("keydown", (e) => this.key(e));
    this.svg.addEventListener("pointerover", (e) => this.over(e));
    this.svg.addEventListener("pointerout", () => this.untip());
    this.svg.addEventListener("blur", () => { this.cursor = -1; this.untip(); this.draw(); });
    this.svg.addEventListener("click", (e) => e.target.point && this.take(e.target.point));
    this.here = s("circle", { class: "here", r: 6.5, "pointer-events": "none" });
    this.note = h("p", { className: "hint" });
    this.width = 300;
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      if (this.given) this.draw();
    }).observe(place);
    place.append(h("div", { className: "row" }, h("label", { htmlFor: "axis-choice" }, "Show"), this.select), this.svg, this.note);
  }

  /** `points`: of the front; `files`: from dropped files; `here` and `pin`: {code, macs, metrics}; `macs`: a limit. */
  show(given) {
    this.given = given;
    this.select.value = given.metric;
    this.draw();
  }

  draw() {
    const { metric, points, files, here, pin, macs, busy } = this.given;
    const [setting, name] = split(metric);
    const value = (p) => p.measured?.[metric] ?? p.metrics[setting][name].mean;
    const std = (p) => p.metrics[setting][name].std;
    const all = [...(points ?? []), ...files, ...(here ? [here] : []), ...(pin ? [pin] : [])];
    if (!all.length) return;
    const { width } = this;
    const xs = all.map((p) => Math.log10(p.macs)), ys = all.map(value);
    const [x0, x1] = padded(Math.min(...xs), Math.max(...xs), 0.3);
    const [y0, y1] = padded(Math.min(...ys), Math.max(...ys), 2);
    const x = (m) => LEFT + ((Math.log10(m) - x0) / (x1 - x0)) * (width - LEFT - RIGHT);
    const y = (v) => HEIGHT - BOTTOM - ((v - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
    if (here) set(this.here, { cx: x(here.macs).toFixed(1), cy: y(value(here)).toFixed(1) });
    const told = [metric, points, busy, this.given.source, !here, pin?.code.join(), macs, width, this.cursor, x0, x1, y0, y1];
    if (this.told && told.every((v, i) => v === this.told[i])) return; // the present network alone has moved
    this.told = told;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const shapes = [];
    for (const tick of linearTicks(y0, y1)) {
      shapes.push(s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
        s("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
    }
    for (const tick of logTicks(10 ** x0, 10 ** x1)) {
      shapes.push(s("line", { class: "grid", x1: x(tick), x2: x(tick), y1: TOP, y2: HEIGHT - BOTTOM }),
        s("text", { x: x(tick), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, short(tick).replace(/\.0+(?=\D)/, "")));
    }
    shapes.push(s("text", { x: (width + LEFT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "multiply-adds"));
    if (macs && Math.log10(macs) > x0 && Math.log10(macs) < x1) {
      shapes.push(s("line", { class: "limit-line", x1: x(macs), x2: x(macs), y1: TOP, y2: HEIGHT - BOTTOM }));
    }
    const marks = [];
    const mark = (shape, point, words) => {
      shape.point = { ...point, words };
      shapes.push(shape);
      marks.push(shape);
    };
    if (points?.length > 1) {
      const line = (v) => points.map((p) => `${x(p.macs).toFixed(1)} ${y(v(p)).toFixed(1)}`);
      const edge = [...line((p) => Math.min(y1, value(p) + std(p))), ...line((p) => Math.max(y0, value(p) - std(p))).reverse()];
      shapes.push(s("path", { class: "band", d: `M${edge.join("L")}Z` }));
      shapes.push(s("path", { class: "frontier", d: `M${line(value).join("L")}` }));
    }
    // some thousand diamonds are made anew only where they move
    const key = [metric, x0, x1, y0, y1, width].join();
    if (this.diamonds?.key !== key || this.diamonds.files !== this.given.source) {
      const made = files.map((p) => {
        const [cx, cy] = [x(p.macs), y(value(p))];
        const shape = s("path", { class: "file", d: `M${cx - 4} ${cy}L${cx} ${cy - 4}L${cx + 4} ${cy}L${cx} ${cy + 4}Z` });
        shape.point = { ...p, words: p.name ?? "from a file" };
        return shape;
      });
      this.diamonds = { key, files: this.given.source, made, group: s("g", null, made) };
    }
    shapes.push(this.diamonds.group);
    marks.push(...this.diamonds.made);
    for (const p of points ?? []) mark(s("circle", { class: "choice", cx: x(p.macs), cy: y(value(p)), r: 4.5 }), p, "on the front");
    if (pin) shapes.push(s("circle", { class: "pin-mark", cx: x(pin.macs), cy: y(value(pin)), r: 8 }));
    if (here) shapes.push(this.here);
    this.marks = marks.sort((a, b) => a.point.macs - b.point.macs);
    if (this.cursor >= 0) marks[this.cursor]?.classList.add("lit");
    this.svg.replaceChildren(...shapes);
    const words = busy ? "The front is being searched …" : points ? "Click a point to take that network." : "";
    write(this.note, words);
    const label = `${metric} against multiply-adds, ${marks.length} networks. Arrow keys go through them, Enter takes one.`;
    this.svg.setAttribute("aria-label", label);
  }

  over(event) {
    const { point } = event.target;
    if (point) this.tip(this.words(point), { x: event.clientX, y: event.clientY });
  }

  words(point) {
    const [setting, name] = split(this.given.metric);
    const { mean, std } = point.metrics[setting][name];
    const measured = point.measured?.[this.given.metric];
    return [point.words, [...(measured === undefined ? [] : [["measured", measured.toFixed(1)]]),
      [`${setting} ${name}`, `${mean.toFixed(1)} ± ${std.toFixed(1)}`], ["multiply-adds", short(point.macs)],
      ["parameters", short(point.params)]]];
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (event.key === "Enter" && this.cursor >= 0) this.take(this.marks[this.cursor].point);
    if (!step || !this.marks?.length) return;
    event.preventDefault();
    const { macs } = this.given.here ?? { macs: 0 };
    if (this.cursor < 0) this.cursor = Math.max(0, this.marks.findIndex((m) => m.point.macs >= macs) - (step > 0 ? 1 : 0));
    this.cursor = Math.min(this.marks.length - 1, Math.max(0, this.cursor + step));
    this.draw();
    const mark = this.marks[this.cursor];
    const box = mark.getBoundingClientRect();
    this.tip(this.words(mark.point), { x: box.x, y: box.y }, true);
  }
}

function padded(low, high, least) {
  const room = Math.max(0.06 * (high - low), (least - (high - low)) / 2);
  return [low - room, high + room];
}

function linearTicks(low, high) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((v) => (high - low) / v <= 6) ?? 50;
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) out.push(Number(v.toFixed(6)));
  return out;
}

function logTicks(low, high) {
  const factors = high / low > 30 ? [1, 3] : [1, 2, 5];
  const out = [];
  for (let e = 6; e < 12; e++) for (const f of factors) if (f * 10 ** e >= low && f * 10 ** e <= high) out.push(f * 10 ** e);
  return out;
}
