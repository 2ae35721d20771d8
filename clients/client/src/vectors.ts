import type { LocalModel } from './models.js';

type Metric = LocalModel['metric'];

/** What the second network's part of a pair is multiplied by, as in the service. */
const RETAIL_WEIGHT = 0.6;

/**
 * The distance of two descriptors in a metric. The sums are of doubles, added in index order: the service adds in the
 * same order, so that both get the same result bit for bit. NaN where there is none.
 */
export function rowDistance(metric: Metric, probe: Float64Array, vectors: Float64Array, row: number): number {
  return metric === 'euclidean' ? euclidean(probe, vectors, row) : cosine(probe, vectors, row);
}

// In both loops the indices are in range; a default instead of the assertion would cost a fifth of the time.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

/** The square root of the sum of the squared differences. */
function euclidean(probe: Float64Array, vectors: Float64Array, row: number): number {
  const start = row * probe.length;
  let sum = 0;
  for (let i = 0; i < probe.length; i++) {
    const difference = probe[i]! - vectors[start + i]!;
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}

/** 1 minus the sum of the products, divided by the product of the lengths. */
function cosine(probe: Float64Array, vectors: Float64Array, row: number): number {
  const start = row * probe.length;
  let [products, own, other] = [0, 0, 0];
  for (let i = 0; i < probe.length; i++) {
    const [a, b] = [vectors[start + i]!, probe[i]!];
    products += a * b;
    own += a * a;
    other += b * b;
  }
  return 1 - products / (Math.sqrt(own) * Math.sqrt(other));
}
/* eslint-enable @typescript-eslint/no-non-null-assertion */

function length(vector: Float64Array): number {
  let sum = 0;
  for (const x of vector) sum += x * x;
  return Math.sqrt(sum);
}

/** Writes a pair into `target`: each part scaled to length 1, and the second multiplied by RETAIL_WEIGHT. */
export function fuseInto(target: Float64Array, first: Float64Array, second: Float64Array): void {
  const [own, other] = [length(first), length(second)];
  for (const [i, x] of first.entries()) target[i] = x / own;
  for (const [i, x] of second.entries()) target[first.length + i] = RETAIL_WEIGHT * (x / other);
}

/** The pair of two descriptors. */
export function fuse(first: Float64Array, second: Float64Array): Float64Array {
  const pair = new Float64Array(first.length + second.length);
  fuseInto(pair, first, second);
  return pair;
}

/** The mean of vectors, added from the first to the last. */
export function mean(vectors: readonly Float64Array[]): Float64Array {
  const sums = new Float64Array(vectors[0]?.length ?? 0);
  for (const vector of vectors) for (const [i, x] of vector.entries()) sums[i] = (sums[i] ?? 0) + x;
  return sums.map((sum) => sum / vectors.length);
}

/** The mean of a face's descriptors; for cosines each is scaled to length 1 first. One is left as it is. */
export function meanDescriptor(vectors: readonly Float64Array[], metric: Metric): Float64Array {
  const [only] = vectors;
  if (only && vectors.length === 1) return only;
  return mean(metric === 'euclidean' ? vectors : vectors.map((vector) => unit(vector)));
}

function unit(vector: Float64Array): Float64Array {
  const own = length(vector);
  return vector.map((x) => x / own);
}

export function areEqual(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
