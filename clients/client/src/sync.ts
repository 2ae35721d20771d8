import type { PersonTerms } from './api-options.js';
import type { CallOptions } from './call.js';
import { FaceError, type FaceErrorCode, invalid } from './errors.js';
import { termFields } from './forms.js';
import type { MemberId } from './matcher.js';
import { type Photo, photoBlob } from './photo.js';

/** Members that are sent at the same time: the service describes photos on all its cores. */
const CONCURRENT_MEMBERS = 4;

/** A person in the service's gallery. */
export interface GalleryMember<Id extends MemberId = number | string> extends PersonTerms {
  readonly regNo: Id;
  readonly name: string;
  /** One to four; or a function that loads them, called only where they are needed. */
  readonly photos: readonly Photo[] | (() => Promise<readonly Photo[]>);
  /** Changes when the photos do. Without it they are loaded and compared by their content. */
  readonly version?: string | number | undefined;
}

export interface SyncOptions extends Omit<CallOptions, 'requestId'> {
  /** What the gallery holds: ids and fingerprints. Keep it between runs; empty at first. */
  readonly state: Map<string, string>;
  /** Called after each change of the state, to store it. */
  readonly onChange?: ((state: ReadonlyMap<string, string>) => void | Promise<void>) | undefined;
  /** An empty list erases everybody, instead of being an error. */
  readonly allowEmpty?: boolean | undefined;
}

export interface SyncReport<Id extends MemberId = number | string> {
  readonly added: number;
  readonly replaced: number;
  readonly erased: number;
  readonly unchanged: number;
  /** Members whom the service refused; they are tried again the next time. */
  readonly failed: readonly { readonly regNo: Id; readonly code: FaceErrorCode; readonly error: string }[];
}

interface Gallery {
  enrol(
    member: { readonly regNo: MemberId; readonly name: string } & PersonTerms,
    photos: readonly Photo[],
    options: CallOptions & { readonly replace: boolean },
  ): Promise<number>;
  remove(regNo: MemberId, options: CallOptions): Promise<number>;
}

/**
 * Adds, replaces and erases, until the gallery holds exactly these members.
 *
 * Throws what ends the whole run: `unavailable`, `unauthorized`, the reason of an aborted signal. Nothing is erased then,
 * and another run with the same state goes on.
 */
export async function syncGallery<Id extends MemberId>(
  gallery: Gallery,
  members: Iterable<GalleryMember<Id>> | AsyncIterable<GalleryMember<Id>>,
  { state, onChange, allowEmpty = false, ...options }: SyncOptions,
): Promise<SyncReport<Id>> {
  const counts = { added: 0, replaced: 0, erased: 0, unchanged: 0 };
  const failed: { regNo: Id; code: FaceErrorCode; error: string }[] = [];
  const seen = new Set<string>();

  const enrol = async (member: GalleryMember<Id>): Promise<void> => {
    const id = String(member.regNo);
    seen.add(id);
    const { version } = member;
    if (version !== undefined && state.get(id) === fingerprintOf(member, String(version))) {
      counts.unchanged++;
      return;
    }
    const photos = typeof member.photos === 'function' ? await member.photos() : member.photos;
    const content = version === undefined ? await contentOf(photos) : String(version);
    const fingerprint = fingerprintOf(member, content);
    if (state.get(id) === fingerprint) {
      counts.unchanged++;
      return;
    }
    await gallery.enrol(member, photos, { ...options, replace: true });
    counts[state.has(id) ? 'replaced' : 'added']++;
    state.set(id, fingerprint);
    await onChange?.(state);
  };

  await forEach(members, async (member) => {
    try {
      await enrol(member);
    } catch (error) {
      if (!(error instanceof FaceError) || endsTheRun(error)) throw error;
      failed.push({ regNo: member.regNo, code: error.code, error: error.message });
    }
  });
  if (seen.size === 0 && state.size > 0 && !allowEmpty) {
    throw invalid('invalid_request', 'The list is empty: allowEmpty would erase everybody.', { field: 'members' });
  }
  for (const id of [...state.keys()].filter((each) => !seen.has(each))) {
    await gallery.remove(id, options);
    counts.erased++;
    state.delete(id);
    await onChange?.(state);
  }
  return { ...counts, failed };
}

function endsTheRun({ code, status }: FaceError): boolean {
  return code === 'unavailable' || status === 401 || status === 403 || status === 404;
}

function fingerprintOf(member: GalleryMember<MemberId>, content: string): string {
  const { regNo, name, expiresAt, consent } = member;
  const terms = expiresAt === undefined && consent === undefined ? [] : [termFields(member)];
  return JSON.stringify([typeof regNo === 'string' ? 'text' : 'number', name, content, ...terms]);
}

async function contentOf(photos: readonly Photo[]): Promise<string> {
  const hashes = photos.map(async (photo) => {
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', await photoBlob(photo).arrayBuffer()));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
  });
  return (await Promise.all(hashes)).join(' ');
}

/** A few at a time. After the first error no other member is begun. */
async function forEach<T>(items: Iterable<T> | AsyncIterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const iterator: AsyncIterator<T> | Iterator<T> =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failed = false;
  const worker = async (): Promise<void> => {
    while (!failed) {
      const next = await iterator.next();
      if (next.done) return;
      await work(next.value);
    }
  };
  const workers = Array.from({ length: CONCURRENT_MEMBERS }, async () => {
    try {
      await worker();
    } catch (error) {
      failed = true;
      throw error;
    }
  });
  const results = await Promise.allSettled(workers);
  const error = results.find((result) => result.status === 'rejected');
  if (error) throw error.reason;
}
