import { invalid } from './errors.js';

/** The threshold of the original service; face_recognition itself suggests 0.6, which is far looser. */
export const DEFAULT_THRESHOLD = 0.38;

/** BigInt where a database's ids are 64 bits. */
export type MemberId = number | string | bigint;

/** The member that was recognised; `regNo` is the value that the member was given with. */
export interface Match<Id extends MemberId = number | string> {
  readonly regNo: Id;
  readonly name: string | null;
}

/** 'look_again': the match is refused or accepted by little. It is no match: take another photo, or let a person decide. */
export type Verdict = 'yes' | 'look_again' | 'no';

const VERDICTS: readonly unknown[] = ['yes', 'look_again', 'no'] satisfies Verdict[];

/** A match is worth another look if the nearest is at least this share of the runner-up's distance away, as in the service. */
const NEARLY_AS_NEAR = 0.85;

/** The match or null, and the distance of the nearest member: null if there was none, or it was not requested. */
export interface MatchAnswer<Id extends MemberId = number | string> {
  readonly match: Match<Id> | null;
  readonly distance: number | null;
  /**
   * Absent where it is not known. The service says it if it has a FACE128_REVIEW_ALPHA and `explain` asks; the local rule,
   * with the option `review`, of a match, and of one that another member nearly shares.
   */
  readonly verdict?: Verdict;
}

/** All descriptors of a list, one after the other in one array, and the member that each belongs to. */
export interface VectorRows<Id extends MemberId = number | string> {
  readonly dimension: number;
  readonly vectors: Float64Array;
  /** For each row the index of its member, ascending. */
  readonly owners: Uint32Array;
  readonly members: readonly Match<Id>[];
  /** Indices of the members whose descriptors another, comparable model made. */
  readonly otherModel?: ReadonlySet<number>;
}

/**
 * Euclidean distance: the square root of the sum of the squared differences, added as doubles in index order.
 *
 * The service adds in the same order, so that both get the same result bit for bit.
 */
export function distance(a: Float64Array, b: Float64Array): number {
  return rowDistance(a, b, 0);
}

/** Whether a value of the service's answer is a verdict. */
export function isVerdict(value: unknown): value is Verdict {
  return VERDICTS.includes(value);
}

/**
 * The nearest member, if at most `threshold` away; of equal distances the first in the list.
 *
 * With `review`, a match that another member nearly shares is 'look_again', and no match.
 */
export function decide<Id extends MemberId>(
  probe: Float64Array,
  rows: VectorRows<Id>,
  threshold: number,
  review = false,
): MatchAnswer<Id> {
  const { vectors, owners, members } = rows;
  let nearest = -1;
  let smallest = Infinity;
  for (let row = 0; row < owners.length; row++) {
    const candidate = rowDistance(probe, vectors, row);
    if (candidate < smallest) {
      nearest = row;
      smallest = candidate;
    }
  }
  if (nearest < 0) return { match: null, distance: null };
  const member = members[owners[nearest] ?? -1] ?? null;
  const match = smallest <= threshold ? member : null;
  if (!review || !match) return { match, distance: smallest };
  if (smallest >= NEARLY_AS_NEAR * distanceOfOthers(probe, rows, match)) {
    return { match: null, distance: smallest, verdict: 'look_again' };
  }
  return { match, distance: smallest, verdict: 'yes' };
}

/** The distance of the nearest member with another regNo: one may be listed several times. */
function distanceOfOthers<Id extends MemberId>(
  probe: Float64Array,
  { vectors, owners, members }: VectorRows<Id>,
  { regNo }: Match<Id>,
): number {
  let smallest = Infinity;
  owners.forEach((owner, row) => {
    if (members[owner]?.regNo !== regNo) smallest = Math.min(smallest, rowDistance(probe, vectors, row));
  });
  return smallest;
}

function rowDistance(probe: Float64Array, vectors: Float64Array, row: number): number {
  const start = row * probe.length;
  let sum = 0;
  for (let i = 0; i < probe.length; i++) {
    // The indices are in range; a default instead of the assertion would cost a fifth of the time.
    // eslint-disable-next-line @typescript-eslint/no-non-null-assertion
    const difference = probe[i]! - vectors[start + i]!;
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}

/** Returns the threshold if it is a number in (0, 2]. Throws `invalid_request`. */
export function checkThreshold(threshold: unknown): number {
  if (typeof threshold === 'number' && threshold > 0 && threshold <= 2) return threshold;
  throw invalid('invalid_request', 'A threshold is a number above 0 and at most 2.', { field: 'threshold' });
}
