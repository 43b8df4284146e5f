// What is searched for, within which limits, and the one score by which architectures compare (ncp/search/criterion.py).
import { Memory } from "./memory.js";
import { Region } from "./region.js";
import { Point } from "./space.js";

const MIB = 2 ** 20;

/** Everything that predictions and searches need, made once from the page's description. */
export class World {
  constructor(space, predictors, latencies, settings, tasks) {
    Object.assign(this, { space, predictors, latencies, settings, tasks });
    this.point = new Point(space);
  }

  /** The peak memory in MiB of the networks of some settings, the largest of them, and its derivative. */
  memory(names, { size, dtype, batch } = {}) {
    const kinds = [...new Set(names.map((name) => this.settings[name]?.task ?? "seg"))];
    const counts = kinds.filter((task) => task in this.tasks).map((task) => {
      const { memory_weights: weights, ...setting } = this.tasks[task];
      const usual = task === "det3d" ? { size: [496, 432] } : {};
      return new Memory(this.space, weights, { ...usual, ...setting, ...(size ? { size } : {}) }, dtype, batch);
    });
    let last = null;
    return {
      at: (x) => {
        let most = -1;
        for (const count of counts) {
          const value = count.at(x) / MIB;
          if (value > most) [most, last] = [value, count];
        }
        return most;
      },
      pull: (x, weight, gradient) => last.pull(x, weight / MIB, gradient),
    };
  }

  /** Means, own doubts and full deviations of all metrics of all settings of a family at a code. */
  predict(code, names = this.predictors.names(), family = "default") {
    const out = {};
    this.point.set(code);
    for (const name of names) {
      const predictor = this.predictors.get(name, family);
      out[name] = {};
      predictor.card.metrics.forEach((metric, m) => {
        const { mean, std } = predictor.output(m).forward(this.point);
        out[name][metric] = { mean, doubt: std, std: Math.hypot(std, predictor.output(m).noiseStd()) };
      });
    }
    return out;
  }

  /** Milliseconds on each machine, and their deviation. */
  milliseconds(code) {
    this.point.set(code);
    return this.latencies.map((model) => {
      const { mean, std } = model.forward(this.point);
      return { mean, std };
    });
  }
}

/** Objectives, limits and floors as one function of codes: its value is to be raised, its excesses are to vanish. */
export class Problem {
  /**
   * `asked` has: objectives [{setting, metric, weight, sign}], lam, kappa, limits {macs, params, memory_mb, latency_ms []},
   * floors [{setting, metric, value}], bounds, fixed, inference {size, dtype, batch}, family.
   */
  constructor(world, asked) {
    const { space, predictors } = world;
    Object.assign(this, { world, space, lam: asked.lam ?? 0.5, kappa: asked.kappa ?? 1, point: new Point(space) });
    const family = asked.family ?? "default";
    const column = ({ setting, metric }) => {
      const predictor = predictors.get(setting, family);
      const m = predictor.card.metrics.indexOf(metric);
      if (m < 0) throw new Error(`the predictor of ${setting} does not predict ${metric}`);
      return { output: predictor.output(m), mean: predictor.outputMean[m], std: predictor.outputStd[m] };
    };
    this.floors = (asked.floors ?? []).map((f) => ({ ...f, ...column(f) }));
    const floored = new Set(this.floors.map((f) => `${f.setting}.${f.metric}`));
    this.objectives = asked.objectives.map((o) => {
      const weight = o.weight ?? 1;
      return { ...o, ...column(o), weight, sign: o.sign ?? 1, raised: floored.has(`${o.setting}.${o.metric}`) ? 0 : weight };
    });
    this.outputs = [...new Set([...this.objectives, ...this.floors].map((o) => o.output))];
    this.cheapest = this.objectives.every((o) => o.raised === 0);
    const settings = [...new Set([...this.objectives, ...this.floors].map((o) => o.setting))];
    this.limits = this.readLimits(asked, settings);
    this.priced = !this.cheapest && this.limits.length === 0;
    const known = settings.map((s) => predictors.get(s, family).card.region).filter((r) => r && r.lower);
    this.region = new Region(space, { bounds: asked.bounds, fixed: asked.fixed, known });
    this.check();
  }

  readLimits({ limits = {}, inference = {} }, settings) {
    const out = [];
    const { world } = this;
    const counted = (name, place) => ({
      name, value: limits[name],
      at: (point) => point.rules.values[point.macsAt + place],
      pull: (point, weight) => { point.dRules[point.macsAt + place] += weight; },
    });
    if (limits.macs) out.push(counted("macs", 0));
    if (limits.params) out.push(counted("params", 1));
    if (limits.memory_mb) {
      const memory = world.memory(settings, inference);
      out.push({
        name: "memory_mb", value: limits.memory_mb,
        at: (point) => memory.at(point.x),
        pull: (point, weight) => memory.pull(point.x, weight, point.dx),
      });
    }
    (limits.latency_ms ?? []).forEach((value, i) => {
      const model = world.latencies[i];
      if (!value || !model) return;
      out.push({
        name: i ? `latency_ms_${i + 1}` : "latency_ms", value,
        at: (point) => model.forward(point).safe,
        pull: (point, weight) => model.backward(point, weight, weight),
      });
    });
    return out;
  }

  /** Throws an Error where even the smallest architecture breaks a limit of what grows with every dimension. */
  check() {
    const corner = this.region.round(this.region.lower);
    this.point.set(corner);
    for (const limit of this.limits.filter((l) => !l.name.startsWith("latency"))) {
      const least = limit.at(this.point);
      if (least > limit.value) throw new Unreachable(limit.name, limit.value, least);
    }
  }

  /** Value, excesses (logarithms over limits, then floors in deviations; below 0: kept) and what is spent of each limit. */
  terms(x, lam = this.lam) {
    const { point, kappa } = this;
    point.set(x);
    for (const output of this.outputs) output.forward(point, kappa > 0);
    const spent = this.limits.map((limit) => limit.at(point));
    const excess = this.limits.map((limit, j) => Math.log(spent[j] / limit.value));
    for (const f of this.floors) {
      excess.push(-((f.output.mean - f.value) / f.std - (kappa > 0 ? (kappa * f.output.std) / f.std : 0)));
    }
    if (this.cheapest) return { value: -Math.log(point.macs), excess, spent };
    let value = 0;
    for (const o of this.objectives) {
      let gain = ((o.output.mean - o.mean) * o.sign) / o.std;
      if (kappa > 0) gain -= (kappa * o.output.std) / o.std;
      if (this.priced) gain -= (lam * point.macs) / this.space.cost_scale;
      value += gain * o.raised;
    }
    return { value, excess, spent };
  }

  /** The derivative of -value + penalty * (sum of broken excesses) by the code, at the code of the last `terms`. */
  slope({ excess, spent }, penalty, lam = this.lam) {
    const { point, kappa } = this;
    point.clear();
    const byMean = new Map(this.outputs.map((o) => [o, 0])), byStd = new Map(this.outputs.map((o) => [o, 0]));
    const add = (output, mean, std) => {
      byMean.set(output, byMean.get(output) + mean);
      byStd.set(output, byStd.get(output) + std);
    };
    if (this.cheapest) point.dRules[point.macsAt] += 1 / point.macs;
    for (const o of this.objectives) {
      if (o.raised) add(o.output, (-o.sign * o.raised) / o.std, (kappa * o.raised) / o.std);
      if (this.priced) point.dRules[point.macsAt] += (o.raised * lam) / this.space.cost_scale;
    }
    this.limits.forEach((limit, j) => {
      if (excess[j] > 0) limit.pull(point, penalty / spent[j]);
    });
    this.floors.forEach((f, i) => {
      if (excess[this.limits.length + i] > 0) add(f.output, -penalty / f.std, (penalty * kappa) / f.std);
    });
    for (const output of this.outputs) {
      if (byMean.get(output) || byStd.get(output)) output.backward(point, byMean.get(output), byStd.get(output));
    }
    return point.gradient();
  }

  /** Value and excess (0: all limits kept) of a valid code: what discrete steps and results compare by. */
  judge(code, lam) {
    const { value, excess } = this.terms(code, lam);
    let broken = 0;
    this.limits.forEach((limit, j) => { broken += Math.max(Math.exp(excess[j]) - 1, 0); });
    for (let j = this.limits.length; j < excess.length; j++) broken += Math.max(excess[j], 0);
    // a limit that is met exactly is kept, whatever its logarithm rounds to
    if (broken < 1e-12) broken = 0;
    return { value, excess: broken, signed: excess, score: broken > 0 ? -1e9 * (1 + broken) : value };
  }

  over(x) {
    this.point.set(x);
    return this.limits.some((limit) => limit.at(this.point) > limit.value);
  }
}

/** The limits cannot be kept: `limit` says which, `least` what is the least possible. */
export class Unreachable extends Error {
  constructor(limit, value, least) {
    super(`${limit} of at most ${value.toPrecision(4)} cannot be met: the smallest has ${least.toPrecision(4)}`);
    Object.assign(this, { limit, value, least });
  }
}
