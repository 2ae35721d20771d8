import type { MemberId } from './matcher.js';
import type { AnyMember } from './members.js';
import { checkIsList, isUnchanged, type Members, PreparedMembers, snapshot } from './prepare.js';
import type { OnInvalid } from './prepared-list.js';

export type Version = string | number;

interface Entry {
  readonly version: Version | undefined;
  readonly rows: readonly AnyMember[];
  readonly prepared: PreparedMembers<MemberId>;
}

/** Prepares each array of members once, as long as it lives and does not change. */
export class ListCache {
  private readonly entries = new WeakMap<object, Entry>();

  constructor(private readonly options: { readonly onInvalid: OnInvalid; readonly forService: boolean }) {}

  /**
   * The members, prepared. With a `version` an array counts as changed if the version differs; without one, if it has
   * other rows, or a row has another id, name or descriptor than before.
   */
  prepared(members: Members, version: Version | undefined): PreparedMembers<MemberId> {
    if (members instanceof PreparedMembers) return members;
    checkIsList(members);
    const known = this.entries.get(members);
    if (known && known.version === version && (version !== undefined || isUnchanged(members, known.rows))) {
      return known.prepared;
    }
    const rows = snapshot(members);
    const prepared = new PreparedMembers(rows, this.options);
    this.entries.set(members, { version, rows, prepared });
    return prepared;
  }
}
