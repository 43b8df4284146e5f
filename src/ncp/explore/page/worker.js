// The worker: answers predictions at once, and searches in small slices, so that a newer question ends an older one.
import { Problem, Unreachable } from "./problem.js";
import { nearbySoon, polish, robust } from "./robust.js";
import { front, marginals } from "./front.js";
import { propagation, winnerTakesAll } from "./propagation.js";
import { makeWorld } from "./world.js";

const SLICE = 10; // milliseconds of work between two looks at what was asked meanwhile
const FRAMES = 90;

let world = null;
let job = null; // the search at work
let next = null; // the newest search that was asked meanwhile
let urgent = null; // a prediction of the present network, before everything else
const waiting = []; // fronts and such, after the search
const channel = new MessageChannel();
const problems = { key: "", made: null };

const handlers = {
  async setup({ description, numbers }) {
    world = await makeWorld(description, numbers);
    answer("ready", {});
  },
  predict({ id, code, inference, settings }) {
    urgent = { id, kind: "predicted", run: predictAll(code, inference, settings) };
    go();
  },
  pin({ id, code }) {
    answer("pinned", { id, metrics: world.predict(code) });
  },
  /** Metrics of many codes: of files that were dropped, and of a front. */
  predictMany({ id, codes }) {
    waiting.push({ id, kind: "predictedMany", run: predictMany(codes) });
    go();
  },
  /** A search that has not told its first network yet goes on until then, or whoever drags a slider would see none. */
  search(asked) {
    next = { id: asked.id, kind: "found", run: search(asked), told: false };
    drop("front");
    go();
  },
  front(asked) {
    drop("front");
    waiting.push({ id: asked.id, kind: "front", run: wholeFront(asked) });
    go();
  },
  marginals({ id, code, problem }) {
    answer("marginals", { id, code, dimensions: marginals(problemOf(problem), code) });
  },
  stop() {
    job = next = null;
    drop("front");
  },
};

/** Forget what waits of a kind: a newer one was asked, or it is of settings that have changed. */
function drop(kind) {
  for (let i = waiting.length - 1; i >= 0; i--) if (waiting[i].kind === kind) waiting.splice(i, 1);
}

function problemOf(asked) {
  const key = JSON.stringify(asked);
  if (problems.key !== key) [problems.key, problems.made] = [key, new Problem(world, asked)];
  return problems.made;
}

function answer(type, content) {
  postMessage({ type, ...content });
}

onmessage = async ({ data }) => {
  try {
    await handlers[data.type](data);
  } catch (error) {
    answer("failed", { id: data.id, message: error.message, unreachable: unreachable(error) });
  }
};

function unreachable(error) {
  return error instanceof Unreachable ? { limit: error.limit, value: error.value, least: error.least } : null;
}

let going = false;
function go() {
  if (!going) channel.port2.postMessage(null);
  going = true;
}

channel.port1.onmessage = () => {
  going = false;
  if (next && (!job || job.told)) [job, next] = [next, null];
  const now = urgent ?? job ?? waiting[0];
  if (!now) return;
  const until = performance.now() + SLICE;
  try {
    let step = now.run.next();
    while (!step.done && performance.now() < until) {
      if (step.value) tell(now, step);
      step = now.run.next();
    }
    if (step.value) tell(now, step);
    if (step.done) ended(now);
  } catch (error) {
    answer("failed", { id: now.id, message: error.message, unreachable: unreachable(error) });
    ended(now);
  }
  if (urgent || job || next || waiting.length) go();
};

function tell(now, { value, done }) {
  now.told = true;
  answer(now.kind, { id: now.id, done, ...value });
}

function ended(now) {
  if (now === urgent) urgent = null;
  else if (now === job) job = null;
  else if (waiting.includes(now)) waiting.splice(waiting.indexOf(now), 1);
}

/** All that is predicted of one network; at first, where that takes its time, of the settings that are asked for alone. */
function* predictAll(code, inference, settings) {
  const memory = settings.length ? world.memory(settings, inference).at(code) : null;
  const began = performance.now();
  const metrics = {};
  const names = [...settings, ...world.predictors.names().filter((name) => !settings.includes(name))];
  for (const [i, name] of names.entries()) {
    Object.assign(metrics, world.predict(code, [name]));
    if (i === settings.length - 1 && performance.now() - began > 30) {
      yield { code, metrics: { ...metrics }, milliseconds: [], memory };
    } else yield null;
  }
  return { code, metrics, milliseconds: world.milliseconds(code), memory };
}

/** A search in two parts: soon a better network near the present one, later the whole search of the strategy. */
function* search({ problem: asked, code, start, strategy, trace, quick = true }) {
  const began = performance.now();
  const options = { given: Boolean(start) };
  const from = start ?? world.space.default;
  const told = (found, more) => ({
    code: Array.from(found.code), score: found.score, excess: found.excess,
    seconds: (performance.now() - began) / 1000, ...more,
  });
  const problem = problemOf(asked);
  if (strategy === "paper" || strategy === "winner_takes_all") {
    // as in Python: the learned cost, but exact counts where detection, whose costs were counted otherwise, is one of several
    const detections = new Set(asked.objectives.map(({ setting }) => world.settings[setting]?.task === "det3d"));
    const kept = { ...asked, family: "paper", learned: detections.size === 1, excess: (x) => problem.judge(x).excess };
    const run = strategy === "paper" ? propagation : winnerTakesAll;
    const found = yield* run(world, kept, from);
    const excess = problem.judge(found.code).excess;
    return told({ ...found, score: -found.loss, excess }, { final: true, path: trace ? frames(found.path) : null });
  }
  if (strategy === "greedy") {
    const found = yield* polish(problem, problem.region.round(from), { pairs: 0, rounds: 1000 });
    return told(found, { final: true, path: trace ? frames(found.path) : null });
  }
  let near = null;
  if (quick && code) {
    const walk = nearbySoon(problem, code);
    let step = walk.next();
    for (; !step.done; step = walk.next()) yield step.value && told(step.value, { final: false, path: null });
    near = step.value;
    if (near.excess === 0) yield told(near, { final: false, path: null });
  }
  const found = yield* robust(problem, from, options);
  if (found.excess > 0) throw new Unreached(problem, found);
  // what was found near the present network stays where it is better: then it is the start that led there
  const better = near && near.excess === 0 && near.score > found.score + 1e-6;
  const best = better ? near : found;
  return told(best, { final: true, warm: better, path: trace ? frames(best.path) : null });
}

class Unreached extends Error {
  constructor(problem, found) {
    const names = [...problem.limits.map((l) => l.name), ...problem.floors.map((f) => `${f.setting}.${f.metric}`)];
    const broken = names.filter((_, j) => found.signed[j] > 0);
    super(`no network was found that keeps ${broken.join(" and ") || "all limits"}: loosen one of them`);
  }
}

/** At most so many codes of a path, the last one among them. */
function frames(path) {
  const every = Math.max(1, Math.ceil(path.length / FRAMES));
  return path.filter((_, i) => (path.length - 1 - i) % every === 0).map((x) => Array.from(x));
}

function* wholeFront({ problem: asked, start }) {
  const problem = new Problem(world, { ...asked, limits: {}, floors: [] });
  const found = yield* front(problem, start ?? world.space.default, { starts: 4 });
  const points = [];
  for (const point of found) {
    points.push({ ...point, code: Array.from(point.code), params: world.space.cost(point.code).params, metrics: world.predict(point.code) });
    yield null;
  }
  return { points };
}

function* predictMany(codes) {
  const points = [];
  for (const code of codes) {
    points.push({ code, ...world.space.cost(code), metrics: world.predict(code) });
    yield null;
  }
  return { points };
}
