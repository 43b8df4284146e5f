// The left side: tasks and weights, trade-off or limits, floors, strategy.
import { digits, h, write } from "./dom.js";
import { asked, limited, split } from "./state.js";

const STRATEGIES = {
  robust: "Many starts, exact cost, limits that hold, doubt taken off, discrete polish.",
  paper: "The paper’s propagation: 70 gradient steps with its own predictors and learned cost.",
  winner_takes_all: "The paper’s second strategy: one number a step, the one that pays most.",
  greedy: "From the start to the best neighbour, and on.",
};
const LIMITS = {
  macs: { words: "Multiply-adds", unit: "M", scale: 1e6, range: [15, 13000], usual: 1e9 },
  params: { words: "Parameters", unit: "M", scale: 1e6, range: [0.05, 28], usual: 3e6 },
  memory_mb: { words: "Peak memory", unit: "MiB", scale: 1, range: [0.5, 64], usual: 8 },
};

/** A slider on a logarithmic scale with its number beside it. */
class LogSlider {
  constructor({ label, unit, range, change, toggle }) {
    this.range = range;
    const [low, high] = range.map(Math.log);
    this.toValue = (t) => Math.exp(low + (t / 1000) * (high - low));
    this.toPlace = (v) => Math.round((1000 * (Math.log(v) - low)) / (high - low));
    this.check = h("input", { type: "checkbox", onchange: () => toggle(this.check.checked) });
    this.slider = h("input", { type: "range", min: 0, max: 1000, ariaLabel: `${label}, at most`,
      oninput: () => change(Number(digits(this.toValue(this.slider.value), 3))) });
    this.number = h("input", { type: "number", min: 0, step: "any", ariaLabel: `${label} in ${unit}, at most`,
      onchange: () => Number(this.number.value) > 0 && change(Number(this.number.value)) });
    this.element = h("div", { className: "limit" },
      h("div", { className: "line" }, h("label", null, this.check, label), this.number, h("span", { className: "unit" }, unit)), this.slider);
  }

  show(value, usual) {
    const on = Boolean(value);
    this.check.checked = on;
    this.element.classList.toggle("off", !on);
    const now = value || usual;
    const text = digits(now, 4).replace(/\.0+$/, "");
    if (document.activeElement !== this.number) this.number.value = text;
    this.slider.value = this.toPlace(now);
    this.slider.setAttribute("aria-valuetext", on ? text : "no limit");
  }
}

/** Everything on the left. `change(edit)` is called with a function that changes the state. */
export class Controls {
  constructor(place, description, { change }) {
    Object.assign(this, { settings: description.settings, machines: description.machines, change });
    this.rows = Object.keys(this.settings).map((name) => this.task(name));
    const kinds = new Map();
    for (const row of this.rows) {
      const { words } = this.settings[row.name];
      kinds.set(words, [...(kinds.get(words) ?? []), row.element]);
    }
    for (const [words, elements] of kinds) place.append(h("p", { className: "kind" }, words), ...elements);
    place.append(this.part("What it may cost at most", ...this.cost()), this.part("What it must reach at least", ...this.floorPart()),
      this.part("How it is searched", ...this.strategyPart()));
  }

  part(title, ...children) {
    return h("div", { className: "part" }, h("h3", null, title), ...children);
  }

  task(name) {
    const { words, dataset, metrics, main } = this.settings[name];
    const row = { name };
    row.slider = h("input", { type: "range", min: 0, max: 2, step: 0.05, ariaLabel: `${words} (${name}), how much it matters`,
      oninput: () => this.weigh(row, Number(row.slider.value)) });
    row.output = h("output");
    row.select = h("select", { ariaLabel: `Metric of ${name}`, onchange: () => this.swap(row) },
      Object.keys(metrics).map((metric) => h("option", { value: metric, selected: metric === main }, metric)));
    row.select.hidden = Object.keys(metrics).length < 2;
    row.warning = h("p", { className: "warning", hidden: true });
    row.element = h("div", { className: "want", title: dataset }, h("span", { className: "name" }, name), row.slider, row.output, row.select, row.warning);
    return row;
  }

  weigh(row, weight) {
    this.change((state) => {
      for (const key of Object.keys(state.objectives)) if (split(key)[0] === row.name) delete state.objectives[key];
      if (weight > 0) state.objectives[`${row.name}.${row.select.value}`] = weight;
    });
  }

  swap(row) {
    this.change((state) => {
      const old = Object.keys(state.objectives).find((key) => split(key)[0] === row.name);
      if (!old) return;
      const weight = state.objectives[old];
      delete state.objectives[old];
      state.objectives[`${row.name}.${row.select.value}`] = weight;
    });
  }

  cost() {
    this.lam = h("input", { type: "range", min: 0, max: 1000, ariaLabel: "Lambda, the weight of cost against accuracy",
      oninput: () => this.change((state) => { state.lam = toLam(Number(this.lam.value)); }) });
    this.lamOut = h("output");
    this.lamNote = h("span", { className: "hint" });
    this.limits = Object.entries(LIMITS).map(([name, { words, unit, scale, range, usual }]) => {
      const slider = new LogSlider({
        label: words, unit, range,
        change: (v) => this.change((state) => { state.limits[name] = v * scale; }),
        toggle: (on) => this.change((state) => { if (on) state.limits[name] = this.last[name] ?? usual; else delete state.limits[name]; }),
      });
      return { name, slider, scale, usual };
    });
    this.last = {};
    this.latencies = this.machines.map((machine, i) => {
      const set = (v) => this.change((state) => {
        const list = (state.limits.latency_ms ??= this.machines.map(() => null));
        list[i] = v;
        if (!list.some(Boolean)) delete state.limits.latency_ms;
      });
      const usual = machine.usual;
      const slider = new LogSlider({
        label: this.machines.length > 1 ? `Latency ${i + 1}` : "Latency", unit: "ms", range: machine.range,
        change: set, toggle: (on) => set(on ? usual : null),
      });
      slider.element.title = machine.described;
      return { slider, i, usual };
    });
    return [
      h("div", { className: "limit" }, h("div", { className: "line" }, h("label", null, "Weight of cost, lambda"), this.lamOut), this.lam, this.lamNote),
      ...this.limits.map((l) => l.slider.element), ...this.latencies.map((l) => l.slider.element),
    ];
  }

  floorPart() {
    this.floors = h("div");
    this.floorRows = new Map();
    return [this.floors, h("p", { className: "hint" }, "A metric with a floor is not raised further. If all have one, the cheapest network is looked for.")];
  }

  floor(name) {
    if (this.floorRows.has(name)) return this.floorRows.get(name);
    const [setting, metric] = split(name);
    const [low, high] = this.settings[setting].metrics[metric].range;
    const [least, most] = [Math.floor(low), Math.ceil(high + 2)];
    const set = (v) => this.change((state) => { if (v === null) delete state.floors[name]; else state.floors[name] = v; });
    const row = { usual: Math.round(high - 1) };
    row.check = h("input", { type: "checkbox", onchange: () => set(row.check.checked ? Number(row.number.value) : null) });
    row.slider = h("input", { type: "range", min: least, max: most, step: 0.1, ariaLabel: `${setting} ${metric}, at least`, oninput: () => set(Number(row.slider.value)) });
    row.number = h("input", { type: "number", step: 0.1, ariaLabel: `${setting} ${metric}, at least`, onchange: () => Number.isFinite(row.number.valueAsNumber) && set(row.number.valueAsNumber) });
    row.element = h("div", { className: "limit" }, h("div", { className: "line" },
      h("label", null, row.check, `${setting} ${metric}`), row.number, h("span", { className: "unit" }, "%")), row.slider);
    this.floorRows.set(name, row);
    return row;
  }

  strategyPart() {
    this.strategy = h("select", { ariaLabel: "Strategy", onchange: () => this.change((state) => { state.strategy = this.strategy.value; }) },
      Object.keys(STRATEGIES).map((name) => h("option", { value: name }, name)));
    this.strategyNote = h("p", { className: "hint" });
    this.kappa = h("input", { type: "range", min: 0, max: 3, step: 0.1, ariaLabel: "Kappa, standard deviations of doubt taken off",
      oninput: () => this.change((state) => { state.kappa = Number(this.kappa.value); }) });
    this.kappaOut = h("output");
    this.kappaPart = h("div", { className: "limit" }, h("div", { className: "line" }, h("label", null, "Doubt taken off, kappa"), this.kappaOut), this.kappa);
    const infer = (edit) => this.change((state) => edit(state.inference));
    this.size = h("input", { type: "text", size: 9, placeholder: "128x128", ariaLabel: "Size of the input, height x width", onchange: () => {
      const found = /^\s*(\d{1,5})\s*[x×]\s*(\d{1,5})\s*$/.exec(this.size.value);
      infer((inference) => { inference.size = found && Number(found[1]) && Number(found[2]) ? [Number(found[1]), Number(found[2])] : null; });
    } });
    this.dtype = h("select", { ariaLabel: "Type of numbers", onchange: () => infer((inference) => { inference.dtype = this.dtype.value; }) },
      ["fp32", "bf16", "fp16", "int8"].map((name) => h("option", { value: name }, name)));
    return [this.strategy, this.strategyNote, this.kappaPart,
      h("div", { className: "row" }, h("label", null, "Memory at "), this.size, this.dtype)];
  }

  show(state) {
    for (const row of this.rows) {
      const key = Object.keys(state.objectives).find((name) => split(name)[0] === row.name);
      const weight = key ? state.objectives[key] : 0;
      row.element.classList.toggle("on", weight > 0);
      if (key) row.select.value = split(key)[1];
      row.select.hidden = !key || row.select.options.length < 2;
      row.slider.value = weight;
      const unlearned = key ? this.settings[row.name].metrics[row.select.value].unlearned : "";
      row.warning.hidden = !unlearned;
      write(row.warning, unlearned && `Its predictor has not learned this: ${unlearned}.`);
      write(row.output, weight ? digits(weight, weight < 1 ? 2 : 3).replace(/\.?0+$/, "") : "off");
      row.slider.setAttribute("aria-valuetext", weight ? String(weight) : "off");
    }
    const capped = limited(state);
    const floored = Object.keys(state.objectives).every((name) => name in state.floors) && Object.keys(state.floors).length > 0;
    this.lam.value = fromLam(state.lam);
    this.lam.disabled = capped || floored;
    this.lam.setAttribute("aria-valuetext", digits(state.lam, 2));
    write(this.lamOut, capped || floored ? "" : digits(state.lam, 2));
    write(this.lamNote, capped ? "A limit is set: the best below it is looked for." : floored ? "Floors are set: the cheapest above them is looked for." : "");
    for (const { name, slider, scale, usual } of this.limits) {
      if (state.limits[name]) this.last[name] = state.limits[name];
      slider.show(state.limits[name] ? state.limits[name] / scale : null, (this.last[name] ?? usual) / scale);
    }
    for (const { slider, i, usual } of this.latencies) slider.show(state.limits.latency_ms?.[i], usual);
    const names = asked(state);
    if (this.floorKey !== names.join()) {
      this.floorKey = names.join();
      this.floors.replaceChildren(...names.map((name) => this.floor(name).element));
    }
    for (const name of names) {
      const row = this.floor(name);
      const value = state.floors[name] ?? (row.last ?? row.usual);
      if (name in state.floors) row.last = value;
      row.check.checked = name in state.floors;
      row.element.classList.toggle("off", !(name in state.floors));
      row.slider.value = value;
      if (document.activeElement !== row.number) row.number.value = value;
    }
    this.strategy.value = state.strategy;
    write(this.strategyNote, STRATEGIES[state.strategy]);
    this.kappaPart.hidden = state.strategy !== "robust" && state.strategy !== "greedy";
    this.kappa.value = state.kappa;
    write(this.kappaOut, state.kappa.toFixed(1));
    if (document.activeElement !== this.size) this.size.value = state.inference.size?.join("x") ?? "";
    this.dtype.value = state.inference.dtype;
  }
}

// lambda from 0 (the slider's left end) over .02 to 8
const toLam = (t) => (t <= 0 ? 0 : Number((0.02 * 400 ** (t / 1000)).toPrecision(2)));
const fromLam = (lam) => (lam <= 0 ? 0 : Math.round((1000 * Math.log(lam / 0.02)) / Math.log(400)));
