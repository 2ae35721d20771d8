import type { Slices } from './event-loop.js';
import type { VectorRows } from './matcher.js';
import type { OfModel } from './members.js';

/** The descriptors of one model in a list, or of comparable ones. */
export interface ModelRows {
  readonly model: string;
  readonly dimension: number;
  readonly vectors: Float64Array;
  readonly owners: Uint32Array;
  /** For each row its place among the member's photos (`OfModel`). */
  readonly places: Int32Array;
  readonly otherModel: NonNullable<VectorRows['otherModel']>;
}

const MAX_BLOCK_ROWS = 10_000;

/** Collects the rows of one model in blocks. Most lists have one descriptor a member, and need no other block. */
export class RowCollector {
  private readonly blocks: Float64Array[] = [];
  private readonly owners: number[] = [];
  private readonly places: number[] = [];
  private readonly otherModel = new Set<number>();
  private readonly blockRows: number;

  constructor(
    readonly model: string,
    members: number,
    /** Of the descriptors so far, where only the service knows the model. */
    public dimension: number | undefined,
  ) {
    this.blockRows = Math.min(members, MAX_BLOCK_ROWS);
  }

  add({ model, photos }: OfModel, owner: number): void {
    if (model !== this.model) this.otherModel.add(owner);
    for (const { place, vector } of photos) {
      this.dimension ??= vector.length;
      const row = this.owners.length % this.blockRows;
      if (row === 0) this.blocks.push(new Float64Array(this.blockRows * this.dimension));
      this.blocks.at(-1)?.set(vector, row * this.dimension);
      this.owners.push(owner);
      this.places.push(place);
    }
  }

  async rows(slices: Slices): Promise<ModelRows> {
    const { model, dimension = 0, otherModel } = this;
    const [owners, places] = [Uint32Array.from(this.owners), Int32Array.from(this.places)];
    return { model, dimension, vectors: await this.joined(dimension, slices), owners, places, otherModel };
  }

  private async joined(dimension: number, slices: Slices): Promise<Float64Array> {
    const length = this.owners.length * dimension;
    const [only] = this.blocks;
    if (only && length <= only.length && length > only.length / 2) return only.subarray(0, length);
    const vectors = new Float64Array(length);
    for (const [i, block] of this.blocks.entries()) {
      const start = i * block.length;
      vectors.set(block.subarray(0, length - start), start);
      if (slices.due) await slices.next();
    }
    return vectors;
  }
}
