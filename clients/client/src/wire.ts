import { wireText } from './descriptor.js';
import type { Slices } from './event-loop.js';
import { type Candidate, NO_PLACE, type OfModel } from './members.js';
import type { MemberId } from './matcher.js';
import { isComparable } from './models.js';

const encoder = new TextEncoder();
const COPIED_AT_ONCE_BYTES = 2 ** 20;

/** The JSON text of a member as the service takes it. */
export function memberText({ regNo, name, ofModels }: Candidate<MemberId>, probeModel: string): string {
  const start = `{"regNo":${idText(regNo)},"name":${JSON.stringify(name)},`;
  const [first] = ofModels;
  if (!first) return `${start}"descriptor":null}`;
  const isOne = ofModels.length === 1 && isComparable(first.model, probeModel);
  return `${start}${isOne ? textOfOne(first, probeModel) : textByModel(ofModels, probeModel)}}`;
}

function textOfOne({ model, photos }: OfModel, probeModel: string): string {
  const texts = photos.map(({ vector }) => wireText(vector));
  const descriptors = texts.length > 1 ? `"descriptors":[${texts.join(',')}]` : `"descriptor":${texts[0] ?? 'null'}`;
  return descriptors + modelText(model, probeModel);
}

function textByModel(ofModels: readonly OfModel[], probeModel: string): string {
  let beside = '';
  const lists = ofModels.map(({ model, photos }) => {
    const places: string[] = [];
    for (const { place, vector } of photos) {
      if (place === NO_PLACE) beside = `"descriptor":${wireText(vector)}${modelText(model, probeModel)},`;
      else places[place] = wireText(vector);
    }
    const texts = Array.from(places, (text: string | undefined) => text ?? 'null');
    // An empty list would make the descriptor beside it that of the first photo.
    if (texts.length === 0) texts.push('null');
    return `${JSON.stringify(model)}:${places.length === 1 ? (texts[0] ?? 'null') : `[${texts.join(',')}]`}`;
  });
  return `${beside}"descriptors":{${lists.join(',')}}`;
}

function modelText(model: string, probeModel: string): string {
  return model === probeModel ? '' : `,"model":${JSON.stringify(model)}`;
}

/** Of bytes that are allocated at once for a text, at most: what a list needs is estimated by its first members. */
const MAX_BLOCK_BYTES = 2 ** 26;
const MARGIN = 1.1;

/**
 * A text that is written piece by piece, as bytes. Most lists fit into the first block, and are not copied: each copy
 * of a large list makes the garbage collector look through the application's whole heap once more.
 */
export class ByteText {
  private readonly blocks: Uint8Array<ArrayBuffer>[] = [];
  private block = new Uint8Array(0);
  private used = 0;
  private length = 0;

  /** `share` of the whole text, about, has been written with this piece. */
  write(text: string, share: number): void {
    // A character takes at most three bytes.
    const needed = 3 * text.length;
    if (needed > this.block.length - this.used) {
      this.endBlock();
      const rest = (this.length + text.length) / share - this.length;
      this.block = new Uint8Array(Math.max(needed, Math.min(MAX_BLOCK_BYTES, Math.ceil(MARGIN * rest))));
    }
    const { written } = encoder.encodeInto(text, this.block.subarray(this.used));
    this.used += written;
    this.length += written;
  }

  async bytes(slices: Slices): Promise<Uint8Array<ArrayBuffer>> {
    const isOne = this.blocks.length === 0 && this.used > this.block.length / 2;
    this.endBlock();
    if (isOne && this.blocks[0]) return this.blocks[0];
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const block of this.blocks) {
      for (let start = 0; start < block.length; start += COPIED_AT_ONCE_BYTES) {
        const part = block.subarray(start, start + COPIED_AT_ONCE_BYTES);
        bytes.set(part, at);
        at += part.length;
        if (slices.due) await slices.next();
      }
    }
    return bytes;
  }

  private endBlock(): void {
    if (this.used > 0) this.blocks.push(this.block.subarray(0, this.used));
    this.used = 0;
  }
}

interface NodeHash {
  update(bytes: Uint8Array): NodeHash;
  digest(): Uint8Array;
}
interface NodeProcess {
  getBuiltinModule?(name: 'node:crypto'): { createHash(name: 'sha256'): NodeHash } | undefined;
}
const nodeCrypto = (globalThis as { process?: NodeProcess }).process?.getBuiltinModule?.('node:crypto');
const HASHED_AT_ONCE_BYTES = 2 ** 20;

/** `sha256-` and the hexadecimal SHA-256; undefined in a browser whose page is not secure and has no crypto.subtle. */
export async function digestOf(bytes: Uint8Array<ArrayBuffer>, slices: Slices): Promise<string | undefined> {
  const hash = nodeCrypto ? await sha256(nodeCrypto.createHash('sha256'), bytes, slices) : await subtleSha256(bytes);
  return hash && `sha256-${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

async function sha256(hash: NodeHash, bytes: Uint8Array, slices: Slices): Promise<Uint8Array> {
  for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE_BYTES) {
    hash.update(bytes.subarray(at, at + HASHED_AT_ONCE_BYTES));
    if (slices.due) await slices.next();
  }
  return hash.digest();
}

/** It copies the bytes first, which may hold the event loop for longer than a slice. */
async function subtleSha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined> {
  const subtle = (globalThis.crypto as Partial<Crypto>).subtle;
  return subtle && new Uint8Array(await subtle.digest('SHA-256', bytes));
}

function idText(regNo: MemberId): string {
  return typeof regNo === 'bigint' ? String(regNo) : JSON.stringify(wireId(regNo));
}

/** The id as the service sends it back. */
function wireId(regNo: number | string): number | string {
  return typeof regNo === 'string' ? regNo.toWellFormed() : regNo;
}

/** Ids that the service does not tell apart have the same key: 7 and 7n, 1e21 and 10n ** 21n, 0 and -0. */
export function idKey(regNo: MemberId): string {
  if (typeof regNo === 'string') return `"${regNo.toWellFormed()}`;
  // As a BigInt, because the text of a large number has an exponent.
  return String(Number.isInteger(regNo) && !Number.isSafeInteger(regNo) ? BigInt(regNo) : regNo);
}
