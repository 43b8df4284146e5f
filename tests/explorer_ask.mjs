// Answers questions with the page's own modules, outside of any browser: node explorer_ask.mjs PAGE_FOLDER FILE, answers on stdout.
// FILE: {description, numbers, length, questions: [{what, ...}]}; what the questions are stands in `answers` below.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [, , folder, file] = process.argv;
const load = (name) => import(pathToFileURL(`${folder}/${name}.js`));
const given = JSON.parse(await readFile(file, "utf8"));
const { makeWorld } = await load("world");
const { Problem } = await load("problem");
const { nearbySoon, robust } = await load("robust");
const { front, marginals } = await load("front");
const { propagation, winnerTakesAll } = await load("propagation");
const { commandOf, firstSetting, fromHash, problemOf, toHash } = await load("state");
const files = await load("files");
const world = await makeWorld(given.description, given.numbers);

const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };

function finish(generator) {
  let step = generator.next();
  while (!step.done) step = generator.next();
  return step.value;
}

const answers = {
  predict: ({ codes, family }) => codes.map((code) => world.predict(code, world.predictors.names(family), family)),
  cost: ({ codes }) => codes.map((code) => world.space.cost(code)),
  layers: ({ code, setting }) => world.space.layers(code, setting),
  text: ({ codes }) => codes.map((code) => world.space.text(code)),
  parse: ({ texts }) => texts.map((text) => {
    try { return world.space.parse(text); } catch (error) { return error.message; }
  }),
  round: ({ codes }) => codes.map((code) => Array.from(world.space.round(code))),
  memory: ({ codes, settings, inference }) => codes.map((code) => world.memory(settings, inference).at(code)),
  milliseconds: ({ codes }) => codes.map((code) => world.milliseconds(code)),
  /** Values, excesses and the derivative of the penalised loss. */
  slope: ({ codes, problem, penalty }) => {
    const asked = new Problem(world, problem);
    return codes.map((code) => {
      const at = asked.terms(code);
      return { ...at, gradient: Array.from(asked.slope(at, penalty)) };
    });
  },
  search: ({ problem, start, options }) => {
    const asked = new Problem(world, problem);
    const found = finish(robust(asked, start ?? world.space.default, { given: Boolean(start), ...options }));
    return { code: Array.from(found.code), score: found.score, value: found.value, excess: found.excess };
  },
  front: ({ problem, options }) => finish(front(new Problem(world, problem), world.space.default, options)),
  marginals: ({ problem, code }) => marginals(new Problem(world, problem), code),
  /** The state in an address, what the address of that state is, its command, and the problem that the worker is asked. */
  hash: ({ hashes }) => hashes.map((hash) => {
    const { description } = given;
    const state = fromHash(hash, world.space, description.settings, description.machines.length);
    const problem = problemOf(state, description.settings);
    return { state, hash: toHash(state, world.space), command: commandOf(state, description, world.space), problem };
  }),
  /** Networks in a file, given as text or (`base64`) as bytes; `left` asks which rows are not among them. */
  file: async ({ name, text = "", base64, size, left }) => {
    const bytes = Uint8Array.from(base64 === undefined ? Buffer.from(text) : Buffer.from(base64, "base64"));
    const file = { name, size: size ?? bytes.length, text: async () => text, arrayBuffer: async () => bytes.buffer };
    try {
      const found = await files.readNetworks(file, world.space, given.description.settings);
      return left ? found.left : found;
    } catch (error) { return error.message; }
  },
  yaml: ({ code, hash }) => {
    const { settings } = given.description;
    const setting = firstSetting(fromHash(hash, world.space, settings, given.description.machines.length), settings);
    return files.architectureYaml(code, world.space, "ncp train", setting);
  },
  propagation: ({ problem, start, options, repeat = 1 }) => {
    let milliseconds = Infinity, found;
    for (let i = 0; i < repeat; i++) {
      const began = cpu();
      found = finish(propagation(world, problem, start ?? world.space.default, options));
      milliseconds = Math.min(milliseconds, cpu() - began);
    }
    const { codes, losses, code, step } = found;
    return { codes: codes.map((c) => Array.from(c)), losses, code: Array.from(code), step, milliseconds };
  },
  /** Milliseconds of CPU from a change of lambda to the first network, the least of ten changes. */
  near: ({ problem }) => {
    let { code } = finish(robust(new Problem(world, problem), world.space.default, { given: false }));
    const times = [];
    for (let i = 0; i < 10; i++) {
      const began = cpu();
      const walk = nearbySoon(new Problem(world, { ...problem, lam: i % 2 ? 0.5 : 0.7 }), code, undefined, cpu); // as soon as in the page
      let step = walk.next();
      while (!step.done && !step.value) step = walk.next();
      times.push(cpu() - began);
      ({ code } = step.done ? step.value : finish(walk));
    }
    return Math.min(...times);
  },
  winner: ({ problem, start, options }) => {
    const { codes, losses, code } = finish(winnerTakesAll(world, problem, start ?? world.space.default, options));
    return { codes: codes.map((c) => Array.from(c)), losses, code: Array.from(code) };
  },
};
const said = [];
for (const question of given.questions) said.push(await answers[question.what](question));
process.stdout.write(JSON.stringify(said));
