// The default search (ncp/search/robust.py, ncp/search/polish.py): many starts, exact cost, doubt, and a discrete polish.
// Generators: they yield now and then, so that whoever runs them may look at the clock, or stop.

const PAIRS = 48;
const TOLERANCE = 1e-9;
const SOON = 60; // milliseconds: of the hundred in which somebody who drags a slider wants to see something

/** Moves codes along the gradient and keeps each one's whole way; `lams` may give every start its own lambda. */
export function* ascend(problem, starts, { iterations = 70, rate = 0.3, penalty = 4, lams } = {}) {
  const { region, space } = problem;
  const n = space.dim;
  const walks = starts.map((start, s) => ({
    lam: lams ? lams[s] : undefined,
    x: shrink(problem, start), momentum: new Float64Array(n), square: new Float64Array(n), penalty, codes: [],
  }));
  for (let t = 0; t <= iterations; t++) {
    const size = rate * (0.05 + 0.95 * (1 + Math.cos((Math.PI * t) / iterations)) / 2);
    for (const walk of walks) {
      const at = problem.terms(walk.x, walk.lam);
      walk.codes.push(walk.x.slice());
      if (t === iterations) continue;
      const gradient = problem.slope(at, walk.penalty, walk.lam);
      const broken = at.excess.reduce((sum, e) => sum + Math.max(e, 0), 0);
      if (broken > 1e-2) walk.penalty *= 1.1;
      const [m0, m1] = [1 - 0.8 ** (t + 1), 1 - 0.95 ** (t + 1)];
      for (let i = 0; i < n; i++) {
        const scale = space.scale[i] * region.free[i];
        const g = gradient[i] * scale;
        walk.momentum[i] = 0.8 * walk.momentum[i] + 0.2 * g;
        walk.square[i] = 0.95 * walk.square[i] + 0.05 * g * g;
        walk.x[i] -= size * scale * ((walk.momentum[i] / m0) / (Math.sqrt(walk.square[i] / m1) + 1e-8));
      }
      region.clamp(walk.x);
      yield null;
    }
  }
  return walks;
}

/** A start drawn toward the cheapest corner until it keeps the limits of cost. */
export function shrink(problem, start) {
  const { region } = problem;
  const x = region.clamp(Float64Array.from(start));
  if (!problem.limits.length || !problem.over(x)) return x;
  const along = (share) => x.map((v, i) => region.lower[i] + share * (v - region.lower[i]));
  let [low, high] = [0, 1];
  for (let k = 0; k < 12; k++) {
    const middle = (low + high) / 2;
    if (problem.over(along(middle))) high = middle;
    else low = middle;
  }
  return along(low);
}

/** The best different rounded ends: `keep` of them, each with its walk. */
export function ends(problem, walks, keep, penalty = 4) {
  const found = new Map();
  for (const walk of walks) {
    const code = problem.region.round(walk.codes[walk.codes.length - 1]);
    if (!found.has(code.join())) found.set(code.join(), { code, walk });
  }
  const sorted = [...found.values()].sort((a, b) => compareCodes(a.code, b.code));
  for (const end of sorted) {
    const { value, excess } = problem.judge(end.code, end.walk.lam);
    end.rank = value - 4 * penalty * excess;
  }
  return sorted.sort((a, b) => b.rank - a.rank).slice(0, keep);
}

function compareCodes(a, b) {
  const i = a.findIndex((v, k) => v !== b[k]);
  return i < 0 ? 0 : a[i] - b[i];
}

/** Steepest ascent over single steps and pairs of steps from a valid code; `watch` is told where it is, at first and after each round. */
export function* polish(problem, code, { rounds = 40, pairs = PAIRS, lam, watch } = {}) {
  const first = problem.judge(code, lam);
  const candidate = { code, path: [code], ...first };
  watch?.(candidate);
  for (let round = 0; round < rounds; round++) {
    const here = { value: candidate.value, signed: candidate.signed };
    const near = [];
    for (const one of problem.region.neighbours(candidate.code)) {
      near.push({ code: one, ...problem.judge(one, lam) });
      yield null;
    }
    const options = [...near];
    for (const one of pairs ? bestPairs(problem, candidate, here, near, pairs) : []) {
      options.push({ code: one, ...problem.judge(one, lam) });
      yield null;
    }
    const next = bestStep(candidate, options);
    if (!next) break;
    Object.assign(candidate, next);
    candidate.path.push(next.code);
    watch?.(candidate);
  }
  return candidate;
}

/** Codes two steps away whose single effects add up best while the limits seem kept. */
function bestPairs(problem, candidate, here, near, most) {
  const found = [];
  const allowed = Math.min(candidate.excess, 0) + 1e-3; // what the sum says is not exact
  for (let i = 0; i < near.length; i++) {
    for (let j = i + 1; j < near.length; j++) {
      let broken = 0;
      for (let k = 0; k < here.signed.length; k++) {
        broken += Math.max(near[i].signed[k] + near[j].signed[k] - here.signed[k], 0);
      }
      if (broken <= allowed) found.push([near[i].value + near[j].value - 2 * here.value, i, j]);
    }
  }
  found.sort((a, b) => b[0] - a[0]);
  const out = [];
  for (const [, i, j] of found.slice(0, 2 * most)) {
    const code = near[i].code.map((v, k) => v + near[j].code[k] - candidate.code[k]);
    if (problem.region.contains(code)) out.push(code);
    if (out.length === most) break;
  }
  return out;
}

function bestStep(candidate, options) {
  let best = null, most = TOLERANCE;
  for (const option of options) {
    let rate;
    if (candidate.excess > 0) {
      const removed = Math.min(candidate.excess - option.excess, candidate.excess);
      rate = removed > TOLERANCE ? removed / Math.max(candidate.value - option.value, 1e-6) : -Infinity;
    } else {
      rate = option.excess > 0 ? -Infinity : option.value - candidate.value;
    }
    if (rate > most) [best, most] = [option, rate];
  }
  return best;
}

/** The whole search. Returns {code, path, walk, score, excess}; `path` is the way there, continuous and then discrete. */
export function* robust(problem, start, options = {}) {
  const { starts = 32, keep = 6, given = true } = options;
  const { region } = problem;
  const first = region.round(start);
  const walks = yield* ascend(problem, [first, ...region.sample(starts - 1)], options);
  const candidates = ends(problem, walks, keep);
  if (given) {
    const own = region.round(walks[0].codes[walks[0].codes.length - 1]);
    for (const [code, walk] of [[own, walks[0]], [first, { codes: [first] }]]) {
      if (!candidates.some((c) => c.code.join() === code.join())) candidates.push({ code, walk });
    }
  }
  let best = null;
  for (const { code, walk } of candidates) {
    const polished = yield* polish(problem, code, options);
    if (!best || polished.score > best.score) best = { ...polished, walk };
  }
  return { ...best, path: [...best.walk.codes, ...best.path] };
}

/** The best near a code: a short ascent from it, and the polish of where that ends. */
export function* nearby(problem, code, watch) {
  const first = problem.region.round(code);
  const [walk] = yield* ascend(problem, [first], { iterations: 20, rate: 0.2 });
  const end = problem.region.round(walk.codes[walk.codes.length - 1]);
  const found = yield* polish(problem, end, { rounds: 12, watch });
  return { ...found, path: [...walk.codes, ...found.path] };
}

/**
 * The same for whoever waits: where it takes longer than `soon` milliseconds what there is by then is yielded, once. Everything else
 * that is yielded is null.
 */
export function* nearbySoon(problem, code, soon = SOON, clock = () => performance.now()) {
  const began = clock();
  let best = null, told = false;
  const walk = nearby(problem, code, (found) => { best = { ...found }; });
  for (let step = walk.next(); ; step = walk.next()) {
    if (step.done) return step.value;
    const now = !told && best?.excess === 0 && clock() - began > soon;
    told ||= now;
    yield now ? best : null;
  }
}
