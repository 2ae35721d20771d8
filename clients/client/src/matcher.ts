import type { LocalModel } from './models.js';
import { rowDistance } from './vectors.js';
import { idKey } from './wire.js';

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

/** The rows of one model, or of pairs, and the probe and the threshold to search them with. */
export interface Search<Id extends MemberId = number | string> {
  readonly rows: VectorRows<Id>;
  readonly probe: Float64Array;
  readonly metric: LocalModel['metric'];
  readonly threshold: number;
}

/** The nearest row of a search. */
interface Found<Id extends MemberId> {
  readonly search: Search<Id>;
  readonly distance: number;
  readonly owner: number;
}

/**
 * Euclidean distance: the square root of the sum of the squared differences, added as doubles in index order.
 *
 * The service adds in the same order, so that both get the same result bit for bit.
 */
export function distance(a: Float64Array, b: Float64Array): number {
  return rowDistance('euclidean', a, b, 0);
}

/** Whether a value of the service's answer is a verdict. */
export function isVerdict(value: unknown): value is Verdict {
  return VERDICTS.includes(value);
}

/**
 * The nearest member by Euclidean distance, if at most `threshold` away; of equal distances the first in the list.
 *
 * With `review`, a match that another member nearly shares is 'look_again', and no match.
 */
export function decide<Id extends MemberId>(
  probe: Float64Array,
  rows: VectorRows<Id>,
  threshold: number,
  review = false,
): MatchAnswer<Id> {
  return decideAmong<Id, Search<Id>>([{ probe, rows, threshold, metric: 'euclidean' }], review).answer;
}

/**
 * As `decide`, among the people of several searches, and the search that decides: distances of two cannot be compared,
 * so the nearest is the one with the least distance / threshold.
 */
export function decideAmong<Id extends MemberId, S extends Search<Id>>(
  searches: readonly S[],
  review: boolean,
): { readonly answer: MatchAnswer<Id>; readonly search: S | undefined } {
  const found = searches.flatMap((search) => nearestOf<Id>(search) ?? []);
  const best = nearestFound(found);
  if (!best) return { answer: { match: null, distance: null }, search: undefined };
  const search = searches.find((each) => each === best.search);
  const { distance } = best;
  const match = distance <= best.search.threshold ? memberOf(best) : null;
  if (!review || !match) return { answer: { match, distance }, search };
  if (distance >= NEARLY_AS_NEAR * runnerUpDistance(found, best)) {
    return { answer: { match: null, distance, verdict: 'look_again' }, search };
  }
  return { answer: { match, distance, verdict: 'yes' }, search };
}

function memberOf<Id extends MemberId>({ search, owner }: Found<Id>): Match<Id> | null {
  return search.rows.members[owner] ?? null;
}

/** Of equally near ones the first in the list. */
function nearestFound<Id extends MemberId>(found: readonly Found<Id>[]): Found<Id> | undefined {
  const share = ({ distance, search }: Found<Id>): number => distance / search.threshold;
  return found.toSorted((a, b) => share(a) - share(b) || a.owner - b.owner)[0];
}

/** The distance of the nearest other person; of another search as the same multiple of the threshold of `best`. */
function runnerUpDistance<Id extends MemberId>(found: readonly Found<Id>[], best: Found<Id>): number {
  const sameSearch = nearestOf(best.search, memberOf(best)?.regNo);
  const runnerUp = nearestFound([...found.filter((each) => each !== best), ...(sameSearch ? [sameSearch] : [])]);
  if (!runnerUp) return Infinity;
  if (runnerUp.search === best.search) return runnerUp.distance;
  return runnerUp.distance * (best.search.threshold / runnerUp.search.threshold);
}

/** The nearest row; `except` is a person who is left out, all of whose entries have this regNo. */
function nearestOf<Id extends MemberId>(search: Search<Id>, except?: Id): Found<Id> | undefined {
  const { probe, metric, rows } = search;
  const { vectors, owners, members } = rows;
  const left = except === undefined ? undefined : idKey(except);
  let nearest = -1;
  let smallest = Infinity;
  for (let row = 0; row < owners.length; row++) {
    const candidate = rowDistance(metric, probe, vectors, row);
    if (candidate < smallest) {
      if (left !== undefined && idKey(members[owners[row] ?? 0]?.regNo ?? '') === left) continue;
      nearest = row;
      smallest = candidate;
    }
  }
  return nearest < 0 ? undefined : { search, distance: smallest, owner: owners[nearest] ?? 0 };
}
