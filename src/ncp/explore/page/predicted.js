// Predicted metrics of all settings with their doubt, on the range that each has over the space.
import { digits, h, s, set, write } from "./dom.js";
import { split } from "./state.js";

/** The list of metrics. `chosen` are those that are searched for; they come first. */
export class Predicted {
  constructor(place, settings) {
    Object.assign(this, { place, settings, rows: new Map() });
    this.lines = h("div");
    this.note = h("p", { className: "hint" }, "Dots are predictions for the trained network; the bar is one standard deviation of a training’s result.");
    place.append(this.lines, this.note);
  }

  row(name) {
    if (!this.rows.has(name)) {
      const [setting, metric] = split(name);
      const { words, dataset } = this.settings[setting];
      const value = h("b"), doubt = h("small"), delta = h("span", { className: "delta" });
      const rail = s("line", { class: "rail", y1: 6, y2: 6, x1: "0%", x2: "100%" });
      const bar = s("line", { class: "doubt", y1: 6, y2: 6 });
      const pinned = s("line", { class: "pinned", y1: -1, y2: 13, visibility: "hidden" });
      const dot = s("circle", { class: "dot", cy: 6, r: 5.5 });
      const element = h("div", { className: "metric", title: `${words}, ${dataset}` },
        h("div", { className: "name" }, `${setting} `, h("small", null, metric)),
        h("div", { className: "value" }, delta, value, doubt),
        s("svg", { "aria-hidden": "true" }, rail, bar, pinned, dot));
      this.rows.set(name, { element, value, doubt, delta, bar, pinned, dot });
    }
    return this.rows.get(name);
  }

  /** Show predictions {setting: {metric: {mean, std}}}; `pin` are those of the pinned network. */
  show(metrics, chosen, pin) {
    const others = Object.keys(this.settings).map((setting) => `${setting}.${this.settings[setting].main}`);
    const names = [...new Set([...chosen, ...others])];
    const key = names.join();
    if (this.key !== key) {
      this.key = key;
      this.lines.replaceChildren(...names.map((name) => this.row(name).element));
    }
    for (const name of names) {
      const [setting, metric] = split(name);
      const row = this.row(name);
      row.element.classList.toggle("on", chosen.includes(name));
      if (!metrics[setting]) continue; // not yet
      const { mean, std } = metrics[setting][metric];
      write(row.value, mean.toFixed(1));
      write(row.doubt, ` ± ${std.toFixed(1)}`);
      const [low, high] = this.settings[setting].metrics[metric].range;
      const room = 0.16 * (high - low);
      const at = (v) => `${Math.min(99, Math.max(1, (100 * (v - low)) / (high - low + room))).toFixed(2)}%`;
      set(row.bar, { x1: at(mean - std), x2: at(mean + std) });
      set(row.dot, { cx: at(mean) });
      const other = pin?.[setting][metric].mean;
      set(row.pinned, other === undefined ? { visibility: "hidden" } : { visibility: "visible", x1: at(other), x2: at(other) });
      const change = other === undefined ? 0 : mean - other;
      write(row.delta, Math.abs(change) >= 0.05 ? `${change > 0 ? "+" : "−"}${digits(Math.abs(change), 2)}` : "");
    }
  }
}
