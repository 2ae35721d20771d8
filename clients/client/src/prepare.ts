import { invalid } from './errors.js';
import type { MemberId } from './matcher.js';
import type { AnyMember, Member } from './members.js';
import { dimensionOf, FACE_API } from './models.js';
import { buildList, type OnInvalid, type PreparedList } from './prepared-list.js';

export interface PrepareOptions {
  /** 'skip'. */
  readonly onInvalid?: OnInvalid | undefined;
  /**
   * The model of the probes, or their models, their own first; face-api.js's. Lists for others are prepared when they
   * are needed.
   */
  readonly model?: string | readonly string[] | undefined;
}

/** Lists that are kept for probes of different models: a probe from the network may name any. */
const MAX_LISTS = 8;

/** Members that were read once, for any number of calls. They are not read again when the rows change: prepare anew. */
export class PreparedMembers<Id extends MemberId = number | string> {
  private readonly lists = new Map<string, Promise<PreparedList<Id>>>();

  /** Use `prepare`. */
  constructor(
    private readonly rows: readonly Member<Id>[],
    private readonly options: { readonly onInvalid: OnInvalid; readonly forService: boolean },
  ) {}

  /** The number of rows. */
  get length(): number {
    return this.rows.length;
  }

  /**
   * The list for probes of this model, or of these, their own first; `dimension` is that of a model that only the
   * service knows. Throws the error of the first invalid row if `onInvalid` is 'throw'.
   */
  list(model: string | readonly string[] = FACE_API, dimension?: number): Promise<PreparedList<Id>> {
    const models = typeof model === 'string' ? [model] : model;
    const ownDimension = dimensionOf(models[0] ?? '') ?? dimension;
    const key = `${models.join(' ')} ${ownDimension ?? ''}`;
    const known = this.lists.get(key);
    if (known) return known;
    const list = buildList(this.rows, models, ownDimension, this.options);
    this.lists.set(key, list);
    const [oldest = ''] = this.lists.keys();
    if (this.lists.size > MAX_LISTS) this.lists.delete(oldest);
    return list;
  }
}

/** The members of a call: an array, or prepared. */
export type Members = readonly AnyMember[] | PreparedMembers<MemberId>;

/** The type of these members' ids. */
export type IdOf<T extends Members> =
  T extends PreparedMembers<infer Id>
    ? Id
    : T extends readonly { readonly regNo: infer Id extends MemberId }[]
      ? Id
      : never;

/** Reads the members in slices, which never hold the event loop for long. */
export async function prepare<M extends AnyMember = Member>(
  members: readonly M[],
  { onInvalid = 'skip', model = FACE_API }: PrepareOptions = {},
): Promise<PreparedMembers<M['regNo']>> {
  checkIsList(members);
  const prepared = new PreparedMembers<M['regNo']>(snapshot(members), { onInvalid, forService: true });
  await prepared.list(model);
  return prepared;
}

/** Throws `invalid_request` unless it is an array: the types do not guarantee it. */
export function checkIsList(members: unknown): void {
  if (!Array.isArray(members)) throw invalid('invalid_request', 'The members are a list.', { field: 'enrolled' });
}

/** A copy of the list and its rows, but not of the descriptors themselves. */
export function snapshot<Id extends MemberId>(members: readonly Member<Id>[]): Member<Id>[] {
  // What is no object stays as it is, to be reported.
  return members.map((member) => (isObject(member) ? fieldsOf(member) : member));
}

/** Whether the list still has the rows of this snapshot, with the same values and descriptors in them. */
export function isUnchanged(members: readonly Member<MemberId>[], before: readonly Member<MemberId>[]): boolean {
  if (members.length !== before.length) return false;
  for (let i = 0; i < before.length; i++) {
    const [a, b] = [members[i], before[i]];
    if (!isObject(a) || !isObject(b)) {
      if (a !== b) return false;
    } else if (
      a.regNo !== b.regNo ||
      a.name !== b.name ||
      (a.descriptor ?? null) !== b.descriptor ||
      (a.descriptors ?? null) !== b.descriptors ||
      (a.model ?? null) !== b.model
    ) {
      return false;
    }
  }
  return true;
}

function fieldsOf<Id extends MemberId>(member: Member<Id>): Member<Id> {
  const { regNo, name, descriptor = null, descriptors = null, model = null } = member;
  return { regNo, name: name as string | null, descriptor, descriptors, model };
}

function isObject(member: unknown): member is Member<MemberId> {
  return typeof member === 'object' && member !== null && !Array.isArray(member);
}
