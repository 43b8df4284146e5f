// The paper's predictor (ncp/predictors/mlp.py): three layers, with norms and dropped outputs folded in already by Python.
import { multiply, multiplyLeft } from "./linear.js";

/** The hidden layers, which all metrics share: what one metric has asked at a point the others need not ask again. */
class Hidden {
  constructor(card, arrays, dim) {
    this.silu = card.config.activation === "silu";
    this.dim = dim;
    this.w1 = Float64Array.from(arrays["net.shared.weight"]);
    this.b1 = arrays["net.shared.bias"];
    this.h = this.b1.length;
    this.w2 = Float64Array.from(arrays["net.separate.weight"]);
    this.b2 = arrays["net.separate.bias"];
    this.s = this.b2.length;
    this.mean = arrays.input_mean;
    this.std = arrays.input_std;
    this.z = new Float64Array(dim);
    [this.act1, this.slope1] = [new Float64Array(this.h), new Float64Array(this.h)];
    [this.act2, this.slope2] = [new Float64Array(this.s), new Float64Array(this.s)];
    this.seen = new Float64Array(dim).fill(NaN);
  }

  activate(values, bias, slope) {
    for (let i = 0; i < values.length; i++) {
      const v = values[i] + bias[i];
      if (this.silu) {
        const gate = 1 / (1 + Math.exp(-v));
        values[i] = v * gate;
        slope[i] = gate + values[i] * (1 - gate);
      } else {
        values[i] = Math.max(v, 0);
        slope[i] = v > 0 ? 1 : 0;
      }
    }
  }

  forward(point) {
    if (this.seen.every((v, i) => v === point.x[i])) return;
    this.seen.set(point.x);
    for (let i = 0; i < this.dim; i++) this.z[i] = (point.x[i] - this.mean[i]) / this.std[i];
    this.activate(multiply(this.w1, this.z, this.h, this.dim, this.act1), this.b1, this.slope1);
    this.activate(multiply(this.w2, this.act1, this.s, this.h, this.act2), this.b2, this.slope2);
  }

  backward(point, d2) {
    const d1 = multiplyLeft(d2, this.w2, this.s, this.h, (this.d1 ??= new Float64Array(this.h)));
    for (let i = 0; i < this.h; i++) d1[i] *= this.slope1[i];
    const dz = multiplyLeft(d1, this.w1, this.h, this.dim, (this.dz ??= new Float64Array(this.dim)));
    for (let i = 0; i < this.dim; i++) point.dx[i] += dz[i] / this.std[i];
  }
}

class Output {
  constructor(mlp, m) {
    const { separate, groups } = mlp.card.config;
    Object.assign(this, { mlp, hidden: mlp.hidden, separate });
    this.group = groups.findIndex((members) => members.includes(m));
    this.weight = Float64Array.from(mlp.arrays["net.out_weight"].subarray(m * separate, (m + 1) * separate));
    this.bias = mlp.arrays["net.out_bias"][m];
    this.outMean = mlp.arrays.output_mean[m];
    this.outStd = mlp.arrays.output_std[m];
    this.noise = mlp.arrays.noise_std[m];
    this.d2 = new Float64Array(this.hidden.s);
  }

  forward(point) {
    this.hidden.forward(point);
    const first = this.group * this.separate;
    let sum = this.bias;
    for (let i = 0; i < this.separate; i++) sum += this.weight[i] * this.hidden.act2[first + i];
    this.mean = sum * this.outStd + this.outMean;
    this.std = 0;
    return this;
  }

  backward(point, dMean) {
    const first = this.group * this.separate;
    for (let i = 0; i < this.separate; i++) {
      this.d2[first + i] = dMean * this.outStd * this.weight[i] * this.hidden.slope2[first + i];
    }
    this.hidden.backward(point, this.d2);
  }

  get score() {
    return this.mean;
  }

  backwardScore(point, dScore) {
    this.backward(point, dScore);
  }

  noiseStd() {
    return this.noise;
  }
}

/** All metrics of one setting. */
export class MLP {
  constructor(card, arrays, space) {
    this.card = card;
    this.arrays = arrays;
    this.hidden = new Hidden(card, arrays, space.dim);
    this.inputStd = Float64Array.from(arrays.input_std);
    this.outputs = card.metrics.map(() => null);
  }

  output(m) {
    return (this.outputs[m] ??= new Output(this, m));
  }
}
