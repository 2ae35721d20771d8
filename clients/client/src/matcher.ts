import { invalid } from './errors';

/** The threshold of the original service; face_recognition itself suggests 0.6, which is far looser. */
export const DEFAULT_THRESHOLD = 0.38;

/** The member that was recognised. */
export interface Match {
  readonly regNo: number | string;
  readonly name: string | null;
}

/** The match or null, and the distance of the nearest member: null if there was none, or it was not requested. */
export interface MatchAnswer {
  readonly match: Match | null;
  readonly distance: number | null;
}

/** One descriptor of one member. */
export interface Row {
  readonly member: Match;
  readonly vector: Float64Array;
}

/**
 * Euclidean distance: the square root of the sum of the squared differences, added as doubles in index order.
 *
 * The service adds in the same order, so that both get the same result bit for bit.
 */
export function distance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? NaN) - (b[i] ?? NaN);
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}

/** The nearest member, if at most `threshold` away; of equal distances the first in the list. */
export function decide(probe: Float64Array, rows: Iterable<Row>, threshold: number): MatchAnswer {
  let nearest: Row | null = null;
  let smallest = Infinity;
  for (const row of rows) {
    const candidate = distance(probe, row.vector);
    if (candidate < smallest) {
      nearest = row;
      smallest = candidate;
    }
  }
  if (nearest === null) return { match: null, distance: null };
  const { regNo, name } = nearest.member;
  return { match: smallest <= threshold ? { regNo, name } : null, distance: smallest };
}

/** Returns the threshold if it is a number in (0, 2]. Throws `invalid_request`. */
export function checkThreshold(threshold: unknown): number {
  if (typeof threshold === 'number' && threshold > 0 && threshold <= 2) return threshold;
  throw invalid('invalid_request', 'A threshold is a number above 0 and at most 2.', { field: 'threshold' });
}
