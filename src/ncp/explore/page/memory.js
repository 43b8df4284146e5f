// The most memory a network needs to look at one batch: the rule of ncp/spaces/memory.py, operation by operation.
// The sum of the maps that live at one moment is linear in the widths, so a moment is a row of coefficients.
import { Polynomials } from "./polynomial.js";
import { STANDARD, branchSizes } from "./space.js";

export const BYTES = { fp32: 4, bf16: 2, fp16: 2, int8: 1 };

/** Peak memory of one kind of network in bytes, with its derivative by the code. */
export class Memory {
  /** `weights` are the monomials of its numbers of weights and biases, as Python counts them. */
  constructor(space, weights, setting = {}, dtype = "fp32", batch = 1) {
    this.space = space;
    this.setting = { ...STANDARD, ...setting };
    this.weights = new Polynomials([weights], space.dim);
    this.factor = BYTES[dtype];
    this.images = batch * Math.max(this.setting.frames ?? 0, 1); // a clip is as many images as it has frames
  }

  /** Bytes at a code. Keeps the moment of the peak for `pull`. */
  at(x) {
    const [weights] = this.weights.at(x);
    this.peak = { value: 0, row: null };
    this.walk(x);
    return this.factor * (weights + this.images * this.peak.value);
  }

  /** Adds to `gradient` the derivative of weight times bytes at the code of the last `at`. */
  pull(x, weight, gradient) {
    this.weights.pull(x, [weight * this.factor], gradient);
    for (let i = 0; i < x.length; i++) gradient[i] += weight * this.factor * this.images * this.peak.row[i];
  }

  see(x, row) {
    let value = row[x.length];
    for (let i = 0; i < x.length; i++) value += row[i] * x[i];
    if (value > this.peak.value || this.peak.row === null) this.peak = { value, row };
  }

  walk(x) {
    const { size, head, classes, in_channels, stem_strides } = this.setting;
    const n = x.length;
    const sizes = branchSizes(size, stem_strides);
    const [stem, ...area] = sizes.map(([h, w]) => h * w);
    const constant = (value) => { const row = new Float64Array(n + 1); row[n] = value; return row; };
    const map = (i, pixels) => { const row = new Float64Array(n + 1); row[i] = pixels; return row; };
    const sum = (...rows) => rows.reduce((total, row) => total.map((v, i) => v + row[i]), new Float64Array(n + 1));
    const times = (row, factor) => row.map((v) => v * factor);

    const image = constant(in_channels * size[0] * size[1]);
    const second = map(1, area[0]);
    this.see(x, sum(image, map(0, stem)));
    this.see(x, sum(image, map(0, stem), second));
    let living = [second];
    let widths = [];
    this.space.stageStart.forEach((start, s) => {
      widths = Array.from({ length: s + 1 }, (_, r) => start + 2 + s + r);
      const maps = widths.map((i, r) => map(i, area[r]));
      const rounds = x[start] > 1.5 ? [living, maps] : [living];
      for (const before of rounds) {
        const base = sum(image, ...before);
        let done = base;
        for (let i = 0; i < before.length; i++) {
          this.see(x, sum(done, maps[i], ...(i > 0 ? [maps[i]] : [])));
          if (i + 1 < before.length) {
            const [[h, w], fine] = [sizes[i + 2], sizes[i + 1]];
            const again = 2 * h === fine[0] && 2 * w === fine[1] ? [] : [maps[i]];
            this.see(x, sum(done, maps[i], map(widths[i], 5 * h * w), ...again));
          }
          done = sum(done, maps[i]);
        }
        if (maps.length > before.length) this.see(x, sum(done, maps[before.length]));
        done = sum(base, ...maps);
        maps.forEach((one, r) => {
          this.see(x, sum(done, times(one, 2 + (x[start + 1 + r] > 1.5))));
          done = sum(done, one);
        });
      }
      living = maps;
    });
    const base = sum(image, ...living);
    const target = head === "segmentation" ? sizes[1] : sizes[sizes.length - 1];
    const joined = target[0] * target[1];
    const own = widths.filter((_, r) => String(sizes[r + 1]) !== String(target)).map((i) => map(i, joined));
    const together = sum(...widths.map((i) => map(i, joined)));
    const out = map(n - 1, joined);
    this.see(x, sum(base, ...own, together));
    this.see(x, sum(base, together, out));
    if (head === "segmentation") this.see(x, sum(base, out, constant(classes * joined)));
  }
}
