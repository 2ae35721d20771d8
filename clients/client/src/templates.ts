import { invalid } from './errors.js';
import { Slices } from './event-loop.js';
import type { MemberId, VectorRows } from './matcher.js';
import type { LocalModel } from './models.js';
import { mean, rowDistance } from './vectors.js';
import { idKey } from './wire.js';

/** How several photos of a member count: 'nearest', each by itself; 'mean', as the mean of their descriptors. */
export type Template = 'nearest' | 'mean';

/** Photos of a person that are compared with each other. */
const MAX_CENTRES = 16;

const known = new WeakMap<object, Promise<unknown>>();

/** The rows with one template for each person; made once for each list. */
export function templateRows<Id extends MemberId>(rows: VectorRows<Id>, rule: LocalModel): Promise<VectorRows<Id>> {
  const templates = known.get(rows) ?? meanRows(rows, rule);
  known.set(rows, templates);
  return templates as Promise<VectorRows<Id>>;
}

/** Entries with one regNo are one person; their descriptors of another, comparable model make another template. */
async function meanRows<Id extends MemberId>(rows: VectorRows<Id>, rule: LocalModel): Promise<VectorRows<Id>> {
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
    vectors.set(template(photos, rule), place * dimension);
    firstOwners[place++] = owners[own[0] ?? 0] ?? 0;
    if (slices.due) await slices.next();
  }
  return { dimension, vectors, owners: firstOwners, members };
}

/**
 * The mean of a person's descriptors, added from the first to the last; bit for bit that of the service.
 *
 * Those beyond the model's cap of the one that has most others within it are left out, if more than half remain.
 */
export function template(photos: readonly Float64Array[], rule: LocalModel): Float64Array {
  return mean(photos.length > 2 ? withoutForeign(photos, rule) : photos);
}

/** Returns the template if it is one, or undefined. Throws `invalid_request`. */
export function checkTemplate(template: unknown): Template | undefined {
  if (template === undefined || template === 'nearest' || template === 'mean') return template;
  throw invalid('invalid_request', 'The templates are: nearest, mean.', { field: 'template' });
}

function withoutForeign(photos: readonly Float64Array[], { metric, cap }: LocalModel): readonly Float64Array[] {
  const isNear = (one: Float64Array, other: Float64Array): boolean => rowDistance(metric, one, other, 0) <= cap;
  const candidates = photos.slice(0, MAX_CENTRES);
  let centre = candidates[0];
  let most = -1;
  for (const one of candidates) {
    const within = candidates.filter((other) => other !== one && isNear(one, other)).length;
    if (within > most) [centre, most] = [one, within];
  }
  const near = photos.filter((photo) => photo === centre || (centre && isNear(photo, centre)));
  return 2 * near.length > photos.length ? near : photos;
}
