// The paper's two searches (ncp/search/propagation.py, winner_takes_all.py), with the predictors and the cost of the paper.
import { Point } from "./space.js";
import { Region } from "./region.js";

/** The paper's loss with targets one step ahead of every code: -(metric - lambda * cost), in standardised outputs. */
class Ascent {
  constructor(world, { objectives, lam = 0.5, family = "paper", learned = true }) {
    const { predictors, space } = world;
    Object.assign(this, { space, lam, point: new Point(space) });
    const column = (predictor, name) => {
      const m = predictor.card.metrics.indexOf(name);
      if (m < 0) throw new Error(`the paper's predictor of ${predictor.card.name} does not predict ${name}`);
      return { output: predictor.output(m), mean: predictor.outputMean[m], std: predictor.outputStd[m] };
    };
    this.terms = objectives.map(({ setting, metric, weight = 1, sign = 1 }) => {
      const predictor = predictors.get(setting, family);
      return { weight, sign, metric: column(predictor, metric), cost: learned ? column(predictor, "flops") : null };
    });
    const own = new Set(objectives.map((o) => o.setting));
    this.scale = own.size === 1 ? (predictors.get(objectives[0].setting, family).inputStd ?? space.scale) : space.scale;
  }

  /** Loss at a code, and its derivative where that is wanted. */
  at(x, slope = true) {
    const { point, lam, space } = this;
    point.set(x);
    point.clear();
    let loss = 0;
    for (const { weight, sign, metric, cost } of this.terms) {
      loss -= (weight * sign * (metric.output.forward(point, false).mean - metric.mean)) / metric.std;
      if (slope) metric.output.backward(point, (-weight * sign) / metric.std, 0);
      if (cost) {
        loss += (weight * lam * (cost.output.forward(point, false).mean - cost.mean)) / cost.std;
        if (slope) cost.output.backward(point, (weight * lam) / cost.std, 0);
      } else {
        loss += (weight * lam * point.macs) / space.cost_scale;
        point.dRules[point.macsAt] += (weight * lam) / space.cost_scale;
      }
    }
    return { loss, gradient: slope ? point.gradient().slice() : null };
  }
}

const regionOf = (world, asked) => new Region(world.space, { bounds: asked.bounds, fixed: asked.fixed });

/** Continuous propagation: all dimensions follow the gradient; the best rounded step is the result. */
export function* propagation(world, asked, start, { iterations = 70, rate = 3 } = {}) {
  const ascent = new Ascent(world, asked);
  const region = regionOf(world, asked);
  const x = region.clamp(Float64Array.from(region.round(start)));
  const codes = [], losses = [];
  for (let t = 0; t <= iterations; t++) {
    const { loss, gradient } = ascent.at(x);
    codes.push(x.slice());
    losses.push(loss);
    yield null;
    if (t === iterations) break;
    for (let i = 0; i < x.length; i++) x[i] -= rate * ascent.scale[i] ** 2 * region.free[i] * gradient[i];
    region.clamp(x);
  }
  return { codes, losses, ...best(ascent, region, asked, codes) };
}

/** Of the rounded steps the one with the least loss that keeps the limits, or the one that comes nearest to them. */
function best(ascent, region, asked, codes) {
  let found = null;
  codes.forEach((x, step) => {
    const code = region.round(x);
    const excess = asked.excess ? asked.excess(code) : 0;
    const { loss } = ascent.at(code, false);
    if (!found || excess < found.excess || (excess === found.excess && loss < found.loss)) found = { code, step, excess, loss };
  });
  return { ...found, path: codes.slice(0, found.step + 1) };
}

/** Winner takes all: in each step the one dimension moves that pays most for its cost. */
export function* winnerTakesAll(world, asked, start, { iterations = 70 } = {}) {
  const ascent = new Ascent(world, asked);
  const region = regionOf(world, asked);
  const { space } = world;
  let code = region.round(start);
  const codes = [], losses = [], seen = new Set();
  for (let t = 0; t <= iterations && !seen.has(code.join()); t++) {
    seen.add(code.join());
    const { loss, gradient } = ascent.at(code);
    codes.push(code);
    losses.push(loss);
    yield null;
    const move = t < iterations ? winner(space, region, code, gradient) : null;
    if (!move) break;
    code = code.slice();
    code[move.index] += move.sign * space.step[move.index];
  }
  return { codes, losses, ...best(ascent, region, asked, codes) };
}

/** The dimension that moves and its direction: shrink where growing hurts most for its cost, else grow where it helps most. */
function winner(space, region, code, gradient) {
  const { macs } = space.cost(code);
  let shrink = null, grow = null;
  for (let i = 0; i < code.length; i++) {
    const near = code.slice();
    near[i] += space.step[i];
    const cost = space.cost(near).macs - macs;
    if (cost <= 0) continue;
    const ratio = (gradient[i] * space.step[i]) / cost;
    const down = code[i] - space.step[i] >= region.lower[i], up = near[i] <= region.upper[i];
    if (ratio > 0 && down && (!shrink || ratio > shrink.ratio)) shrink = { index: i, sign: -1, ratio };
    if (ratio < 0 && up && (!grow || ratio < grow.ratio)) grow = { index: i, sign: 1, ratio };
  }
  return shrink ?? grow;
}
