import { invalid } from './errors';

/** The threshold of the original service; face_recognition itself suggests 0.6, which is far looser. */
export const DEFAULT_THRESHOLD = 0.38;

/** Who it is. */
export interface Match {
  readonly regNo: number | string;
  readonly name: string | null;
}

/** Who it is, or null; and how far the nearest member is, null where nobody was measured or it was not asked. */
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
 * Euclidean distance: the square root of the squared differences, summed in doubles in the order of the index.
 *
 * That order is the definition: the service sums in it as well, so that both get the very same bits.
 */
export function distance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? NaN) - (b[i] ?? NaN);
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}

/** The nearest member, if he is at most `threshold` away; of equal distances the first in the list. */
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

/** The threshold itself, if it is one: a number in (0, 2]. Throws `invalid_request`. */
export function checkThreshold(threshold: unknown): number {
  if (typeof threshold === 'number' && threshold > 0 && threshold <= 2) return threshold;
  throw invalid('invalid_request', 'A threshold is a number above 0 and at most 2.', { field: 'threshold' });
}
