// Networks out of files that are dropped onto the page, and the file that the page gives.

const MOST = 32 * 2 ** 20, ROWS = 4000;

/**
 * Networks [{code, name, measured}] in a result.json, an architecture.yaml or a CSV; `measured` holds what a table says of metrics
 * ("seg.mIoU"). Throws an Error that says what is wrong.
 */
export async function readNetworks(file, space, settings) {
  if (file.size > MOST) throw new Error(`${file.name} has more than 32 MiB`);
  if (/\.parquet$/i.test(file.name)) {
    throw new Error(`${file.name} is Parquet, packed in a way that browsers cannot unpack: export it as CSV`);
  }
  const text = await file.text();
  const label = file.name.replace(/\.(json|ya?ml|csv)$/i, "");
  if (/\.json$/i.test(file.name)) return fromJson(text, label, space);
  if (/\.csv$/i.test(file.name)) return fromCsv(text, label, space, settings);
  return [{ code: fromYaml(text, space), name: label }];
}

/** Whatever holds a network in the place where our files hold it: one, or a list. */
export function fromJson(text, label, space) {
  const content = JSON.parse(text);
  const one = (entry) => entry?.architecture ?? entry;
  const found = Array.isArray(content?.architectures) ? content.architectures : Array.isArray(content) ? content : [content];
  const out = [];
  for (const entry of found.slice(0, ROWS)) {
    const given = one(entry);
    const value = Array.isArray(given?.code) ? given.code.join("_") : given?.text ?? (typeof given === "string" ? given : null);
    if (value) out.push({ code: space.parse(value), name: String(entry?.name ?? label) });
  }
  if (!out.length) throw new Error(`${label} holds no architecture`);
  return out;
}

/** The `text` or the `code` of an architecture.yaml. */
export function fromYaml(text, space) {
  const lines = text.split("\n").map((line) => line.replace(/(^|\s)#.*$/, ""));
  const line = lines.find((l) => /^\s*text\s*:/.test(l)) ?? lines.find((l) => /^\s*code\s*:\s*\[/.test(l));
  if (line) return space.parse(line.replace(/^\s*\w+\s*:/, "").replace(/["']/g, ""));
  const start = lines.findIndex((l) => /^\s*code\s*:\s*$/.test(l));
  const items = start < 0 ? [] : lines.slice(start + 1).map((l) => /^\s*-\s*(\d+)\s*$/.exec(l)?.[1]);
  const end = items.findIndex((v) => v === undefined);
  if (start < 0) throw new Error("the file holds neither `text` nor `code` of an architecture");
  return space.parse(items.slice(0, end < 0 ? undefined : end).join("_"));
}

/** Rows of a table with a column `architecture` (or `text`), or with a column for each of the 27 numbers. */
export function fromCsv(text, label, space, settings = {}) {
  const rows = parseCsv(text);
  const head = rows[0]?.map((name) => name.trim()) ?? [];
  const one = head.findIndex((name) => ["architecture", "text", "arch", "code"].includes(name));
  const prefix = ["", "code.", "rounded."].find((p) => space.labels.every((l) => head.includes(p + l)));
  const many = prefix === undefined ? null : space.labels.map((l) => head.indexOf(prefix + l));
  if (one < 0 && !many) throw new Error(`${label} has neither a column “architecture” nor one for each of the 27 numbers`);
  const metrics = metricColumns(head, label, settings);
  const named = head.findIndex((name) => ["name", "strategy", "given"].includes(name));
  const out = [];
  let wrong = "";
  for (const row of rows.slice(1, ROWS + 1)) {
    if (row.length < 2 && !row[0]) continue;
    try {
      const code = one >= 0 ? space.parse(row[one]) : space.parseNumbers(many.map((i) => Number(row[i])));
      const measured = {};
      for (const [name, i] of metrics) if (row[i] && Number.isFinite(Number(row[i]))) measured[name] = Number(row[i]);
      out.push({ code, name: named >= 0 && row[named] ? row[named] : `${label}, row ${out.length + 1}`, measured });
    } catch (error) {
      wrong ||= error.message;
    }
  }
  if (!out.length) throw new Error(wrong || `${label} has no rows`);
  return out;
}

/** Columns of a table that hold measured metrics: "seg.mIoU", or "mIoU" in a file that is called after its setting. */
function metricColumns(head, label, settings) {
  const own = Object.keys(settings).filter((name) => label === name || label.startsWith(`${name}-`)).sort((a, b) => b.length - a.length)[0];
  const out = [];
  for (const [setting, { metrics }] of Object.entries(settings)) {
    for (const metric of Object.keys(metrics)) {
      const i = [head.indexOf(`${setting}.${metric}`), setting === own ? head.indexOf(metric) : -1].find((at) => at >= 0);
      if (i !== undefined) out.push([`${setting}.${metric}`, i]);
    }
  }
  return out;
}

/** Cells of a CSV: quoted ones may hold commas, line ends and doubled quotes. */
export function parseCsv(text) {
  const rows = [[]];
  let cell = "", quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[++i];
      else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "," || c === "\n") {
      rows[rows.length - 1].push(cell.replace(/\r$/, ""));
      cell = "";
      if (c === "\n") rows.push([]);
    } else cell += c;
  }
  if (cell || rows[rows.length - 1].length) rows[rows.length - 1].push(cell);
  return rows.filter((row) => row.length);
}

/** An architecture.yaml as Python's search writes it. */
export function architectureYaml(code, space, command) {
  return `# made by the explorer; trained with: ${command} task=... arch=file arch.path=THIS_FILE\n` +
    `space: ${space.name}\ntext: ${space.text(code)}\ncode: [${Array.from(code).join(", ")}]\n`;
}
