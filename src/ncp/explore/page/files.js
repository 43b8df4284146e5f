// Networks out of files that are dropped onto the page, and the file that the page gives.
import { openParquet } from "./parquet.js";

const MOST = 32 * 2 ** 20, ROWS = 4000;

/**
 * Networks [{code, name, measured}] in a result.json, an architecture.yaml, a CSV or a Parquet file; `measured` holds what a table
 * says of metrics ("seg.mIoU"), and the list's own `left` in words which rows are not among them. Throws an Error that says what is
 * wrong.
 */
export async function readNetworks(file, space, settings) {
  if (file.size > MOST) throw new Error(`${file.name} has more than 32 MiB`);
  const label = file.name.replace(/\.(json|ya?ml|csv|parquet)$/i, "");
  if (/\.parquet$/i.test(file.name)) return fromParquet(await file.arrayBuffer(), label, space, settings);
  const text = await file.text();
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
  const [first, ...rows] = parseCsv(text);
  const head = (first ?? []).map((name) => name.trim());
  const table = new Table(head, label, space, metricColumns(head, ownSetting(label, settings), settings));
  return table.networks(rows);
}

/** The same of a Parquet file. One of ours says itself of which setting its metrics are. */
export async function fromParquet(buffer, label, space, settings = {}) {
  const file = openParquet(buffer, label);
  const own = statedSetting(file.about, settings) ?? ownSetting(label, settings);
  const whole = new Table(file.names, label, space, metricColumns(file.names, own, settings));
  const used = whole.used(); // the others are not even unpacked
  const table = new Table(used, label, space, metricColumns(used, own, settings));
  return table.networks(await file.rows(used, ROWS), file.count);
}

/** Which columns of a table say what, and the networks in its rows. */
class Table {
  constructor(head, label, space, metrics) {
    Object.assign(this, { head, label, space, metrics });
    this.one = head.findIndex((name) => ["architecture", "text", "arch", "code"].includes(name));
    const prefix = ["", "code.", "rounded."].find((p) => space.labels.every((l) => head.includes(p + l)));
    this.many = prefix === undefined ? [] : space.labels.map((l) => head.indexOf(prefix + l));
    if (this.one < 0 && !this.many.length) {
      throw new Error(`${label} has neither a column “architecture” nor one for each of the 27 numbers`);
    }
    this.named = head.findIndex((name) => ["name", "strategy", "given"].includes(name));
  }

  /** Names of the columns that are looked at. */
  used() {
    const places = [...(this.one >= 0 ? [this.one] : this.many), this.named, ...this.metrics.map(([, i]) => i)];
    return [...new Set(places.filter((i) => i >= 0))].map((i) => this.head[i]);
  }

  /** Those in at most ROWS rows; of `count` rows in all, what is not among them is told in `left`. */
  networks(rows, count = rows.length) {
    const out = [];
    let wrong = count > ROWS ? `the first ${ROWS} are read` : "";
    for (const row of rows.slice(0, ROWS)) {
      try {
        if (!row) throw new Error("a quote in a line is not closed");
        const code = this.one >= 0 ? this.space.parse(row[this.one]) : this.space.parseNumbers(this.many.map((i) => Number(row[i])));
        const measured = {};
        for (const [name, i] of this.metrics) {
          const value = row[i] === "" || row[i] == null ? NaN : Number(row[i]);
          if (Number.isFinite(value)) measured[name] = value;
        }
        const name = this.named >= 0 && row[this.named] ? String(row[this.named]) : `${this.label}, row ${out.length + 1}`;
        out.push({ code, name, measured });
      } catch (error) {
        wrong ||= error.message;
      }
    }
    if (!out.length) throw new Error(wrong || `${this.label} has no rows`);
    const lost = count - out.length;
    out.left = lost ? `${lost} ${lost > 1 ? "rows" : "row"} of ${this.label} left out: ${wrong}` : "";
    return out;
  }
}

/** The setting after which a file is called: "seg.csv", "seg-4x-1f3a.csv". */
function ownSetting(label, settings) {
  return Object.keys(settings).filter((name) => label === name || label.startsWith(`${name}-`)).sort((a, b) => b.length - a.length)[0];
}

/** The setting that a table of ours names in its metadata. */
function statedSetting(about, settings) {
  try {
    const name = JSON.parse(about)?.setting?.name;
    return typeof name === "string" && Object.hasOwn(settings, name) ? name : null;
  } catch {
    return null;
  }
}

/** Columns of a table that hold measured metrics, [name, place]: "seg.mIoU", or "mIoU" in a table of the setting `own`. */
function metricColumns(head, own, settings) {
  const out = [];
  for (const [setting, { metrics }] of Object.entries(settings)) {
    for (const metric of Object.keys(metrics)) {
      const i = [head.indexOf(`${setting}.${metric}`), setting === own ? head.indexOf(metric) : -1].find((at) => at >= 0);
      if (i !== undefined) out.push([`${setting}.${metric}`, i]);
    }
  }
  return out;
}

/**
 * Cells of a CSV, line by line as Python reads it: a quote that is not closed spoils its own line (null) and none after it. What the
 * first line has most of stands between cells: commas, semicolons or tabs.
 */
export function parseCsv(text) {
  const lines = text.split(/\r\n|\n|\r/).filter((line) => line.trim());
  const counts = [",", ";", "\t"].map((sign) => [sign, (lines[0] ?? "").split(sign).length]);
  const [delimiter] = counts.reduce((most, one) => (one[1] > most[1] ? one : most));
  return lines.map((line) => cells(line, delimiter));
}

/** The cells of one line; quoted ones may hold the delimiter and doubled quotes. Null where a quote is not closed. */
function cells(line, delimiter) {
  const out = [];
  let cell = "", quoted = false;
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (line[i + 1] === '"') cell += line[++i];
      else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === delimiter) {
      out.push(cell);
      cell = "";
    } else cell += c;
  }
  return quoted ? null : [...out, cell];
}

/** An architecture.yaml as Python's search writes it, with the command that trains it in a setting. */
export function architectureYaml(code, space, command, setting) {
  return `# made by the explorer; trained with: ${command} setting=${setting} arch=file arch.path=THIS_FILE\n` +
    `space: ${space.name}\ntext: ${space.text(code)}\ncode: [${Array.from(code).join(", ")}]\n`;
}
