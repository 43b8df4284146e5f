// The default predictor: one sparse Gaussian process per metric (ncp/predictors/gp.py), its median, doubt and gradients.
import { cholesky, dotAt, multiply, multiplyLeft, solveRows } from "./linear.js";

const JITTER = 1e-6;
const SQRT5 = Math.sqrt(5);

/** Matern 5/2 correlation at a distance that is already multiplied by the root of 5. */
export function matern(distance) {
  return (1 + distance + (distance * distance) / 3) * Math.exp(-distance);
}

/** One metric of a sparse process. `forward` answers at a point, `backward` adds the derivatives of that answer to it. */
class Output {
  constructor(gp, m) {
    const { points, directions, features } = gp.card.config;
    Object.assign(this, { gp, m, u: points, r: directions, f: features });
    const slice = (name, size) => Float64Array.from(gp.arrays[name].subarray(m * size, (m + 1) * size));
    this.points = slice("points", this.u * this.f);
    this.inverseScale = slice("inverse_scale", this.f);
    this.level = gp.arrays.level[m];
    this.signal = gp.arrays.signal[m];
    this.top = gp.arrays["warp.top"][m];
    this.scale = gp.arrays["warp.scale"][m];
    this.noise = gp.arrays.noise_u[m];
    this.z = new Float64Array(this.f);
    this.k = new Float64Array(this.u);
    this.slope = new Float64Array(this.u);
    this.out = new Float64Array(1 + this.r);
    this.weight = new Float64Array(1 + this.r);
    this.back = new Float64Array(this.u);
    this.squares = Float64Array.from({ length: this.u }, (_, i) => dotAt(this.points, i * this.f, this.points, i * this.f, this.f));
  }

  /** The readout times the inverse factor of the inducing points' correlation, worked out when it is first needed. */
  get projection() {
    if (!this.projected) {
      const { u, f, points, squares } = this;
      const correlation = new Float64Array(u * u);
      for (let i = 0; i < u; i++) {
        for (let j = 0; j <= i; j++) {
          const far = squares[i] + squares[j] - 2 * dotAt(points, i * f, points, j * f, f);
          correlation[i * u + j] = matern(SQRT5 * Math.sqrt(Math.max(far, 1e-10)));
        }
        correlation[i * u + i] += JITTER;
      }
      cholesky(correlation, u);
      const size = (1 + this.r) * u;
      const out = Float64Array.from(this.gp.arrays.readout.subarray(this.m * size, (this.m + 1) * size));
      this.projected = solveRows(correlation, u, out, 1 + this.r);
    }
    return this.projected;
  }

  /** Median and the process' own standard deviation, in the metric's unit, at a Point; asked there again it has nothing to do. */
  forward(point, doubt = true) {
    if (this.moved === point.moved && (this.doubted || !doubt)) return this;
    [this.moved, this.doubted] = [point.moved, doubt];
    const { gp, u, f, z, k, slope, points, squares, out } = this;
    let length = 0;
    for (let i = 0; i < f; i++) {
      z[i] = ((point.features[i] - gp.offset[i]) / gp.spread[i]) * this.inverseScale[i];
      length += z[i] * z[i];
    }
    multiply(points, z, u, f, slope);
    for (let i = 0; i < u; i++) {
      const distance = SQRT5 * Math.sqrt(Math.max(length + squares[i] - 2 * slope[i], 1e-10));
      const fall = Math.exp(-distance);
      k[i] = (1 + distance + (distance * distance) / 3) * fall;
      slope[i] = (-5 / 3) * (1 + distance) * fall;
    }
    const rows = doubt ? 1 + this.r : 1;
    multiply(this.projection, k, rows, u, out);
    const mean = this.level + this.signal * out[0];
    this.dy = this.scale * Math.exp(-mean);
    this.mean = this.top - this.dy;
    if (!doubt) return this;
    let explained = 0;
    for (let r = 1; r < rows; r++) explained += out[r] * out[r];
    this.left = Math.max(1 - explained, 1e-6);
    this.clamped = 1 - explained < 1e-6;
    this.stdU = this.signal * Math.sqrt(this.left);
    this.std = this.stdU * this.dy;
    return this;
  }

  /** Adds the derivatives of dMean * mean + dStd * std to the point of the last `forward`. */
  backward(point, dMean, dStd) {
    const { gp, u, f, slope, points, weight, back, z } = this;
    const byMean = this.dy * (dMean - dStd * (this.stdU || 0));
    weight[0] = byMean * this.signal;
    let rows = 1;
    if (dStd !== 0 && !this.clamped) {
      const byOut = (-dStd * this.dy * this.signal) / Math.sqrt(this.left);
      for (let r = 1; r <= this.r; r++) weight[r] = byOut * this.out[r];
      rows = 1 + this.r;
    }
    multiplyLeft(weight, this.projection, rows, u, back);
    let total = 0;
    for (let i = 0; i < u; i++) {
      back[i] *= slope[i];
      total += back[i];
    }
    const pulled = multiplyLeft(back, points, u, f, this.pulled ??= new Float64Array(f));
    for (let i = 0; i < f; i++) {
      point.dFeatures[i] += ((z[i] * total - pulled[i]) * this.inverseScale[i]) / gp.spread[i];
    }
  }

  /** Mean of the warped metric and its derivative, for those who use it as a score. */
  get score() {
    return this.level + this.signal * this.out[0];
  }

  backwardScore(point, dScore) {
    this.backward(point, dScore / this.dy, 0);
  }

  /** Spread of a training's result around the mean of the last `forward`. */
  noiseStd() {
    return this.noise * Math.max(this.top - this.mean, 0);
  }
}

/** All metrics of one setting. */
export class SparseGP {
  constructor(card, arrays) {
    this.card = card;
    this.arrays = arrays;
    this.offset = Float64Array.from(arrays.offset);
    this.spread = Float64Array.from(arrays.spread);
    this.outputs = card.metrics.map(() => null);
  }

  output(m) {
    return (this.outputs[m] ??= new Output(this, m));
  }
}
