// Several polynomials in the 27 numbers of a code, with their gradient. What they are comes from Python's counting rules.

/** Polynomials given as lists of monomials [coefficient, variable, variable, ...]; equal monomials are worked out once. */
export class Polynomials {
  constructor(lists, variables) {
    const found = new Map();
    lists.forEach((terms, p) => terms.forEach(([coefficient, ...where]) => {
      const key = where.join();
      if (!found.has(key)) found.set(key, { where, coefficients: new Float64Array(lists.length) });
      found.get(key).coefficients[p] += coefficient;
    }));
    this.monomials = [...found.values()];
    this.count = lists.length;
    this.variables = variables;
    this.values = new Float64Array(lists.length);
  }

  /** The values at x; the array is overwritten by the next call. */
  at(x) {
    const out = this.values.fill(0);
    for (const { where, coefficients } of this.monomials) {
      let product = 1;
      for (let k = 0; k < where.length; k++) product *= x[where[k]];
      for (let p = 0; p < out.length; p++) out[p] += coefficients[p] * product;
    }
    return out;
  }

  /** Adds to `gradient` the derivative at x of the sum of weight times polynomial. */
  pull(x, weights, gradient) {
    for (const { where, coefficients } of this.monomials) {
      let factor = 0;
      for (let p = 0; p < coefficients.length; p++) factor += weights[p] * coefficients[p];
      if (factor === 0) continue;
      for (let k = 0; k < where.length; k++) {
        let product = factor;
        for (let l = 0; l < where.length; l++) if (l !== k) product *= x[where[l]];
        gradient[where[k]] += product;
      }
    }
  }
}
