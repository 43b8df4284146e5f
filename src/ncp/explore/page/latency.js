// Milliseconds on a machine that was measured (ncp/latency/model.py): priced work, and a process for what that leaves.
import { conditioned, dotAt, multiply, multiplyLeft } from "./linear.js";
import { Polynomials } from "./polynomial.js";
import { Point } from "./space.js";

const SQRT5 = Math.sqrt(5);
const LEAST_NOISE = 1e-4;

/** Mean and deviation of each column of rows x columns; a column that never differs says nothing. */
function moments(values, rows, columns) {
  const mean = new Float64Array(columns), spread = new Float64Array(columns);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) mean[c] += values[r * columns + c] / rows;
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) spread[c] += (values[r * columns + c] - mean[c]) ** 2 / rows;
  return { mean, spread: spread.map((v) => (Math.sqrt(v) > 1e-6 ? Math.sqrt(v) : Infinity)) };
}

/** What a network gives a machine to do: polynomials in its code and in its channels rounded up to whole vectors (ncp/spaces/work.py). */
class Work {
  constructor({ work, channels, vector }, dim) {
    Object.assign(this, { channels, vector, dim });
    this.columns = new Polynomials(work, dim + channels.length);
    this.x = new Float64Array(dim + channels.length);
    this.dx = new Float64Array(dim + channels.length);
  }

  /** What the polynomials read: the code, and behind it its channels rounded up. */
  read(code) {
    const { channels, vector, dim, x } = this;
    x.set(code);
    channels.forEach((i, place) => { x[dim + place] = code[i] + vector / 2 - Math.abs((code[i] % vector) - vector / 2); });
    return x;
  }

  /** The columns at a code; the array is overwritten by the next call. */
  at(code) {
    return this.columns.at(this.read(code));
  }

  /** Adds to `gradient` the derivative at a code of the sum of weight times column. */
  pull(code, weights, gradient) {
    const { channels, vector, dim, dx } = this;
    this.columns.pull(this.read(code), weights, dx.fill(0));
    for (let i = 0; i < dim; i++) gradient[i] += dx[i];
    channels.forEach((i, place) => { gradient[i] += dx[dim + place] * (1 - Math.sign((code[i] % vector) - vector / 2)); });
  }
}

/** A latency model. `forward` gives median and standard deviation of one measurement, `backward` their derivatives. */
export class Latency {
  constructor(described, arrays, space) {
    this.space = space;
    this.work = new Work(described, space.dim);
    this.kinds = described.work.length;
    this.rows = described.card.rows;
    this.prices = arrays.prices;
    const scales = arrays.scales;
    this.linear = [Math.exp(scales[0]), Math.exp(scales[1])];
    [this.variance, this.length] = [Math.exp(scales[2]), Math.exp(scales[3])];
    this.noise = Math.exp(scales[4]) + LEAST_NOISE;
    this.condition(arrays.codes, arrays.milliseconds);
  }

  condition(codes, milliseconds) {
    const { rows, kinds, space } = this;
    const point = new Point(space);
    const features = point.features.length;
    this.size = kinds + features;
    const work = new Float64Array(rows * kinds), feature = new Float64Array(rows * features);
    for (let r = 0; r < rows; r++) {
      point.set(codes.subarray(r * space.dim, (r + 1) * space.dim));
      work.set(this.work.at(point.x), r * kinds);
      feature.set(point.features, r * features);
    }
    this.top = new Float64Array(kinds).fill(1e-12);
    for (let i = 0; i < work.length; i++) this.top[i % kinds] = Math.max(this.top[i % kinds], work[i]);
    this.byWork = moments(work.map((v, i) => Math.log(Math.max(v / this.top[i % kinds], 0) + 0.05)), rows, kinds);
    this.byFeature = moments(feature, rows, features);
    this.inputs = new Float64Array(rows * this.size);
    const rest = new Float64Array(rows);
    for (let r = 0; r < rows; r++) {
      point.set(codes.subarray(r * space.dim, (r + 1) * space.dim));
      const { at, priced } = this.see(point);
      this.inputs.set(at, r * this.size);
      rest[r] = Math.log(milliseconds[r]) - Math.log(priced);
    }
    this.level = rest.reduce((a, b) => a + b) / rows;
    const width = Math.sqrt(rest.reduce((a, b) => a + (b - this.level) ** 2, 0) / rows);
    this.width = width > 1e-9 ? width : 1;
    const both = new Float64Array(rows * rows);
    for (let r = 0; r < rows; r++) {
      const row = this.covariances(this.inputs.subarray(r * this.size, (r + 1) * this.size));
      both.set(row, r * rows);
      both[r * rows + r] += this.noise;
    }
    Object.assign(this, conditioned(both, rest.map((v) => (v - this.level) / this.width), rows));
  }

  /** Standardised logarithms of work and features, and the priced time, at a point. */
  see(point) {
    const { kinds, size } = this;
    const work = this.work.at(point.x);
    const at = new Float64Array(size);
    let priced = this.prices[0];
    for (let i = 0; i < kinds; i++) {
      const share = work[i] / this.top[i];
      priced += share * this.prices[1 + i];
      at[i] = (Math.log(Math.max(share, 0) + 0.05) - this.byWork.mean[i]) / this.byWork.spread[i];
    }
    for (let i = kinds; i < size; i++) {
      at[i] = (point.features[i - kinds] - this.byFeature.mean[i - kinds]) / this.byFeature.spread[i - kinds];
    }
    return { at, priced: Math.max(priced, 1e-9), work: work.slice() };
  }

  /** Covariances with all measured rows; keeps the factor that their derivatives need. */
  covariances(at) {
    const { rows, size, kinds, inputs } = this;
    const out = new Float64Array(rows);
    this.slope = new Float64Array(rows);
    for (let r = 0; r < rows; r++) {
      const p = r * size;
      out[r] = (this.linear[0] * dotAt(inputs, p, at, 0, kinds)) / kinds;
      out[r] += (this.linear[1] * dotAt(inputs, p + kinds, at, kinds, size - kinds)) / (size - kinds);
      let squares = 0;
      for (let i = 0; i < size; i++) squares += (at[i] - inputs[p + i]) ** 2;
      const far = (SQRT5 * Math.sqrt(Math.max(squares, 1e-12))) / this.length;
      const fall = this.variance * Math.exp(-far);
      out[r] += fall * (1 + far + (far * far) / 3);
      this.slope[r] = ((-5 / 3) * fall * (1 + far)) / this.length ** 2;
    }
    return out;
  }

  forward(point) {
    const { rows, kinds, size } = this;
    this.seen = this.see(point);
    const { at, priced } = this.seen;
    const cross = this.covariances(at);
    this.explained = multiply(this.half, cross, rows, rows, new Float64Array(rows));
    const prior = this.variance + (this.linear[0] * dotAt(at, 0, at, 0, kinds)) / kinds +
      (this.linear[1] * dotAt(at, kinds, at, kinds, size - kinds)) / (size - kinds);
    const left = prior - dotAt(this.explained, 0, this.explained, 0, rows);
    this.clamped = left < 1e-9;
    this.left = Math.max(left, 1e-9) + this.noise;
    this.mean = priced * Math.exp(this.level + this.width * dotAt(cross, 0, this.alpha, 0, rows));
    this.std = this.mean * this.width * Math.sqrt(this.left);
    return this;
  }

  /** What limits are held against: the median plus one standard deviation. */
  get safe() {
    return this.mean + this.std;
  }

  backward(point, dMean, dStd) {
    const { rows, kinds, size } = this;
    const { at, priced, work } = this.seen;
    const dLog = dMean * this.mean + dStd * this.std; // by the logarithm of the median
    const dLeft = this.clamped ? 0 : (dStd * this.mean * this.width) / (2 * Math.sqrt(this.left));
    const dCross = multiplyLeft(this.explained.map((v) => -2 * dLeft * v), this.half, rows, rows, new Float64Array(rows));
    const dAt = new Float64Array(size);
    for (let i = 0; i < size; i++) {
      dAt[i] = (2 * dLeft * this.linear[i < kinds ? 0 : 1] * at[i]) / (i < kinds ? kinds : size - kinds);
    }
    for (let r = 0; r < rows; r++) {
      const w = dCross[r] + dLog * this.width * this.alpha[r];
      for (let i = 0, p = r * size; i < size; i++) {
        const line = this.linear[i < kinds ? 0 : 1] / (i < kinds ? kinds : size - kinds);
        dAt[i] += w * (line * this.inputs[p + i] + this.slope[r] * (at[i] - this.inputs[p + i]));
      }
    }
    const byWork = new Float64Array(kinds);
    for (let i = 0; i < kinds; i++) {
      const share = Math.max(work[i] / this.top[i], 0);
      byWork[i] = (dAt[i] / (this.byWork.spread[i] * (share + 0.05)) + (dLog / priced) * this.prices[1 + i]) / this.top[i];
    }
    this.work.pull(point.x, byWork, point.dx);
    for (let i = kinds; i < size; i++) point.dFeatures[i - kinds] += dAt[i] / this.byFeature.spread[i - kinds];
  }
}
