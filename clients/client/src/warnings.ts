import type { FaceLogger } from './options.js';

const INTERVAL_MS = 60_000;

/** Log lines of one kind at most once a minute, with the number of those that were left out. */
export class Warnings {
  private readonly kinds = new Map<string, { loggedAt: number; left: number }>();

  constructor(
    private readonly logger: FaceLogger,
    private readonly now = (): number => performance.now(),
  ) {}

  warn(kind: string, sentence: string): void {
    const before = this.kinds.get(kind);
    if (before && this.now() - before.loggedAt < INTERVAL_MS) {
      before.left++;
      return;
    }
    this.kinds.set(kind, { loggedAt: this.now(), left: 0 });
    this.logger.warn(before?.left ? `${sentence} (${before.left} more since the last such line)` : sentence);
  }
}
