// Accuracy against cost (ncp/search/front.py), and what one step more of each number would bring.
import { ascend, ends, polish } from "./robust.js";

export const LAMBDAS = Array.from({ length: 15 }, (_, i) => Math.round(0.05 * 128 ** (i / 14) * 1000) / 1000);

/** The architectures of many lambdas that no other one beats in value and multiply-adds, the cheapest first. */
export function* front(problem, start, { lams = LAMBDAS, starts = 6, iterations = 70 } = {}) {
  const { region, space } = problem;
  const firsts = [region.round(start), ...region.sample(starts - 1)];
  const found = [];
  for (const lam of lams) {
    const walks = yield* ascend(problem, firsts, { iterations, lams: firsts.map(() => lam) });
    const [end] = ends(problem, walks, 1);
    const polished = yield* polish(problem, end.code, { lam });
    const { value } = problem.terms(polished.code, 0);
    found.push({ code: polished.code, lam, value, macs: space.cost(polished.code).macs });
  }
  return undominated(found);
}

/** Those that none is both no dearer and better than; of equal ones the first. */
export function undominated(points) {
  const sorted = points.map((p, i) => [p, i]).sort(([a, i], [b, j]) => a.macs - b.macs || b.value - a.value || i - j);
  const out = [];
  let best = -Infinity;
  for (const [point] of sorted) {
    if (point.value <= best) continue;
    best = point.value;
    out.push(point);
  }
  return out;
}

/**
 * For each dimension what one step up (and down) brings: change of each objective's metric in its unit, and of cost.
 * Where a step would leave the region, null.
 */
export function marginals(problem, code) {
  const { space, region, objectives } = problem;
  const look = (x) => {
    const { value } = problem.terms(x, 0);
    return { value, metrics: objectives.map((o) => o.output.mean), ...space.cost(x) };
  };
  const here = look(code);
  const changed = (i, sign) => {
    const near = Float64Array.from(code);
    near[i] += sign * space.step[i];
    if (near[i] < space.lower[i] || near[i] > space.upper[i]) return null;
    const there = look(near);
    return {
      metrics: there.metrics.map((v, k) => v - here.metrics[k]),
      macs: there.macs - here.macs, params: there.params - here.params,
      allowed: near[i] >= region.lower[i] && near[i] <= region.upper[i],
    };
  };
  return space.labels.map((_, i) => ({ up: changed(i, 1), down: changed(i, -1) }));
}
