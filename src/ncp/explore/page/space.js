// The space of architectures: what the 27 numbers are, how they are written, what a network costs, layer by layer.
import { Polynomials } from "./polynomial.js";

const STAGES = 4;
/** What a network is counted for unless told otherwise. */
export const STANDARD = { size: [128, 128], head: "segmentation", classes: 19, in_channels: 3, stem_strides: [2, 2] };

/** The space as Python describes it: dimensions with bounds and steps, features, costs. */
export class Space {
  constructor(description) {
    Object.assign(this, description); // name, dimensions, default, scale, cost_scale, starts, named
    this.dim = this.dimensions.length;
    this.labels = this.dimensions.map((d) => d.name);
    this.lower = Float64Array.from(this.dimensions, (d) => d.lower);
    this.upper = Float64Array.from(this.dimensions, (d) => d.upper);
    this.step = Float64Array.from(this.dimensions, (d) => d.step);
    this.scale = Float64Array.from(description.scale);
    this.stageStart = [1, 2, 3, 4].map((s) => this.labels.indexOf(`b${s}`));
    this.counts = new Polynomials([description.polynomials.macs, description.polynomials.params], this.dim);
  }

  index(label) {
    return this.labels.indexOf(label);
  }

  /** Multiply-adds and parameters, exact for whole codes. */
  cost(code) {
    const [macs, params] = this.counts.at(code);
    return { macs, params };
  }

  /** The nearest multiples of the steps within the bounds; halves round up. */
  round(x) {
    return Float64Array.from(x, (v, i) =>
      Math.min(this.upper[i], Math.max(this.lower[i], Math.floor((v + this.step[i] / 2) / this.step[i]) * this.step[i])));
  }

  /** The benchmark's text: 31 numbers, of which the numbers of branches 1 2 3 4 are constant. */
  text(code) {
    const parts = [[code[0], code[1]].join("_")];
    this.stageStart.forEach((start, s) => {
      const rest = Array.from(code.slice(start + 1, start + 3 + 2 * s));
      parts.push([code[start], s + 1, ...rest].join("_"));
    });
    return [...parts, code[this.dim - 1]].join("-");
  }

  /** A code from 27 numbers, 31 numbers or a known name. Throws an Error that says in one line what is wrong. */
  parse(text) {
    const given = String(text).trim();
    if (Object.hasOwn(this.named, given)) return this.parse(this.named[given]);
    const inner = given.replace(/^[[(\s]+|[\])\s]+$/g, "");
    if (given.length > 1000 || !/^\d{1,4}([-_,\s]+\d{1,4})*$/.test(inner)) {
      throw new Error(`“${given.slice(0, 60)}” is no architecture: it is 27 numbers, or 31 with the numbers of branches`);
    }
    return this.parseNumbers(inner.split(/[-_,\s]+/).map(Number));
  }

  /** A code from a list of 27 or 31 numbers. */
  parseNumbers(numbers) {
    let code = Array.from(numbers, Number);
    if (code.length === 31) {
      const at = this.stageStart.map((start, s) => start + 1 + s);
      at.forEach((place, s) => {
        if (code[place] !== s + 1) throw new Error(`number ${place + 1} of the text is the branch count of stage ${s + 1} ` +
          `and must be ${s + 1}, given was ${code[place]}`);
      });
      code = code.filter((_, i) => !at.includes(i));
    }
    if (code.length !== this.dim) throw new Error(`a code has ${this.dim} numbers, given were ${code.length}`);
    this.dimensions.forEach((d, i) => {
      if (!Number.isInteger(code[i]) || code[i] < d.lower || code[i] > d.upper || (code[i] - d.lower) % d.step) {
        const steps = d.step > 1 ? ` in steps of ${d.step}` : "";
        throw new Error(`${d.name} must be in ${d.lower}..${d.upper}${steps}, given was ${code[i]}`);
      }
    });
    return code;
  }

  /** Per stage: blocks, units and channels of each branch, and the channels of the branches before it. */
  stages(x) {
    const out = [];
    let previous = [x[1]];
    this.stageStart.forEach((start, s) => {
      const units = Array.from(x.slice(start + 1, start + 2 + s));
      const channels = Array.from(x.slice(start + 2 + s, start + 3 + 2 * s));
      out.push({ blocks: x[start], units, channels, previous });
      previous = channels;
    });
    return out;
  }

  /** All layers in the order in which they run; equal ones that follow each other come once, with their number. */
  layers(x, setting = {}) {
    const { size, head, classes, in_channels, stem_strides } = { ...STANDARD, ...setting };
    const sizes = branchSizes(size, stem_strides);
    const [stem, ...area] = sizes.map(([h, w]) => h * w);
    const out = [];
    const add = (part, stage, branch, kernel, inputs, outputs, pixelsIn, pixelsOut, times = 1) => {
      const weights = times * kernel * kernel * inputs * outputs;
      const bias = part === "head" && outputs === classes && branch === -2;
      const params = weights + (bias ? classes : 2 * times * outputs); // a norm's two numbers a channel, or a bias
      out.push({ part, stage, branch, kernel, inputs, outputs, pixelsIn, pixelsOut, times, params, macs: weights * pixelsOut });
    };
    add("stem", -1, 0, 3, in_channels, x[0], size[0] * size[1], stem);
    add("stem", -1, 1, 3, x[0], x[1], stem, area[0]);
    const fusion = (s, inputs, outputs, times) => {
      inputs.forEach((c, i) => {
        add("fusion", s, i, 3, c, outputs[i], area[i], area[i], times);
        if (i > 0) add("fusion", s, i, 3, inputs[i - 1], outputs[i], area[i - 1], area[i], times);
        if (i + 1 < inputs.length) add("fusion", s, i, 1, inputs[i + 1], outputs[i], area[i + 1], area[i + 1], times);
      });
      const kept = inputs.length;
      if (outputs.length > kept) add("fusion", s, kept, 3, outputs[kept - 1], outputs[kept], area[kept - 1], area[kept], times);
    };
    let channels = [];
    this.stages(x).forEach((stage, s) => {
      channels = stage.channels;
      fusion(s, stage.previous, channels, 1);
      if (stage.blocks > 1) fusion(s, channels, channels, stage.blocks - 1);
      channels.forEach((c, r) => add("branch", s, r, 3, c, c, area[r], area[r], 2 * stage.blocks * stage.units[r]));
    });
    const joined = head === "segmentation" ? area[0] : area[3];
    add("head", -1, -1, 1, channels.reduce((a, b) => a + b), x[this.dim - 1], joined, joined);
    if (classes) add("head", -1, -2, 1, x[this.dim - 1], classes, joined, head === "segmentation" ? area[0] : 1);
    return out;
  }
}

/** Heights and widths after the first stem convolution and of the four branches. */
export function branchSizes([height, width], strides = [2, 2]) {
  const out = [];
  for (const stride of [...strides, ...Array(STAGES - 1).fill(2)]) {
    [height, width] = [Math.ceil(height / stride), Math.ceil(width / stride)];
    out.push([height, width]);
  }
  return out;
}

let moves = 0; // of all points: a number that no other place of a point has

/** One code and all that is derived from it for predictions; collects derivatives and carries them back to the code. */
export class Point {
  constructor(space) {
    this.space = space;
    const depths = space.polynomials.depths;
    this.rules = new Polynomials([...depths, space.polynomials.macs, space.polynomials.params], space.dim);
    this.extra = this.rules.count;
    this.macsAt = depths.length;
    this.x = new Float64Array(space.dim);
    this.features = new Float64Array(space.dim + this.extra);
    this.dFeatures = new Float64Array(this.features.length);
    this.dRules = new Float64Array(this.extra);
    this.dx = new Float64Array(space.dim);
  }

  /** Move to a code. */
  set(x) {
    this.moved = ++moves;
    this.x.set(x);
    const values = this.rules.at(this.x);
    const dim = this.space.dim;
    for (let i = 0; i < dim; i++) this.features[i] = Math.log2(this.x[i]);
    for (let p = 0; p < this.extra; p++) this.features[dim + p] = Math.log2(values[p]);
    return this;
  }

  get macs() {
    return this.rules.values[this.macsAt];
  }

  get params() {
    return this.rules.values[this.macsAt + 1];
  }

  /** Forget all derivatives. */
  clear() {
    this.dFeatures.fill(0);
    this.dRules.fill(0);
    this.dx.fill(0);
  }

  /** All derivatives that were collected, by the code itself; the array is overwritten by the next call. */
  gradient() {
    const dim = this.space.dim;
    for (let p = 0; p < this.extra; p++) this.dRules[p] += this.dFeatures[dim + p] / (this.rules.values[p] * Math.LN2);
    for (let i = 0; i < dim; i++) this.dx[i] += this.dFeatures[i] / (this.x[i] * Math.LN2);
    this.rules.pull(this.x, this.dRules, this.dx);
    return this.dx;
  }
}
