import { Slices } from './event-loop.js';
import type { Match, MemberId, VectorRows } from './matcher.js';
import { NO_PLACE } from './members.js';
import { isDlib, isRetail, localModel, pairName } from './models.js';
import type { PreparedList } from './prepared-list.js';
import type { ModelRows } from './row-collector.js';
import { fuseInto } from './vectors.js';
import { idKey } from './wire.js';

/** Which models decide where both sides have several: as the service's FACE128_DECISION_MODELS. */
export type DecisionModels = 'dlib' | 'retail' | 'dlib+retail';

/** The rows of one model, or of the pairs of two, of the people who are decided by it. */
export interface Space<Id extends MemberId> extends VectorRows<Id> {
  readonly model: string;
}

/** What a face with descriptors of these models can be compared in, the preferred first: models, and pairs of two. */
export function spaceNames(models: readonly string[], order: DecisionModels): string[] {
  const dlib = models.filter(isDlib);
  const retail = models.filter(isRetail);
  const others = models.filter((model) => !isDlib(model) && !isRetail(model));
  if (order === 'dlib') return [...dlib, ...retail, ...others];
  const pairs = dlib.flatMap((first) => retail.map((second) => pairName(first, second)));
  return [...(order === 'dlib+retail' ? pairs : []), ...retail, ...dlib, ...others];
}

const known = new WeakMap<object, Map<DecisionModels, Promise<unknown>>>();

/** The spaces of a list that the local rule knows, the preferred first; made once for each list. */
export function localSpaces<Id extends MemberId>(
  list: PreparedList<Id>,
  order: DecisionModels,
): Promise<readonly Space<Id>[]> {
  const ofList = known.get(list) ?? new Map<DecisionModels, Promise<unknown>>();
  known.set(list, ofList);
  const spaces = ofList.get(order) ?? makeSpaces(list, order);
  ofList.set(order, spaces);
  return spaces as Promise<readonly Space<Id>[]>;
}

/** Each person is decided in the first space in which they have a row; entries with one regNo are one person. */
async function makeSpaces<Id extends MemberId>(
  list: PreparedList<Id>,
  order: DecisionModels,
): Promise<readonly Space<Id>[]> {
  const slices = new Slices();
  const { members } = list;
  const names = spaceNames(
    list.ofModels.map(({ model }) => model),
    order,
  ).filter(localModel);
  const spaces: Space<Id>[] = [];
  const decided = new Set<string>();
  for (const name of names) {
    const rows = await rowsOf(list.ofModels, name, slices);
    const space = decided.size === 0 ? rows : await without(rows, members, decided, slices);
    if (space.owners.length > 0) spaces.push({ ...space, members, model: name });
    if (name === names.at(-1)) break;
    for (const owner of rows.owners) {
      decided.add(idKey(members[owner]?.regNo ?? ''));
      if (slices.due) await slices.next();
    }
  }
  return spaces;
}

type Rows = Omit<VectorRows<MemberId>, 'members'>;

async function rowsOf(ofModels: readonly ModelRows[], name: string, slices: Slices): Promise<Rows> {
  const [first, second] = name.split('+').map((model) => ofModels.find((rows) => rows.model === model));
  if (!first) throw new Error(`no rows of ${name}`);
  return second ? pairsOf(first, second, slices) : first;
}

/** The pairs of the descriptors that are of one photo. */
async function pairsOf(first: ModelRows, second: ModelRows, slices: Slices): Promise<Rows> {
  const pairs: [number, number][] = [];
  let other = 0;
  for (const [row, owner] of first.owners.entries()) {
    const place = first.places[row] ?? NO_PLACE;
    if (place === NO_PLACE) continue;
    // Both are in the order of their members and of their photos.
    const isBefore = (at: number): boolean => {
      const [ownerThere = Infinity, placeThere = 0] = [second.owners[at], second.places[at]];
      return ownerThere < owner || (ownerThere === owner && placeThere < place);
    };
    while (isBefore(other)) other++;
    if (second.owners[other] === owner && second.places[other] === place) pairs.push([row, other]);
  }
  const dimension = first.dimension + second.dimension;
  const vectors = new Float64Array(pairs.length * dimension);
  const owners = new Uint32Array(pairs.length);
  for (const [i, [one, another]] of pairs.entries()) {
    fuseInto(vectors.subarray(i * dimension, (i + 1) * dimension), vectorAt(first, one), vectorAt(second, another));
    owners[i] = first.owners[one] ?? 0;
    if (slices.due) await slices.next();
  }
  return { dimension, vectors, owners, otherModel: first.otherModel };
}

function vectorAt({ vectors, dimension }: Rows, row: number): Float64Array {
  return vectors.subarray(row * dimension, (row + 1) * dimension);
}

/** The rows of the people who are not decided yet. */
async function without(
  rows: Rows,
  members: readonly Match<MemberId>[],
  decided: ReadonlySet<string>,
  slices: Slices,
): Promise<Rows> {
  const left: number[] = [];
  for (const [row, owner] of rows.owners.entries()) {
    if (!decided.has(idKey(members[owner]?.regNo ?? ''))) left.push(row);
    if (slices.due) await slices.next();
  }
  const vectors = new Float64Array(left.length * rows.dimension);
  for (const [i, row] of left.entries()) {
    vectors.set(vectorAt(rows, row), i * rows.dimension);
    if (slices.due) await slices.next();
  }
  return { ...rows, vectors, owners: Uint32Array.from(left, (row) => rows.owners[row] ?? 0) };
}
