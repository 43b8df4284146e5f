// Where a search may move: bounds of the dimensions, and those that stay (ncp/search/region.py).

/** Bounds within the space; `bounds` are index -> [lower, upper], `fixed` are index -> value. */
export class Region {
  constructor(space, { bounds = {}, fixed = {}, known = [] } = {}) {
    this.space = space;
    this.lower = space.lower.slice();
    this.upper = space.upper.slice();
    for (const { lower, upper } of known) {
      for (let i = 0; i < space.dim; i++) {
        this.lower[i] = Math.max(this.lower[i], lower[i]);
        this.upper[i] = Math.min(this.upper[i], upper[i]);
      }
    }
    for (const [i, [lower, upper]] of Object.entries(bounds)) {
      this.lower[i] = Math.max(this.lower[i], lower);
      this.upper[i] = Math.min(this.upper[i], upper);
    }
    for (const [i, value] of Object.entries(fixed)) this.lower[i] = this.upper[i] = value;
    const wrong = this.lower.findIndex((v, i) => v > this.upper[i]);
    if (wrong >= 0) throw new Error(`nothing is left of ${space.labels[wrong]}: give other bounds`);
    this.free = this.lower.map((v, i) => (v < this.upper[i] ? 1 : 0));
    this.whole = this.lower.every((v, i) => v === space.lower[i] && this.upper[i] === space.upper[i]);
  }

  clamp(x) {
    for (let i = 0; i < x.length; i++) x[i] = Math.min(this.upper[i], Math.max(this.lower[i], x[i]));
    return x;
  }

  round(x) {
    return this.clamp(this.space.round(this.clamp(Float64Array.from(x))));
  }

  contains(code) {
    return code.every((v, i) => v >= this.lower[i] && v <= this.upper[i]);
  }

  /** The space's recorded random codes, spread over the bounds. */
  sample(n) {
    const { space, lower, upper } = this;
    return space.starts.slice(0, n).map((code) => (this.whole ? Float64Array.from(code) : this.round(code.map((v, i) =>
      lower[i] + ((v - space.lower[i]) / (space.upper[i] - space.lower[i])) * (upper[i] - lower[i])))));
  }

  /** All codes one step away. */
  neighbours(code) {
    const out = [];
    // down before up, the last dimension first among those that fall: the order of Python's moves, for equal ties
    for (const sign of [-1, 1]) {
      for (let k = 0; k < code.length; k++) {
        const i = sign < 0 ? k : code.length - 1 - k;
        const value = code[i] + sign * this.space.step[i];
        if (value < this.lower[i] || value > this.upper[i]) continue;
        const near = Float64Array.from(code);
        near[i] = value;
        out.push(near);
      }
    }
    return out;
  }
}
