import { invalid } from './errors.js';
import { Slices } from './event-loop.js';
import { distance, type MemberId, type VectorRows } from './matcher.js';
import { idKey } from './wire.js';

/** How several photos of a member count: 'nearest', each by itself; 'mean', as the mean of their descriptors. */
export type Template = 'nearest' | 'mean';

/** Descriptors further apart than this are not of one person: dlib's own bound. */
const SAME_PERSON = 0.6;
/** Photos of a person that are compared with each other. */
const MAX_CENTRES = 16;

const known = new WeakMap<object, Promise<unknown>>();

/** The rows with one template for each person; made once for each list. */
export function templateRows<Id extends MemberId>(rows: VectorRows<Id>): Promise<VectorRows<Id>> {
  const templates = known.get(rows) ?? meanRows(rows);
  known.set(rows, templates);
  return templates as Promise<VectorRows<Id>>;
}

/** Entries with one regNo are one person; their descriptors of another, comparable model make another template. */
async function meanRows<Id extends MemberId>(rows: VectorRows<Id>): Promise<VectorRows<Id>> {
  const slices = new Slices();
  const { dimension, owners, members, otherModel } = rows;
  const people = new Map<string, number[]>();
  for (const [row, owner] of owners.entries()) {
    const key = `${otherModel?.has(owner) ? 'other' : 'own'} ${idKey(members[owner]?.regNo ?? '')}`;
    const own = people.get(key);
    if (own) own.push(row);
    else people.set(key, [row]);
    if (slices.due) await slices.next();
  }
  if (people.size === owners.length) return rows;
  const vectors = new Float64Array(people.size * dimension);
  const firstOwners = new Uint32Array(people.size);
  let place = 0;
  for (const own of people.values()) {
    const photos = own.map((row) => rows.vectors.subarray(row * dimension, (row + 1) * dimension));
    vectors.set(template(photos), place * dimension);
    firstOwners[place++] = owners[own[0] ?? 0] ?? 0;
    if (slices.due) await slices.next();
  }
  return { dimension, vectors, owners: firstOwners, members };
}

/**
 * The mean of a person's descriptors, added from the first to the last; bit for bit that of the service.
 *
 * Those beyond 0.6 of the one that has most others within 0.6 are left out, if more than half remain.
 */
export function template(photos: readonly Float64Array[]): Float64Array {
  const kept = photos.length > 2 ? withoutForeign(photos) : photos;
  const sums = new Float64Array(photos[0]?.length ?? 0);
  for (const photo of kept) for (const [i, x] of photo.entries()) sums[i] = (sums[i] ?? 0) + x;
  return sums.map((sum) => sum / kept.length);
}

/** Returns the template if it is one, or undefined. Throws `invalid_request`. */
export function checkTemplate(template: unknown): Template | undefined {
  if (template === undefined || template === 'nearest' || template === 'mean') return template;
  throw invalid('invalid_request', 'The templates are: nearest, mean.', { field: 'template' });
}

function withoutForeign(photos: readonly Float64Array[]): readonly Float64Array[] {
  const candidates = photos.slice(0, MAX_CENTRES);
  let centre = candidates[0];
  let most = -1;
  for (const one of candidates) {
    const within = candidates.filter((other) => other !== one && distance(one, other) <= SAME_PERSON).length;
    if (within > most) [centre, most] = [one, within];
  }
  const near = photos.filter((photo) => photo === centre || (centre && distance(photo, centre) <= SAME_PERSON));
  return 2 * near.length > photos.length ? near : photos;
}
