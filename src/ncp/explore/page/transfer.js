// A predictor from few rows (ncp/predictors/transfer.py): a Gaussian process about what other predictors say of a code.
import { conditioned, dotAt, multiplyLeft, multiplyLower } from "./linear.js";
import { Point } from "./space.js";

const LEVEL = 2;
const JITTER = 1e-6;
const SQRT5 = Math.sqrt(5);
const HYPER = 7; // average, each, cost, smooth, shrink, noise, top

/** What the process sees of a code: features by their length scales, and the linear inputs. */
class Inputs {
  constructor(transfer) {
    this.t = transfer;
    this.smooth = new Float64Array(transfer.features);
    this.linear = new Float64Array(transfer.linear);
    this.far = new Float64Array(transfer.rows);
  }

  set(point) {
    const { t, smooth, linear } = this;
    const a = t.arrays;
    for (let f = 0; f < smooth.length; f++) smooth[f] = (point.features[f] - a.feature_center[f]) * a.feature_scale[f];
    const k = t.known.length;
    let sum = 0;
    t.known.forEach((known, i) => {
      const score = (known.output(0).forward(point, false).score - a.score_center[i]) / a.score_scale[i];
      sum += score;
      linear[1 + i] = score / Math.sqrt(k);
    });
    if (k) linear[0] = sum / k;
    linear[linear.length - 1] = (Math.log1p(Math.max(point.macs, 0)) - a.cost_center[0]) / a.cost_scale[0];
    return this;
  }

  /** Squared distances of the features to those of all rows. */
  measure() {
    const { t, smooth, far } = this;
    const f = smooth.length, length = dotAt(smooth, 0, smooth, 0, f);
    for (let r = 0; r < far.length; r++) {
      far[r] = Math.max(length + t.rowSquare[r] - 2 * dotAt(t.rowSmooth, r * f, smooth, 0, f), 1e-10);
    }
    return this;
  }

  /** Adds derivatives by the inputs to the point of the last `set`. */
  pull(point, dSmooth, dLinear) {
    const { t } = this;
    const a = t.arrays;
    for (let f = 0; f < dSmooth.length; f++) point.dFeatures[f] += dSmooth[f] * a.feature_scale[f];
    const k = t.known.length;
    t.known.forEach((known, i) => {
      known.output(0).backwardScore(point, (dLinear[0] / k + dLinear[1 + i] / Math.sqrt(k)) / a.score_scale[i]);
    });
    point.dRules[point.macsAt] += dLinear[dLinear.length - 1] / (a.cost_scale[0] * (1 + point.macs));
  }
}

/** One of the weighted components of one metric: an exact process, conditioned on the rows. */
class Component {
  constructor(transfer, hyper, values) {
    const t = transfer;
    const rows = t.rows;
    [this.smooth, this.shrink, this.noise, this.top] = [hyper[3], hyper[4], hyper[5], hyper[6]];
    this.t = t;
    const k = t.known.length;
    this.strength = k ? [hyper[0], ...Array(k).fill(hyper[1]), hyper[2]] : [hyper[2]];
    this.square = Float64Array.from(this.strength, (s) => s * s);
    const u = values.map((v) => -Math.log(this.top - v));
    this.level = u.reduce((a, b) => a + b) / rows;
    this.width = Math.max(Math.sqrt(u.reduce((a, b) => a + (b - this.level) ** 2, 0) / (rows - 1)) || 0, 1e-6);
    this.weighted = new Float64Array(t.linear); // linear inputs by the variances of their weights
    this.row = new Float64Array(rows); // the distance's derivative needs no more than this factor
    const both = new Float64Array(rows * rows);
    for (let i = 0; i < rows; i++) {
      both.set(this.covariances(t.inputsOfRow(i), new Float64Array(rows)), i * rows);
    }
    let trace = 0;
    for (let i = 0; i < rows; i++) trace += both[i * rows + i];
    const least = JITTER * (1 + trace / rows);
    for (let i = 0; i < rows; i++) both[i * rows + i] += this.noise ** 2 + least;
    Object.assign(this, conditioned(both, Float64Array.from(u, (v) => (v - this.level) / this.width), rows));
    this.cross = new Float64Array(rows);
    this.explained = new Float64Array(rows);
    this.byCross = new Float64Array(rows);
  }

  /** Prior covariances with all rows, of inputs that were measured. */
  covariances({ linear, far }, out) {
    const { t, square, weighted } = this;
    const l = linear.length, variance = this.smooth ** 2, slope = (-5 / 3) * this.shrink ** 2 * variance;
    for (let i = 0; i < l; i++) weighted[i] = square[i] * linear[i];
    for (let r = 0; r < t.rows; r++) {
      const distance = SQRT5 * this.shrink * Math.sqrt(far[r]);
      const fall = Math.exp(-distance);
      out[r] = LEVEL * LEVEL + dotAt(t.rowLinear, r * l, weighted, 0, l) + variance * (1 + distance + (distance * distance) / 3) * fall;
      this.row[r] = slope * (1 + distance) * fall;
    }
    return out;
  }

  forward(inputs) {
    const rows = this.t.rows;
    this.covariances(inputs, this.cross);
    this.u = this.level + this.width * dotAt(this.cross, 0, this.alpha, 0, rows);
    multiplyLower(this.half, this.cross, rows, this.explained);
    let left = LEVEL * LEVEL + this.smooth ** 2;
    for (let i = 0; i < inputs.linear.length; i++) left += this.square[i] * inputs.linear[i] ** 2;
    left -= dotAt(this.explained, 0, this.explained, 0, rows);
    this.clamped = left < 1e-6;
    this.left = Math.max(left, 1e-6);
    this.gap = Math.exp(-this.u);
    this.value = this.top - this.gap;
  }

  /** Adds the derivatives of dU * u + dLeft * left to the inputs' derivatives. */
  backward(inputs, dU, dLeft, dSmooth, dLinear) {
    const { t } = this;
    const rows = t.rows, f = dSmooth.length, l = dLinear.length;
    if (this.clamped) dLeft = 0;
    const { byCross } = this;
    multiplyLeft(this.explained, this.half, rows, rows, byCross);
    for (let r = 0; r < rows; r++) {
      const w = dU * this.width * this.alpha[r] - 2 * dLeft * byCross[r];
      for (let i = 0; i < l; i++) dLinear[i] += w * this.square[i] * t.rowLinear[r * l + i];
      const s = w * this.row[r];
      for (let i = 0; i < f; i++) dSmooth[i] += s * (inputs.smooth[i] - t.rowSmooth[r * f + i]);
    }
    for (let i = 0; i < l; i++) dLinear[i] += 2 * dLeft * this.square[i] * inputs.linear[i];
  }
}

class Output {
  constructor(transfer, m) {
    const t = transfer;
    const a = t.arrays;
    this.t = t;
    [this.outMean, this.outStd, this.stretch] = [a.output_mean[m], a.output_std[m], a.stretch[m]];
    const j = t.card.config.components;
    const values = Array.from({ length: t.rows }, (_, r) => a.values[r * t.card.metrics.length + m]);
    const logits = Array.from(a.logits.subarray(m * j, (m + 1) * j));
    const raised = logits.map((v) => Math.exp(v - Math.max(...logits)));
    const total = raised.reduce((x, y) => x + y);
    this.weights = raised.map((v) => v / total);
    this.components = this.weights.map((_, c) =>
      new Component(t, a.hyper.subarray((m * j + c) * HYPER, (m * j + c + 1) * HYPER), values));
    const mixed = (of) => this.components.reduce((sum, c, i) => sum + this.weights[i] * of(c), 0);
    this.noise = mixed((c) => c.noise * c.width);
    this.top = mixed((c) => c.top);
    this.inputs = new Inputs(t);
  }

  forward(point) {
    if (this.moved === point.moved) return this;
    this.moved = point.moved;
    const inputs = this.inputs.set(point).measure();
    const { components, weights } = this;
    for (const c of components) c.forward(inputs);
    this.mixed = components.reduce((sum, c, i) => sum + weights[i] * c.value, 0);
    const spread = components.reduce((sum, c, i) =>
      sum + weights[i] * ((c.gap * c.width) ** 2 * c.left + (c.value - this.mixed) ** 2), 0);
    this.root = Math.sqrt(spread);
    this.mean = this.outMean + this.outStd * this.mixed;
    this.std = this.outStd * this.stretch * this.root;
    return this;
  }

  backward(point, dMean, dStd) {
    const [dMixed, dSpread] = [dMean * this.outStd, (dStd * this.outStd * this.stretch) / (2 * this.root)];
    const dSmooth = new Float64Array(this.t.features), dLinear = new Float64Array(this.t.linear);
    this.components.forEach((c, i) => {
      const w = this.weights[i];
      // the mean within the spread needs no term: its weighted differences add up to zero
      const dValue = w * (dMixed + dSpread * 2 * (c.value - this.mixed));
      const squared = (c.gap * c.width) ** 2;
      c.backward(this.inputs, dValue * c.gap - 2 * w * dSpread * squared * c.left, w * dSpread * squared, dSmooth, dLinear);
    });
    // others may have asked the known predictors elsewhere since
    this.inputs.set(point).pull(point, dSmooth, dLinear);
  }

  get score() {
    return this.mean;
  }

  backwardScore(point, dScore) {
    this.backward(point, dScore, 0);
  }

  noiseStd() {
    const gap = Math.max(this.top - (this.mean - this.outMean) / this.outStd, 0);
    return this.noise * gap * this.stretch * this.outStd;
  }
}

/** All metrics of one setting. */
export class Transfer {
  constructor(card, arrays, space, known) {
    Object.assign(this, { card, arrays, space, known });
    this.rows = card.config.rows;
    this.features = card.config.features;
    this.linear = known.length ? known.length + 2 : 1;
    this.outputs = card.metrics.map(() => null);
  }

  /** The rows' inputs, worked out when they are first needed. */
  condition() {
    if (this.rowSmooth) return;
    const { rows, features, linear, space } = this;
    const point = new Point(space);
    const inputs = new Inputs(this);
    const [smooth, lines] = [new Float64Array(rows * features), new Float64Array(rows * linear)];
    for (let r = 0; r < rows; r++) {
      inputs.set(point.set(this.arrays.codes.subarray(r * space.dim, (r + 1) * space.dim)));
      smooth.set(inputs.smooth, r * features);
      lines.set(inputs.linear, r * linear);
    }
    this.rowSquare = Float64Array.from({ length: rows }, (_, r) => dotAt(smooth, r * features, smooth, r * features, features));
    [this.rowSmooth, this.rowLinear] = [smooth, lines];
    this.between = new Float64Array(rows * rows);
    for (let r = 0; r < rows; r++) {
      inputs.smooth.set(smooth.subarray(r * features, (r + 1) * features));
      this.between.set(inputs.measure().far, r * rows);
    }
  }

  inputsOfRow(r) {
    return {
      linear: this.rowLinear.subarray(r * this.linear, (r + 1) * this.linear), far: this.between.subarray(r * this.rows, (r + 1) * this.rows),
    };
  }

  output(m) {
    this.condition();
    return (this.outputs[m] ??= new Output(this, m));
  }
}
