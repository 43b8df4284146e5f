// What the page shows, and how the address bar says it.

/** The state a page begins with. */
export function initial(space, settings) {
  const names = Object.keys(settings);
  const wanted = ["cls-50-1000", "seg"].filter((name) => names.includes(name));
  const first = wanted.length === 2 ? wanted : names.slice(0, 1);
  return {
    objectives: Object.fromEntries(first.map((name) => [`${name}.${settings[name].main}`, 1])),
    lam: 0.5, kappa: 1, limits: {}, floors: {}, bounds: {}, fixed: {}, strategy: "robust",
    inference: { size: null, dtype: "fp32", batch: 1 },
    code: Array.from(space.default), pin: null, auto: true, colour: "macs", axis: null, warm: null,
  };
}

/** setting and metric of "seg.mIoU"; a setting's name may hold dots, a metric's none. */
export function split(name) {
  const at = name.lastIndexOf(".");
  return [name.slice(0, at), name.slice(at + 1)];
}

/** All metrics that something is asked of: "seg.mIoU", objectives before floors, each once. */
export function asked({ objectives, floors }) {
  return Object.keys({ ...objectives, ...floors });
}

/** The setting of the first metric that something is asked of, else the page's first. */
export function firstSetting(state, settings) {
  const [name] = asked(state);
  return name ? split(name)[0] : Object.keys(settings)[0];
}

/** Whether any limit of cost is set. */
export function limited({ limits }) {
  return Object.values(limits).flat().some(Boolean);
}

/** Whether there is such a setting with such a metric; names like "constructor" are none. */
function knows(settings, setting, metric) {
  return Object.hasOwn(settings, setting) && Object.hasOwn(settings[setting].metrics, metric);
}

/** What the worker is asked: the state as a problem of the search. */
export function problemOf(state, settings) {
  const read = ([name, value]) => {
    const [setting, metric] = split(name);
    return { setting, metric, sign: settings[setting].metrics[metric].sign, value };
  };
  const floors = Object.entries(state.floors).map(read);
  const objectives = Object.entries(state.objectives).map(read).map(({ value, ...o }) => ({ ...o, weight: value }));
  return {
    objectives: objectives.length ? objectives : floors.map(({ value, ...o }) => ({ ...o, weight: 1 })),
    floors, lam: state.lam, kappa: state.kappa, limits: state.limits, bounds: state.bounds, fixed: state.fixed,
    inference: state.inference, family: "default",
  };
}

const number = (value) => String(Number(Number(value).toPrecision(6)));

/** The state as the part of an address after #. Only what differs from the beginning is told. */
export function toHash(state, space) {
  const out = new URLSearchParams();
  const listed = (entries) => entries.map(([name, value]) => `${name}:${number(value)}`).join(",");
  out.set("for", listed(Object.entries(state.objectives)));
  if (state.lam !== 0.5) out.set("lam", number(state.lam));
  if (state.kappa !== 1) out.set("kappa", number(state.kappa));
  if (state.strategy !== "robust") out.set("by", state.strategy);
  for (const name of ["macs", "params", "memory_mb"]) if (state.limits[name]) out.set(name, number(state.limits[name]));
  if (state.limits.latency_ms?.some(Boolean)) out.set("ms", state.limits.latency_ms.map((v) => (v ? number(v) : "")).join(","));
  if (Object.keys(state.floors).length) out.set("floor", listed(Object.entries(state.floors)));
  const label = (i) => space.labels[i];
  const fixed = Object.keys(state.fixed), bounds = Object.entries(state.bounds);
  if (fixed.length) out.set("fixed", fixed.map(label).join(","));
  if (bounds.length) out.set("bounds", bounds.map(([i, [low, high]]) => `${label(i)}:${low}-${high}`).join(","));
  const { size, dtype, batch } = state.inference;
  if (size) out.set("size", size.join("x"));
  if (dtype !== "fp32") out.set("dtype", dtype);
  if (batch !== 1) out.set("batch", batch);
  if (!state.auto) out.set("follow", "no");
  if (state.colour !== "macs") out.set("colour", state.colour);
  if (state.axis) out.set("axis", state.axis);
  if (state.pin) out.set("pin", space.text(state.pin));
  out.set("net", space.text(state.code));
  // what an address may hold anyway stays readable
  return out.toString().replace(/%3A/g, ":").replace(/%2C/g, ",");
}

/** The state in an address; whatever cannot be read there is left as it is. */
export function fromHash(hash, space, settings, machines) {
  const state = initial(space, settings);
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const positive = (text, most = Infinity) => {
    const value = Number(text);
    return Number.isFinite(value) && value > 0 && value <= most ? value : null;
  };
  const metrics = (text, check) => Object.fromEntries((text ?? "").split(",").map((part) => {
    const at = part.lastIndexOf(":");
    const name = part.slice(0, at), value = Number(part.slice(at + 1));
    const [setting, metric] = split(name);
    return knows(settings, setting, metric) && Number.isFinite(value) && check(value) ? [name, value] : null;
  }).filter(Boolean));
  if (given.has("for")) state.objectives = metrics(given.get("for"), (v) => v > 0 && v <= 100);
  state.floors = metrics(given.get("floor"), (v) => Math.abs(v) < 1e6);
  if (!asked(state).length) state.objectives = initial(space, settings).objectives;
  const lam = Number(given.get("lam") ?? 0.5), kappa = Number(given.get("kappa") ?? 1);
  if (lam >= 0 && lam <= 100) state.lam = lam;
  if (kappa >= 0 && kappa <= 10) state.kappa = kappa;
  if (["robust", "paper", "winner_takes_all", "greedy"].includes(given.get("by"))) state.strategy = given.get("by");
  for (const name of ["macs", "params", "memory_mb"]) {
    const value = positive(given.get(name));
    if (value) state.limits[name] = value;
  }
  const milliseconds = (given.get("ms") ?? "").split(",").slice(0, machines).map((v) => positive(v));
  if (milliseconds.some(Boolean)) state.limits.latency_ms = milliseconds;
  const parsed = (text) => {
    try {
      return space.parse(text);
    } catch {
      return null;
    }
  };
  state.code = parsed(given.get("net") ?? "") ?? state.code;
  state.pin = parsed(given.get("pin") ?? "");
  for (const name of (given.get("fixed") ?? "").split(",")) {
    if (space.index(name) >= 0) state.fixed[space.index(name)] = state.code[space.index(name)];
  }
  for (const part of (given.get("bounds") ?? "").split(",")) {
    const found = /^(\w+):(\d{1,4})-(\d{1,4})$/.exec(part);
    const i = found ? space.index(found[1]) : -1;
    if (i < 0) continue;
    const [low, high] = [Number(found[2]), Number(found[3])];
    const on = (v) => space.lower[i] <= v && v <= space.upper[i] && v % space.step[i] === 0;
    if (on(low) && on(high) && low <= high) state.bounds[i] = [low, high];
  }
  const size = /^(\d{1,5})x(\d{1,5})$/.exec(given.get("size") ?? "");
  if (size && Number(size[1]) && Number(size[2])) state.inference.size = [Number(size[1]), Number(size[2])];
  if (["bf16", "fp16", "int8"].includes(given.get("dtype"))) state.inference.dtype = given.get("dtype");
  state.inference.batch = Math.round(positive(given.get("batch"), 1e5) ?? 1);
  state.auto = given.get("follow") !== "no";
  if (["params", "maps"].includes(given.get("colour"))) state.colour = given.get("colour");
  const [setting, metric] = split(given.get("axis") ?? ".");
  if (knows(settings, setting, metric)) state.axis = given.get("axis");
  return state;
}

const quoted = (word) => (/^[\w./:=,+@%-]*$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);

/** The command that repeats the search on the command line. */
export function commandOf(state, description, space) {
  const { settings } = description;
  const words = [];
  const shortName = (setting, metric) => {
    const known = settings[setting];
    return metric === known.main ? known.short : `${known.short}.${metric}`;
  };
  const objectives = Object.entries(state.objectives).map(([name, weight]) => {
    const called = shortName(...split(name));
    return weight === 1 ? called : `{metric:${called},weight:${number(weight)}}`;
  });
  if (objectives.length) words.push(`objectives=[${objectives.join(",")}]`);
  if (state.strategy !== "robust") words.push(`strategy=${state.strategy}`);
  for (const [name, value] of Object.entries(state.limits)) {
    if (Array.isArray(value)) {
      if (!value.some(Boolean)) continue;
      const list = description.machines.map((_, i) => (value[i] ? number(value[i]) : "null"));
      words.push(`budget.latency_ms=${list.length > 1 ? `[${list}]` : list[0]}`);
    } else if (value) words.push(`budget.${name}=${number(value)}`);
  }
  if (state.limits.latency_ms?.some(Boolean)) words.push(`latency=[${description.machines.map((m) => m.file)}]`);
  for (const [name, value] of Object.entries(state.floors)) words.push(`floor.${name}=${number(value)}`);
  if (!limited(state) && state.lam !== 0.5) words.push(`lam=${number(state.lam)}`);
  if (state.kappa !== 1 && state.strategy === "robust") words.push(`kappa=${number(state.kappa)}`);
  const fixed = Object.keys(state.fixed).map((i) => space.labels[i]);
  if (fixed.length) words.push(`fixed=[${fixed}]`);
  for (const [i, [low, high]] of Object.entries(state.bounds)) words.push(`bounds.${space.labels[i]}=[${low},${high}]`);
  if (state.limits.memory_mb) {
    const { size, dtype, batch } = state.inference;
    if (size) words.push(`size=[${size}]`);
    if (dtype !== "fp32") words.push(`dtype=${dtype}`);
    if (batch !== 1) words.push(`batch=${batch}`);
  }
  const metrics = asked(state).map(split);
  const used = [...new Set(metrics.map(([setting]) => setting))];
  if (metrics.some(([setting, metric]) => settings[setting].metrics[metric].unlearned)) words.push("force=true");
  if (used.some((name) => settings[name].file)) {
    words.push(`predictors={${used.map((name) => `${name}:${settings[name].file || name}`)}}`);
  }
  if (fixed.length || state.warm) words.push(`start=${space.text(fixed.length ? state.code : state.warm)}`);
  return [description.command, ...words.map(quoted)].join(" ");
}
