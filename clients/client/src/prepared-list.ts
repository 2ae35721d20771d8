import { FaceError, type FaceErrorCode } from './errors.js';
import { Slices } from './event-loop.js';
import type { Match, MemberId, VectorRows } from './matcher.js';
import { type Candidate, candidate, type Member } from './members.js';
import { ByteText, digestOf, idKey, memberText } from './wire.js';

/** 'skip': a row that cannot be read is passed over and reported. 'throw': it is an error of the whole list. */
export type OnInvalid = 'skip' | 'throw';

/** A row of the list that was passed over. */
export interface SkippedMember {
  readonly index: number;
  /** Absent if it is what cannot be read. */
  readonly regNo?: MemberId;
  readonly field: string;
  readonly code: FaceErrorCode;
}

const MAX_LISTED_SKIPPED = 100;
/** Text is turned into bytes in pieces of about this many characters. */
const PIECE_CHARACTERS = 65_536;

/** What a list of members is for probes of one model: its vectors for the local matcher, its text for the service. */
export interface PreparedList<Id extends MemberId = number | string> extends VectorRows<Id> {
  readonly model: string;
  /** The JSON array of members, as `PUT /lists/{digest}` takes it. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** `sha256-...` of the body; undefined where the runtime has no SHA-256. */
  readonly digest: string | undefined;
  /** The first hundred of the rows that were passed over. */
  readonly skipped: readonly SkippedMember[];
  readonly skippedCount: number;
  /** The member that an answer of the service names. */
  find(regNo: MemberId, name: string | null): Match<Id> | undefined;
}

/** Long lists are read one after the other: the first callers have theirs sooner, and nobody later. */
const LONG_LIST = 1000;
let longLists: Promise<unknown> = Promise.resolve();

interface BuildOptions {
  readonly onInvalid: OnInvalid;
  /** With a body for the service. */
  readonly forService: boolean;
}

/** Reads the rows in slices. Throws the error of the first invalid row if `onInvalid` is 'throw'. */
export function buildList<Id extends MemberId>(
  rows: readonly Member<Id>[],
  model: string,
  dimension: number | undefined,
  options: BuildOptions,
): Promise<PreparedList<Id>> {
  if (rows.length < LONG_LIST) return readRows(rows, model, dimension, options);
  const list = longLists.then(() => readRows(rows, model, dimension, options));
  longLists = list.catch(() => undefined);
  return list;
}

async function readRows<Id extends MemberId>(
  rows: readonly Member<Id>[],
  model: string,
  dimension: number | undefined,
  { onInvalid, forService }: BuildOptions,
): Promise<PreparedList<Id>> {
  const slices = new Slices();
  const builder = new ListBuilder<Id>(model, forService);
  for (const [index, row] of rows.entries()) {
    try {
      builder.add(candidate(row, index, model, dimension ?? builder.dimension));
    } catch (error) {
      if (onInvalid === 'throw' || !(error instanceof FaceError)) throw error;
      builder.skip(index, error);
    }
    if (slices.due) await slices.next();
  }
  return builder.finish(dimension ?? builder.dimension ?? 0, slices);
}

class ListBuilder<Id extends MemberId> {
  /** Of the descriptors so far. */
  dimension: number | undefined;

  private readonly members: Match<Id>[] = [];
  private readonly byId = new Map<string, Match<Id>[]>();
  private readonly vectors: Float64Array[] = [];
  private readonly owners: number[] = [];
  private readonly otherModel = new Set<number>();
  private readonly skipped: SkippedMember[] = [];
  private skippedCount = 0;
  private readonly text = new ByteText();
  private piece = '[';

  constructor(
    private readonly model: string,
    private readonly forService: boolean,
  ) {}

  add(member: Candidate<Id>): void {
    const match = { regNo: member.regNo, name: member.name };
    for (const vector of member.vectors) {
      this.dimension ??= vector.length;
      this.vectors.push(vector);
      this.owners.push(this.members.length);
    }
    if (member.model !== this.model) this.otherModel.add(this.members.length);
    this.members.push(match);
    const key = idKey(match.regNo);
    const same = this.byId.get(key);
    if (same) same.push(match);
    else this.byId.set(key, [match]);
    if (!this.forService) return;
    this.piece += (this.members.length > 1 ? ',' : '') + memberText(member, this.model);
    if (this.piece.length > PIECE_CHARACTERS) this.flush();
  }

  skip(index: number, { code, body }: FaceError): void {
    this.skippedCount++;
    if (this.skipped.length >= MAX_LISTED_SKIPPED) return;
    const regNo = body['regNo'] as MemberId | undefined;
    this.skipped.push({ index, ...(regNo === undefined ? {} : { regNo }), field: String(body['field']), code });
  }

  async finish(dimension: number, slices: Slices): Promise<PreparedList<Id>> {
    const { members, owners, otherModel, byId, skipped, skippedCount, model } = this;
    const vectors = await this.joinVectors(dimension, slices);
    this.piece += ']';
    this.flush();
    const body = await this.text.bytes(slices);
    if (slices.due) await slices.next();
    const digest = this.forService ? await digestOf(body, slices) : undefined;
    return {
      ...{ model, dimension, vectors, owners: Uint32Array.from(owners), members, otherModel },
      ...{ body, digest, skipped, skippedCount },
      find: (regNo, name) => byId.get(idKey(regNo))?.find((member) => member.name === name),
    };
  }

  private async joinVectors(dimension: number, slices: Slices): Promise<Float64Array> {
    const joined = new Float64Array(this.vectors.length * dimension);
    for (const [row, vector] of this.vectors.entries()) {
      joined.set(vector, row * dimension);
      if (slices.due) await slices.next();
    }
    return joined;
  }

  private flush(): void {
    this.text.write(this.piece);
    this.piece = '';
  }
}
