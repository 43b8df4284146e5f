// Predictors out of the page's description: cards in JSON, numbers in one compressed block.
import { SparseGP } from "./gp.js";
import { MLP } from "./mlp.js";
import { Transfer } from "./transfer.js";

// 85 printable characters that mean nothing in HTML; five of them are four bytes
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%/()*+-;.=:?@^_,{|}~";

/** The bytes in a text: their number, a blank, and 85 different characters, five for four bytes. */
export function decode85(given) {
  const blank = given.indexOf(" ");
  const length = Number(given.slice(0, blank));
  const value = new Uint8Array(128);
  for (let i = 0; i < 85; i++) value[ALPHABET.charCodeAt(i)] = i;
  const bytes = new Uint8Array(Math.ceil(length / 4) * 4);
  for (let i = blank + 1, at = 0; at < bytes.length; i += 5, at += 4) {
    let word = 0;
    for (let k = 0; k < 5; k++) word = word * 85 + value[given.charCodeAt(i + k)];
    bytes[at] = word >>> 24;
    bytes[at + 1] = word >>> 16;
    bytes[at + 2] = word >>> 8;
    bytes[at + 3] = word;
  }
  return bytes.subarray(0, length);
}

/** What zlib packed. */
export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** One array as Float32Array or Float64Array: its bytes lie plane by plane, the first of all numbers first. */
export function unpack(bytes, { at, count, bytes: width }) {
  const plain = new Uint8Array(count * width);
  for (let b = 0; b < width; b++) {
    for (let i = 0, from = at + b * count; i < count; i++) plain[i * width + b] = bytes[from + i];
  }
  if (width === 8) return new Float64Array(plain.buffer);
  if (width === 4) return new Float32Array(plain.buffer);
  return halves(new Uint16Array(plain.buffer));
}

/** Numbers of 16 bits (IEEE 754) as Float32Array. */
function halves(words) {
  return Float32Array.from(words, (word) => {
    const [exponent, fraction, sign] = [(word >> 10) & 31, word & 1023, word >> 15 ? -1 : 1];
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

/** All predictors of a page; each is made when it is first asked for. */
export class Predictors {
  constructor(descriptions, bytes, space) {
    this.descriptions = descriptions;
    this.bytes = bytes;
    this.space = space;
    this.made = new Map();
  }

  names(family = "default") {
    return this.descriptions.filter((d) => d.family === family).map((d) => d.name);
  }

  get(name, family = "default") {
    const key = `${family} ${name}`;
    if (!this.made.has(key)) {
      const found = this.descriptions.find((d) => d.name === name && d.family === family);
      if (!found) throw new Error(`no ${family} predictor of ${name} is in this page`);
      this.made.set(key, makePredictor(found, this.bytes, this.space));
    }
    return this.made.get(key);
  }
}

/** One predictor from its description. */
export function makePredictor(described, bytes, space) {
  const arrays = {};
  for (const [name, where] of Object.entries(described.arrays)) arrays[name] = unpack(bytes, where);
  const known = (described.known ?? []).map((inner) => makePredictor(inner, bytes, space));
  const kinds = { gp: SparseGP, mlp: MLP, transfer: Transfer };
  const made = new kinds[described.kind](described, arrays, space, known);
  made.outputMean = arrays.output_mean;
  made.outputStd = arrays.output_std;
  return made;
}
