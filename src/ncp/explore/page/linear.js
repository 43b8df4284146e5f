// Dense linear algebra on Float64Array, matrices by rows.

/** The lower Cholesky factor of an n x n matrix, in its place; what lies above the diagonal becomes zero. */
export function cholesky(a, n) {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = a[i * n + j] - dotAt(a, i * n, a, j * n, j);
      if (i > j) a[i * n + j] = rest / a[j * n + j];
      else if (rest > 0) a[i * n + i] = Math.sqrt(rest);
      else throw new Error("a covariance has no Cholesky factor");
    }
    a.fill(0, i * n + i + 1, (i + 1) * n);
  }
  return a;
}

/** X with X L = B for a lower factor L: B has `rows` rows of n numbers and becomes X; four rows at a time share what they read. */
export function solveRows(lower, n, b, rows) {
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    const p = r * n, q = p + n, s = q + n, t = s + n;
    for (let j = n - 1; j >= 0; j--) {
      const row = j * n, pivot = 1 / lower[row + j];
      const w = (b[p + j] *= pivot), x = (b[q + j] *= pivot), y = (b[s + j] *= pivot), z = (b[t + j] *= pivot);
      for (let i = 0; i < j; i++) {
        const l = lower[row + i];
        b[p + i] -= w * l;
        b[q + i] -= x * l;
        b[s + i] -= y * l;
        b[t + i] -= z * l;
      }
    }
  }
  for (; r < rows; r++) {
    for (let j = n - 1, at = r * n; j >= 0; j--) {
      const x = (b[at + j] /= lower[j * n + j]);
      for (let i = 0, row = j * n; i < j; i++) b[at + i] -= x * lower[row + i];
    }
  }
  return b;
}

/** The inverse of a lower factor, itself lower. */
function inverseLower(lower, n) {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out[i * n + i] = 1;
  return solveRows(lower, n, out, n);
}

/** What a process with a covariance of its n rows knows of their values: the inverse factor, and the weights of the rows. */
export function conditioned(covariance, values, n) {
  const half = inverseLower(cholesky(covariance, n), n);
  const solved = multiply(half, values, n, n, new Float64Array(n));
  return { half, alpha: multiplyLeft(solved, half, n, n, new Float64Array(n)) };
}

/** The product of n numbers of a from p on and of b from q on. */
export function dotAt(a, p, b, q, n) {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0;
  for (; i + 3 < n; i += 4) {
    s0 += a[p + i] * b[q + i];
    s1 += a[p + i + 1] * b[q + i + 1];
    s2 += a[p + i + 2] * b[q + i + 2];
    s3 += a[p + i + 3] * b[q + i + 3];
  }
  for (; i < n; i++) s0 += a[p + i] * b[q + i];
  return s0 + s1 + (s2 + s3);
}

/** out = m v for a matrix of rows x columns; four rows at a time share what they read of v. */
export function multiply(m, v, rows, columns, out) {
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    const p = r * columns, q = p + columns, s = q + columns, t = s + columns;
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < columns; i++) {
      const x = v[i];
      a += m[p + i] * x;
      b += m[q + i] * x;
      c += m[s + i] * x;
      d += m[t + i] * x;
    }
    out[r] = a;
    out[r + 1] = b;
    out[r + 2] = c;
    out[r + 3] = d;
  }
  for (; r < rows; r++) out[r] = dotAt(m, r * columns, v, 0, columns);
  return out;
}

/** out = m v for a lower square matrix. */
export function multiplyLower(m, v, n, out) {
  for (let r = 0; r < n; r++) out[r] = dotAt(m, r * n, v, 0, r + 1);
  return out;
}

/** out = w m for a row w of as many numbers as the matrix has rows; four rows at a time share what they write. */
export function multiplyLeft(w, m, rows, columns, out) {
  out.fill(0);
  let r = 0;
  for (; r + 3 < rows; r += 4) {
    const p = r * columns, q = p + columns, s = q + columns, t = s + columns;
    const a = w[r], b = w[r + 1], c = w[r + 2], d = w[r + 3];
    for (let i = 0; i < columns; i++) out[i] += a * m[p + i] + b * m[q + i] + c * m[s + i] + d * m[t + i];
  }
  for (; r < rows; r++) for (let i = 0, p = r * columns, a = w[r]; i < columns; i++) out[i] += a * m[p + i];
  return out;
}
