import { FaceError, type FaceErrorCode } from './errors.js';
import { Slices } from './event-loop.js';
import type { Match, MemberId, VectorRows } from './matcher.js';
import { type Candidate, candidate, type Member } from './members.js';
import { comparableModels } from './models.js';
import { type ModelRows, RowCollector } from './row-collector.js';
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
/** Text is turned into bytes in pieces of about this many characters: larger ones outlive a garbage collection. */
const PIECE_CHARACTERS = 16_384;

/** What a list of members is for probes of some models: its vectors for the local matcher, its text for the service. */
export interface PreparedList<Id extends MemberId = number | string> extends VectorRows<Id> {
  /** The probes' own model, or the only one. The rows of the list are those of this model. */
  readonly model: string;
  /** The rows of each model of the probes, its own first. */
  readonly ofModels: readonly ModelRows[];
  /** There are descriptors, but none that can be compared with such probes'. */
  readonly isForeign: boolean;
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

/**
 * Reads the rows in slices, for probes of these models, their own first.
 *
 * Throws the error of the first invalid row if `onInvalid` is 'throw'.
 */
export function buildList<Id extends MemberId>(
  rows: readonly Member<Id>[],
  models: readonly string[],
  dimension: number | undefined,
  options: BuildOptions,
): Promise<PreparedList<Id>> {
  if (rows.length < LONG_LIST) return readRows(rows, models, dimension, options);
  const list = longLists.then(() => readRows(rows, models, dimension, options));
  longLists = list.catch(() => undefined);
  return list;
}

async function readRows<Id extends MemberId>(
  rows: readonly Member<Id>[],
  models: readonly string[],
  dimension: number | undefined,
  { onInvalid, forService }: BuildOptions,
): Promise<PreparedList<Id>> {
  const slices = new Slices();
  const builder = new ListBuilder<Id>(models, rows.length, dimension, forService);
  for (const [index, row] of rows.entries()) {
    try {
      builder.add(candidate(row, index, models, builder.dimension));
    } catch (error) {
      if (onInvalid === 'throw' || !(error instanceof FaceError)) throw error;
      builder.skip(index, error);
    }
    if (slices.due) await slices.next();
  }
  return builder.finish(slices);
}

class ListBuilder<Id extends MemberId> {
  private readonly members: Match<Id>[] = [];
  private readonly byId = new Map<string, Match<Id>[]>();
  private readonly own: RowCollector;
  private readonly collectors: readonly RowCollector[];
  private hasForeign = false;
  private readonly skipped: SkippedMember[] = [];
  private skippedCount = 0;
  private readonly text = new ByteText();
  private piece = '[';

  constructor(
    models: readonly string[],
    private readonly length: number,
    dimension: number | undefined,
    private readonly forService: boolean,
  ) {
    const [own = '', ...others] = models;
    this.own = new RowCollector(own, length, dimension);
    this.collectors = [this.own, ...others.map((model) => new RowCollector(model, length, undefined))];
  }

  /** Of the descriptors so far of the probes' own model, where only the service knows it. */
  get dimension(): number | undefined {
    return this.own.dimension;
  }

  add(member: Candidate<Id>): void {
    const match = { regNo: member.regNo, name: member.name };
    for (const photos of member.ofModels) {
      const models = comparableModels(photos.model);
      this.collectors.find(({ model }) => models.includes(model))?.add(photos, this.members.length);
    }
    this.hasForeign ||= member.isForeign;
    this.members.push(match);
    const key = idKey(match.regNo);
    const same = this.byId.get(key);
    if (same) same.push(match);
    else this.byId.set(key, [match]);
    if (!this.forService) return;
    this.piece += (this.members.length > 1 ? ',' : '') + memberText(member, this.own.model);
    if (this.piece.length > PIECE_CHARACTERS) this.flush((this.members.length + this.skippedCount) / this.length);
  }

  skip(index: number, { code, body }: FaceError): void {
    this.skippedCount++;
    if (this.skipped.length >= MAX_LISTED_SKIPPED) return;
    const regNo = body['regNo'] as MemberId | undefined;
    this.skipped.push({ index, ...(regNo === undefined ? {} : { regNo }), field: String(body['field']), code });
  }

  async finish(slices: Slices): Promise<PreparedList<Id>> {
    const { members, byId, skipped, skippedCount } = this;
    const own = await this.own.rows(slices);
    const ofModels = [own];
    for (const collector of this.collectors.slice(1)) ofModels.push(await collector.rows(slices));
    this.piece += ']';
    this.flush(1);
    const body = await this.text.bytes(slices);
    if (slices.due) await slices.next();
    const digest = this.forService ? await digestOf(body, slices) : undefined;
    const isForeign = this.hasForeign && ofModels.every(({ owners }) => owners.length === 0);
    return {
      ...{ ...own, members, ofModels, isForeign },
      ...{ body, digest, skipped, skippedCount },
      find: (regNo, name) => byId.get(idKey(regNo))?.find((member) => member.name === name),
    };
  }

  private flush(share: number): void {
    this.text.write(this.piece, share);
    this.piece = '';
  }
}
