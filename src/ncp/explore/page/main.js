// The page: one state, what it is shown by, and the worker that answers for it.
import { Axes, gainsOf } from "./axes.js";
import { Chart } from "./chart.js";
import { startWorker } from "./client.js";
import { Controls } from "./controls.js";
import { announce, bytes, copy, digits, download, h, short, write } from "./dom.js";
import { architectureYaml, readNetworks } from "./files.js";
import { COLOURS, Drawing, HEADINGS, rows, told } from "./network.js";
import { Player } from "./player.js";
import { Predicted } from "./predicted.js";
import { possible, stepState } from "./presets.js";
import { hideTip, showTip, status, toast } from "./shell.js";
import { Space } from "./space.js";
import { asked, commandOf, firstSetting, fromHash, problemOf, split, toHash } from "./state.js";

const byId = (id) => document.getElementById(id);
const description = JSON.parse(byId("description").textContent);
const { settings } = description;
const space = new Space(description.space);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const arrived = location.hash.includes("net="); // with a network in the address there is nothing to search yet
let state = fromHash(location.hash, space, settings, description.machines.length);
let shown = Float64Array.from(state.code); // the code that is drawn, on its way to state.code
let known = null; // what is predicted of state.code
let pinKnown = null;
let front = null; // {key, points}
let files = []; // networks out of dropped files; shown once they are predicted
const past = [];
const MOST_FILES = 4000;

// ---- what the page is made of

const presetButtons = possible(settings).map((preset) => h("button", { type: "button", ariaPressed: "false", onclick: () => togglePreset(preset) }, preset.words));
const controls = new Controls(byId("wants"), withRanges(description), { change: edit });
byId("presets").append(...presetButtons);
const drawing = new Drawing(byId("drawing"), space, {
  hover: (part, where, spoken) => showTip(part.title + (part.words ? `: ${part.words}` : ""), told(part), where, spoken),
  leave: hideTip,
});
const predicted = new Predicted(byId("predicted"), settings);
const chart = new Chart(byId("front"), settings, {
  take: (point) => takeNetwork(point.code, "The search waits until something is changed."),
  choose: (name) => { state.axis = name; show(); askAll(false); },
  tip: ([title, lines], where, spoken) => showTip(title, lines, where, spoken), untip: hideTip,
});
const axes = new Axes(byId("axes"), space, {
  now: () => state,
  change: (i, value) => edit((s) => { s.code[i] = s.fixed[i] = value; delete s.bounds[i]; }),
  fix: (i, on) => edit((s) => { if (on) s.fixed[i] = s.code[i]; else delete s.fixed[i]; }),
  bound: (i, low, high) => edit((s) => {
    const d = space.dimensions[i];
    delete s.fixed[i];
    if (low <= d.lower && high >= d.upper) delete s.bounds[i];
    else s.bounds[i] = [low, high];
  }),
});
const player = new Player({ step: playStep, frame: playFrame, arrive });
const follow = h("input", { type: "checkbox", onchange: () => edit((s) => { s.auto = follow.checked; }) });
const free = h("button", { type: "button", onclick: () => edit((s) => { s.fixed = {}; s.bounds = {}; }) }, "Free all");
const searchButton = h("button", { type: "button", onclick: () => { stopPlaying(); if (!state.waits) askSearch(); } }, "Search now");
byId("follow").append(h("label", { className: "switch" }, follow, "the rest follows by search"), " ", searchButton, " ", free);

const colourButtons = Object.entries(COLOURS).map(([name, words]) => h("button", { type: "button", onclick: () => { state.colour = name; show(); } }, words));
const pinButton = h("button", { type: "button", onclick: togglePin });
const pinNote = h("span", null, "dashed: the pinned one");
byId("drawing-tools").append(
  h("span", null, "Colour: share of"), h("span", { className: "group", role: "group", ariaLabel: "What makes boxes dark" }, colourButtons), pinButton, pinNote,
);
const layerTable = h("tbody");
byId("layers").querySelector(".scroll").append(h("table", null, h("thead", null, h("tr", null, HEADINGS.map((t) => h("th", { scope: "col" }, t)))), layerTable));
byId("layers").addEventListener("toggle", show);

const undo = h("button", { type: "button", onclick: goBack, title: "The network and settings before the last change" }, "Undo");
byId("actions").append(
  undo,
  h("button", { type: "button", onclick: () => copy(location.href).then(() => toast("The address of this page, as it is now, was copied.")) }, "Copy link"),
  h("button", { type: "button", onclick: () => copy(space.text(state.code)).then(() => toast("The network’s code was copied.")) }, "Copy code"),
  h("button", { type: "button", onclick: () => download("architecture.yaml", architectureYaml(state.code, space, description.train, firstSetting(state, settings))) }, "Save architecture.yaml"),
);
const commandText = h("code");
byId("command").append(commandText, h("button", { type: "button", title: "The command line that repeats this search", onclick: () => copy(commandText.textContent).then(() => toast("The command was copied.")) }, "Copy command"));
const picker = h("input", { type: "file", multiple: true, accept: ".json,.yaml,.yml,.csv,.parquet", className: "hidden", tabIndex: -1, onchange: () => readFiles(picker.files) });
const fileNote = h("span", null, "Drop result.json, architecture.yaml or a table of networks (CSV, Parquet) here");
byId("front").append(h("div", { className: "drop" }, fileNote, h("button", { type: "button", onclick: () => picker.click() }, "Choose …"), picker));

byId("footer").append(
  h("p", null, "Predictions are of networks trained as in NAS-Bench-MR; costs are exact for 128 × 128 pixels and 19 classes per pixel. " +
    "A prediction’s error on networks that a predictor did not see: ", Object.keys(settings).map((name) => {
      const card = description.predictors.find((p) => p.name === name && p.family === "default");
      const mae = card?.errors[settings[name].main]?.mae;
      return mae === undefined ? null : `${name} ${mae.toFixed(2)}`;
    }).filter(Boolean).join(", "), " points. Nothing leaves this page."),
);

/** Ranges of the latency sliders, from what was measured. */
function withRanges(given) {
  return { ...given, machines: given.machines.map((m) => ({ ...m, usual: Number(digits(m.milliseconds[1], 2)), range: [m.milliseconds[0] * 0.7, m.milliseconds[2] * 1.2] })) };
}

// ---- from a change to a network

const worker = startWorker(byId("worker").textContent, description, byId("numbers-packed").textContent, {
  ready: () => { askPin(); askAll(!arrived); if (arrived) status(""); },
  predicted(answer) {
    known = { ...answer, metrics: { ...known?.metrics, ...answer.metrics } };
    show();
  },
  found: found,
  front({ points, done }) {
    if (!done) return;
    front = { ...front, points, busy: false };
    show();
  },
  marginals({ dimensions }) {
    const names = Object.keys(state.objectives).length ? Object.keys(state.objectives) : Object.keys(state.floors);
    const place = Math.max(0, names.indexOf(shownMetric()));
    const [setting, metric] = split(names[place]);
    axes.showGains(gainsOf(space, dimensions, place, settings[setting].metrics[metric].sign, `${setting} ${metric}`), `${setting} ${metric}`);
  },
  predictedMany({ points, done }) {
    if (!done) return;
    files = points.map((point, i) => ({ ...files[i], ...point }));
    show();
  },
  pinned({ metrics }) {
    pinKnown = metrics;
    show();
  },
  failed({ message, unreachable }) {
    const words = unreachable ? `Cannot be met: the smallest network has ${amount(unreachable.limit, unreachable.least)}` : message;
    status(words, true);
    if (front?.busy) front = { ...front, busy: false };
    stopPlaying();
  },
});

function amount(name, value) {
  return name === "memory_mb" ? `${digits(value, 3)} MiB` : `${short(value)} ${name === "macs" ? "multiply-adds" : "parameters"}`;
}

/** Change the state, show it, and search on. */
function edit(change, { search = true } = {}) {
  stopPlaying();
  remember(true);
  const next = structuredClone(state); // the old one may be gone back to
  change(next);
  if (!asked(next).length) {
    status("Nothing is asked for: give a task some weight.", true);
    next.waits = true;
  } else next.waits = false;
  state = next;
  show();
  askAll(search && !next.waits);
}

let remembered = -Infinity;
/** Keep the state to go back to; of edits that follow each other at once, as while a slider is dragged, the first one. */
function remember(edited = false) {
  const now = performance.now();
  if (!edited || now - remembered > 900) past.push(state);
  remembered = edited ? now : -Infinity;
  if (past.length > 100) past.shift();
}

function goBack() {
  if (!past.length) return;
  stopPlaying();
  state = past.pop();
  remembered = -Infinity;
  worker.stop();
  status("");
  show();
  askAll(false);
}

/** Ask for all that is not known of the present state. */
function askAll(search) {
  if (!state.waits && !(search && state.auto)) worker.ask("marginals", { code: state.code, problem: problemOf(state, settings) });
  askPredictions(state.code);
  if (search && state.auto) askSearch();
  if (!state.waits) askFront();
}

function askSearch() {
  status("searching …");
  worker.ask("search", { problem: problemOf(state, settings), code: state.code, start: startOf(), strategy: state.strategy });
}

function askPin() {
  pinKnown = null;
  if (state.pin) worker.ask("pin", { code: state.pin });
}

/** Fixed numbers keep the values of the present network, as those of the command line keep the start's. */
function startOf() {
  return Object.keys(state.fixed).length ? state.code : null;
}

/** Ask what is predicted of a code, first of the settings that something is asked of. */
function askPredictions(code) {
  const wanted = new Set(asked(state).map((name) => split(name)[0]));
  worker.ask("predict", { code, inference: state.inference, settings: [...wanted] });
}

function askFront() {
  const { objectives, bounds, fixed, kappa } = problemOf(state, settings);
  const key = JSON.stringify([objectives, bounds, fixed, kappa]);
  if (front?.key === key && !front.busy) return;
  // the old one stays meanwhile where only weights or bounds have changed
  const names = Object.keys(state.objectives).join();
  front = { key, names, points: front?.names === names ? front.points : null, busy: true };
  worker.ask("front", { problem: problemOf(state, settings) });
}

function found({ code: given, final, warm, path, seconds, excess }) {
  if (player.preset) return path ? player.show(path) : undefined;
  const code = given.map((v, i) => state.fixed[i] ?? v); // what is dragged meanwhile stays under the finger
  if (excess > 0) status("No step of this walk keeps the limits; the nearest is shown.", true);
  else status(final ? `found in ${digits(seconds, 2)} s` : "searching on …");
  state = { ...state, code, warm: warm ? code : null };
  show();
  askPredictions(code);
  if (final) {
    worker.ask("marginals", { code, problem: problemOf(state, settings) });
    const macs = space.cost(code).macs;
    announce(`New network of ${short(macs)} multiply-adds`);
  }
  return undefined;
}

function takeNetwork(code, words) {
  stopPlaying();
  remember();
  worker.stop();
  if (front?.busy) front = null;
  state = { ...state, code: Array.from(code), warm: Array.from(code) };
  status(words);
  show();
  askAll(false);
}

// ---- showing

/** Show the state with the next frame, however often it changes until then. */
let timer = 0, frame = 0;
function show() {
  frame ||= requestAnimationFrame(() => { frame = 0; render(); });
}

function render() {
  follow.checked = state.auto;
  free.hidden = !Object.keys(state.fixed).length && !Object.keys(state.bounds).length;
  undo.disabled = !past.length;
  controls.show(state);
  write(commandText, commandOf(state, description, space));
  write(pinButton, state.pin ? "Unpin" : "Pin to compare");
  pinNote.hidden = !state.pin;
  searchButton.hidden = state.auto && !(arrived && !past.length);
  Object.keys(COLOURS).forEach((name, i) => colourButtons[i].setAttribute("aria-pressed", String(name === state.colour)));
  if (!player.preset) approach(state.code);
  else drawAll();
  if (known) predicted.show(known.metrics, asked(state), state.pin ? pinKnown : null);
  chart.show({
    metric: shownMetric(),
    points: front?.points, busy: front?.busy, files: files.filter((f) => f.metrics), source: files, macs: state.limits.macs,
    here: known?.metrics[split(shownMetric())[0]] ? { code: known.code, ...space.cost(known.code), metrics: known.metrics } : null,
    pin: state.pin && pinKnown ? { code: state.pin, ...space.cost(state.pin), metrics: pinKnown } : null,
  });
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, "", `#${toHash(state, space)}`), 150);
}

/** The metric of the chart: the one that was chosen, else the first that is asked for. */
function shownMetric() {
  const [first] = asked(state);
  return state.axis ?? first ?? `${Object.keys(settings)[0]}.${settings[Object.keys(settings)[0]].main}`;
}

/** Let the drawing move to a code, in a fifth of a second. */
let moving = 0;
function approach(code) {
  const from = shown.slice(), began = performance.now();
  cancelAnimationFrame(moving);
  if (calm.matches || from.every((v, i) => v === code[i])) {
    shown = Float64Array.from(code);
    return drawAll();
  }
  const step = (now) => {
    const t = Math.min(1, Math.max(0, (now - began) / 200));
    const eased = 1 - (1 - t) ** 3;
    shown = from.map((v, i) => v + eased * (code[i] - v));
    drawAll();
    if (t < 1) moving = requestAnimationFrame(step);
  };
  moving = requestAnimationFrame(step);
  return undefined;
}

let drawn = [];
function drawAll() {
  const now = [shown.join(), state.pin, state.colour, JSON.stringify([state.fixed, state.bounds]), known, byId("layers").open];
  if (now.every((value, i) => value === drawn[i])) return; // a slider moves on while the network stays
  drawn = now;
  drawing.show(shown, state.pin, state.colour);
  axes.show({ code: shown, pin: state.pin, fixed: state.fixed, bounds: state.bounds, still: shown.every((v, i) => v === state.code[i]) });
  totals();
  if (byId("layers").open) layerTable.replaceChildren(...rows(space, shown.map(Math.round)).map((cells) => h("tr", null, cells.map((c) => h("td", null, c)))));
}

const totalRows = [];
function totals() {
  const now = space.cost(shown), was = state.pin ? space.cost(state.pin) : null;
  const items = [[short(now.macs), "multiply-adds", was && now.macs / was.macs], [short(now.params), "parameters", was && now.params / was.params]];
  if (known?.memory) items.push([bytes(known.memory * 2 ** 20), `peak memory, ${state.inference.dtype}`, null]);
  known?.milliseconds.forEach(({ mean, std }, i) => items.push([`${digits(mean, 3)} ms`, `± ${digits(std, 2)} on ${description.machines[i].card.device || "the machine"}`, null]));
  items.forEach(([value, words, ratio], i) => {
    if (!totalRows[i]) {
      const [number, change, note] = [h("b"), h("span", { className: "delta" }), h("span")];
      totalRows[i] = { number, change, note, row: h("div", { className: "total" }, number, change, note) };
      byId("totals").append(totalRows[i].row);
    }
    const { number, change, note, row } = totalRows[i];
    row.hidden = false;
    write(number, value);
    write(change, ratio && Math.abs(ratio - 1) > 0.004 ? `${ratio > 1 ? "+" : "−"}${Math.round(Math.abs(ratio - 1) * 100)} %` : "");
    write(note, words);
  });
  for (const { row } of totalRows.slice(items.length)) row.hidden = true;
}

// ---- pins, presets, files

function togglePin() {
  remember();
  state = { ...state, pin: state.pin ? null : Array.from(state.code) };
  askPin();
  show();
}

function togglePreset(preset) {
  const same = player.preset === preset;
  stopPlaying();
  if (same) return;
  remember();
  presetButtons[possible(settings).indexOf(preset)].setAttribute("aria-pressed", "true");
  player.start(preset);
}

/** Search for one step of a preset; the walk comes as an answer. */
function playStep(step, before) {
  const start = before && Array.from(before);
  state = { ...stepState(state, step, settings), code: Array.from(start ?? space.default), auto: true };
  shown = Float64Array.from(state.code);
  status("searching …");
  show();
  worker.ask("search", { problem: problemOf(state, settings), start, strategy: "robust", trace: true, quick: false });
  askFront();
}

/** One code of a walk: the network, what is predicted of it, the point in the chart. */
function playFrame(code, number, of) {
  shown = Float64Array.from(code);
  askPredictions(code);
  status(`step ${number} of ${of}`, false, true);
  show();
}

function arrive(code) {
  showStopped();
  state = { ...state, code: Array.from(code) };
  status("arrived");
  show();
  askAll(false);
}

function stopPlaying() {
  if (!player.preset) return;
  player.stop();
  showStopped();
  state = { ...state, code: Array.from(space.round(shown)) };
}

function showStopped() {
  for (const button of presetButtons) button.setAttribute("aria-pressed", "false");
}

async function readFiles(list) {
  const found = [];
  for (const file of list) {
    try {
      const networks = await readNetworks(file, space, settings);
      if (networks.left) toast(networks.left);
      found.push(...networks);
    } catch (error) {
      toast(error.message);
    }
  }
  if (!found.length) return;
  fileNote.textContent = found.length === 1 ? `${found[0].name} is shown` : `${found.length} networks out of files, as diamonds`;
  files = [...files, ...found].slice(-MOST_FILES);
  worker.ask("predictMany", { codes: files.map((f) => f.code) });
  if (found.length === 1) takeNetwork(found[0].code, `${found[0].name}: the search waits until something is changed.`);
}

addEventListener("dragover", (e) => { e.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", (e) => { if (!e.relatedTarget) document.body.classList.remove("dragging"); });
addEventListener("drop", (e) => { e.preventDefault(); document.body.classList.remove("dragging"); readFiles(e.dataTransfer.files); });
addEventListener("hashchange", () => {
  if (location.hash.slice(1) === toHash(state, space)) return;
  stopPlaying();
  state = fromHash(location.hash, space, settings, description.machines.length);
  askPin();
  show();
  askAll(false);
});

// what a test, or a curious person, may ask the page
window.explorer = {
  get state() { return state; },
  get known() { return known; },
  get front() { return front; },
  get files() { return files; },
  command: () => commandOf(state, description, space),
  edit, readFiles, render,
};
show();
status("starting …");
