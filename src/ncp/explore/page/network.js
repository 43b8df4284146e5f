// The network as four lanes of resolution: a box a residual unit, as high as it has channels, as dark as its share of the cost.
import { bytes, percent, s, set, short } from "./dom.js";
import { branchSizes } from "./space.js";

const LANE = 72, TOP = 22, LEFT = 46, BOX = 62, GAP = 1.5, FUSION = 1.25, LEAST_UNITS = 32, WIDEST = 22;
export const COLOURS = { macs: "multiply-adds", params: "parameters", maps: "maps written" };

/** The parts that a person sees: stem, each branch of each stage (with the fusions into it), and head. */
export function parts(space, code) {
  const sizes = branchSizes([128, 128]);
  const of = (name, title, layers, shape) => {
    const sum = (value) => layers.reduce((total, layer) => total + value(layer), 0);
    return {
      name, title, shape, macs: sum((l) => l.macs), params: sum((l) => l.params),
      maps: sum((l) => l.times * l.outputs * l.pixelsOut), fused: sum((l) => (l.part === "fusion" ? l.macs : 0)),
    };
  };
  const all = space.layers(code);
  const map = (channels, size) => `${Math.round(channels)} × ${size[0]} × ${size[1]}`;
  const out = [0, 1].map((i) => of(`i${i + 1}`, `Stem, convolution ${i + 1}`,
    all.filter((l) => l.part === "stem" && l.branch === i), map(code[i], sizes[i])));
  space.stages(code).forEach((stage, st) => stage.channels.forEach((c, r) => {
    const [b, n] = [Math.round(stage.blocks), Math.round(stage.units[r])];
    const layers = all.filter((l) => ["fusion", "branch"].includes(l.part) && l.stage === st && l.branch === r);
    const words = `${b} block${b > 1 ? "s" : ""} of ${n} unit${n > 1 ? "s" : ""}`;
    out.push({ ...of(`${st}.${r}`, `Stage ${st + 1}, resolution 1/${4 << r}`, layers, map(c, sizes[r + 1])), words });
  }));
  out.push(of("join", "All branches joined", all.filter((l) => l.part === "head" && l.branch === -1), map(code[space.dim - 1], sizes[1])));
  out.push(of("classifier", "Classifier, 19 classes per pixel", all.filter((l) => l.branch === -2), map(19, sizes[1])));
  const totals = { macs: 0, params: 0, maps: 0 };
  for (const part of out) for (const key in totals) totals[key] += part[key];
  for (const part of out) part.share = Object.fromEntries(Object.keys(totals).map((k) => [k, part[k] / totals[k]]));
  return out;
}

/** What is said of a part, as [words, value] lines. */
export function told(part) {
  return [
    ["map", part.shape],
    ["multiply-adds", `${short(part.macs)} (${percent(part.share.macs)})`],
    ...(part.fused && part.fused < part.macs ? [["of these in fusions", percent(part.fused / part.macs)]] : []),
    ["parameters", `${short(part.params)} (${percent(part.share.params)})`],
    ["weights, fp32", bytes(4 * part.params)],
    ["maps written, fp32", `${bytes(4 * part.maps)} (${percent(part.share.maps)})`],
  ];
}

/** Draws networks; codes may be continuous, so that one may turn into another. */
export class Drawing {
  constructor(place, space, { hover, leave }) {
    Object.assign(this, { place, space, hover, leave, boxes: [], ghosts: [], lit: null });
    this.svg = s("svg", { role: "img", tabindex: 0, "aria-roledescription": "network drawing" });
    this.back = s("g");
    this.wires = s("path", { class: "wire" });
    this.front = s("g");
    this.over = s("g");
    this.labels = s("g");
    this.svg.append(this.back, this.wires, this.front, this.over, this.labels);
    place.append(this.svg);
    this.svg.addEventListener("pointermove", (e) => this.point(e));
    this.svg.addEventListener("pointerdown", (e) => this.point(e));
    this.svg.addEventListener("pointerleave", () => this.light(null));
    this.svg.addEventListener("blur", () => this.light(null));
    this.svg.addEventListener("keydown", (e) => this.key(e));
    // asked for once, not with every frame: the browser would lay everything out to answer
    this.width = place.clientWidth || 800;
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width || 800;
      if (this.code) this.draw();
    }).observe(place);
  }

  /** Show a code; `pin` is another one whose outline is drawn over it, `colour` what makes boxes dark. */
  show(code, pin, colour) {
    Object.assign(this, { code, pin, colour });
    this.draw();
    this.refresh();
  }

  /** Where everything stands: for each stage the columns of its blocks, wide enough for both codes. */
  plan() {
    const mine = this.space.stages(this.code), theirs = this.pin ? this.space.stages(this.pin) : null;
    const columns = mine.map((stage, i) => {
      const other = theirs?.[i];
      const blocks = Math.max(stage.blocks, other?.blocks ?? 0);
      return { blocks, units: Math.max(...stage.units, ...(other?.units ?? [])) };
    });
    const total = 3.4 + columns.reduce((sum, c) => sum + c.blocks * (FUSION + c.units), 0) + 3.6;
    const { width } = this;
    const unit = Math.min(WIDEST, (width - LEFT - 6) / Math.max(total, LEAST_UNITS));
    let x = LEFT + 3.4 * unit;
    const stages = columns.map((c) => {
      const at = x;
      x += c.blocks * (FUSION + c.units) * unit;
      return { ...c, at, pitch: (FUSION + c.units) * unit };
    });
    return { unit, stages, end: x, width, mine, theirs };
  }

  draw() {
    const plan = this.plan();
    const low = this.width < 560;
    const [lane, box, top] = low ? [40, 34, 16] : [LANE, BOX, TOP];
    const height = top + 4 * lane + 8;
    set(this.svg, { viewBox: `0 0 ${plan.width} ${height}`, height });
    const y = (r) => top + lane * (r + 0.5);
    const rects = [], wires = [];
    const shares = new Map(parts(this.space, this.code).map((p) => [p.name, p]));
    const most = Math.max(...[...shares.values()].map((part) => part.share[this.colour]));
    const dark = (name) => 0.14 + 0.86 * (shares.get(name).share[this.colour] / most) ** 0.8;
    const high = (channels) => Math.max(2, (channels / 128) * box);
    const add = (list, x, w, r, channels, name) => list.push([x, y(r) - high(channels) / 2, Math.max(w, 1), high(channels), name]);
    const stages = (list, all, wire) => all.forEach((stage, st) => {
      const { at, pitch } = plan.stages[st];
      for (let j = 0; j < Math.ceil(stage.blocks - 1e-6); j++) {
        const part = Math.min(1, stage.blocks - j); // a block that is coming or going is narrower
        const left = at + j * pitch + FUSION * plan.unit;
        stage.channels.forEach((c, r) => {
          if (!wire) { // of the pinned network the outline of a block is enough
            add(list, left, Math.max(stage.units[r] * part * plan.unit - GAP, 1), r, c, "");
            return;
          }
          for (let u = 0; u < Math.ceil(stage.units[r] - 1e-6); u++) {
            const share = Math.min(1, stage.units[r] - u) * part;
            add(list, left + u * plan.unit, Math.max(plan.unit * share - GAP, 0.5), r, c, `${st}.${r}`);
          }
          this.wire(wires, plan, all, st, j, r, left, y);
        });
      }
    });
    const { code, pin, space } = this;
    const ends = (list, x) => {
      add(list, LEFT, 1.2 * plan.unit - GAP, 0, x[0], "i1");
      add(list, LEFT + 1.6 * plan.unit, 1.2 * plan.unit - GAP, 0, x[1], "i2");
      add(list, plan.end + 1.2 * plan.unit, 1.2 * plan.unit - GAP, 0, x[space.dim - 1], "join");
      add(list, plan.end + 2.4 * plan.unit, 0.7 * plan.unit - GAP, 0, 19, "classifier");
    };
    ends(rects, code);
    stages(rects, plan.mine, true);
    this.fill(this.boxes, this.front, rects, (name) => ({ class: name === this.lit ? "box lit" : "box", "fill-opacity": dark(name).toFixed(3) }));
    const ghosts = [];
    if (pin) {
      ends(ghosts, pin);
      stages(ghosts, plan.theirs, false);
    }
    this.fill(this.ghosts, this.over, ghosts, () => ({ class: "ghost" }));
    set(this.wires, { d: wires.join("") });
    this.scale(plan, y, lane);
    const words = plan.mine.map((st, i) => `stage ${i + 1}: ${Math.round(st.blocks)} blocks, channels ${st.channels.map(Math.round).join(" ")}`);
    set(this.svg, { "aria-label": `Network of four stages. ${words.join("; ")}. Arrow keys go from part to part.` });
  }

  /** The lines into a block's branch from the branches before it. */
  wire(wires, plan, all, st, j, r, left, y) {
    const before = j > 0 ? all[st].channels.length : st;
    const units = j > 0 ? all[st].units : all[st - 1]?.units;
    const from = (k) => {
      if (j > 0) return left - (FUSION + plan.stages[st].units) * plan.unit + units[k] * plan.unit - GAP;
      if (st === 0) return LEFT + 2.8 * plan.unit - GAP;
      const last = plan.stages[st - 1];
      return last.at + (Math.ceil(all[st - 1].blocks) - 1) * last.pitch + (FUSION + units[k]) * plan.unit - GAP;
    };
    const curve = (x0, y0, x1, y1) => {
      const bend = Math.max(6, 0.5 * (x1 - x0));
      wires.push(`M${x0.toFixed(1)} ${y0}C${(x0 + bend).toFixed(1)} ${y0} ${(x1 - bend).toFixed(1)} ${y1} ${x1.toFixed(1)} ${y1}`);
    };
    const start = left - 0.95 * FUSION * plan.unit; // straight on to where the block begins, then across
    for (let k = Math.max(0, r - 1); k <= Math.min(Math.max(before, 1) - 1, r + 1); k++) {
      const end = from(k);
      if (start > end) wires.push(`M${end.toFixed(1)} ${y(k)}H${start.toFixed(1)}`);
      curve(Math.max(end, start), y(k), left, y(r));
    }
    if (r === before && r > 0) { // the new branch comes from the finer one's fused map
      curve(left - 0.5 * FUSION * plan.unit, y(r - 1), left, y(r));
    }
    const lastStage = st === all.length - 1 && j === Math.ceil(all[st].blocks) - 1;
    if (lastStage) {
      const end = left + all[st].units[r] * plan.unit - GAP, to = plan.end + 1.2 * plan.unit;
      const turn = plan.end - 0.4 * plan.unit;
      if (turn > end) wires.push(`M${end.toFixed(1)} ${y(r)}H${turn.toFixed(1)}`);
      curve(Math.max(end, turn), y(r), to, y(0));
    }
  }

  /** Reuses rectangles: as many as there were stay in the page, hidden where they are not needed. */
  fill(pool, group, rects, look) {
    rects.forEach(([x, y, width, height, name], i) => {
      if (!pool[i]) group.append((pool[i] = s("rect", { rx: 1.5 })));
      pool[i].of = name;
      set(pool[i], { x: x.toFixed(2), y: y.toFixed(2), width: width.toFixed(2), height: height.toFixed(2), visibility: "visible", ...look(name) });
    });
    for (let i = rects.length; i < pool.length; i++) set(pool[i], { visibility: "hidden" });
  }

  scale(plan, y, lane) {
    const key = `${Math.round(plan.width)} ${plan.stages.map((st) => Math.round(st.at)).join()} ${lane} ${Math.round(plan.unit)}`;
    if (this.scaled === key) return;
    this.scaled = key;
    const roomy = plan.stages.every((st) => st.pitch * st.blocks > 52);
    this.back.replaceChildren(...[0, 1, 2, 3].map((r) => s("line", { class: "lane", x1: LEFT, x2: plan.width, y1: y(r), y2: y(r) })));
    this.labels.replaceChildren(
      ...[0, 1, 2, 3].map((r) => s("text", { x: 0, y: y(r) + 4 }, `1/${4 << r}`)),
      ...plan.stages.map((st, i) => s("text", { x: st.at + FUSION * plan.unit, y: 10 }, roomy ? `stage ${i + 1}` : `S${i + 1}`)),
      s("text", { x: LEFT, y: 10 }, plan.unit > 9 ? "stem" : ""),
    );
  }

  point(event) {
    this.light(event.target.of ?? null, event);
  }

  /** What is said of a part that is lit while the network changes under it. */
  refresh() {
    if (!this.lit || !this.where) return;
    const part = parts(this.space, this.code.map(Math.round)).find((p) => p.name === this.lit);
    this.hover(part, this.where, false);
  }

  /** Light up a part and say what it is. */
  light(name, event) {
    if (name !== this.lit) {
      this.lit = name;
      for (const box of this.boxes) {
        if (box.known?.class) set(box, { class: box.of === name ? "box lit" : "box" });
      }
    }
    if (!name) return this.leave();
    const part = parts(this.space, this.code.map(Math.round)).find((p) => p.name === name);
    const first = this.boxes.find((box) => box.of === name);
    const where = event ? { x: event.clientX, y: event.clientY } : first.getBoundingClientRect();
    this.where = where;
    return this.hover(part, where, !event);
  }

  key(event) {
    const names = parts(this.space, this.code.map(Math.round)).map((p) => p.name);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") this.light(null);
    if (!step) return;
    event.preventDefault();
    const at = names.indexOf(this.lit);
    this.light(names[at < 0 ? (step > 0 ? 0 : names.length - 1) : (at + step + names.length) % names.length]);
  }
}

/** Rows of the table that says the same as the drawing. */
export function rows(space, code) {
  return parts(space, code).map((part) => [
    part.title, part.words ?? "", part.shape, short(part.macs), percent(part.share.macs), short(part.params), bytes(4 * part.maps),
  ]);
}

export const HEADINGS = ["part", "depth", "map", "multiply-adds", "share", "parameters", "maps written, fp32"];
