import type { StateChange } from './breaker.js';
import { Emitter } from './emitter.js';
import type { FaceError, FailureReason } from './errors.js';
import type { FlowListener } from './match-flow.js';
import type { MemberId } from './matcher.js';
import type { FaceLogger } from './options.js';
import type { PreparedList } from './prepared-list.js';
import type { Task } from './remote-service.js';
import type { FaceCounters, FaceEvents, LocalReason } from './results.js';
import type { ShadowComparison } from './shadow.js';
import { Warnings } from './warnings.js';

const MEANWHILE: Readonly<Record<Task, string>> = {
  match: 'Matching locally.',
  image: 'Only descriptors are matched.',
};

/** What the client tells: its log lines, events and counters. */
export class Reporter implements FlowListener {
  readonly events = new Emitter<FaceEvents>((error) => {
    this.warnings.warn('listener', `A listener of the face client failed: ${String(error)}`);
  });

  private readonly warnings: Warnings;
  private readonly reported = new WeakSet<object>();
  private readonly counts = { service: 0, local: {} as Partial<Record<LocalReason, number>>, failed: 0, skipped: 0 };

  /** `isOut` says whether the breaker of matches is not closed, which its own line has told. */
  constructor(
    private readonly logger: FaceLogger,
    private readonly isOut: () => boolean,
  ) {
    this.warnings = new Warnings(logger);
  }

  counters(): Omit<FaceCounters, 'uploads'> {
    return { ...this.counts, local: { ...this.counts.local } };
  }

  answered(localReason: LocalReason | null): void {
    if (localReason) this.counts.local[localReason] = (this.counts.local[localReason] ?? 0) + 1;
    else this.counts.service++;
  }

  /** A call ended with an error. */
  failed(): void {
    this.counts.failed++;
  }

  /** A wrong key or URL is this application's mistake, which its log must name at once. */
  refused({ status, code, message }: FaceError): void {
    if (status !== 401 && status !== 403 && code !== 'throttled') return;
    this.warnings.warn(code, `The face service refuses the API key (${code}), and nobody is recognised: ${message}`);
  }

  fallback(reason: FailureReason, detail: string, requestId: string): void {
    if (!this.isOut()) {
      this.warnings.warn('fallback', `The face service did not answer a call: ${detail}. Matching locally.`);
    }
    this.events.emit('fallback', { reason, detail, requestId });
  }

  list(list: PreparedList<MemberId>): void {
    const { skipped, skippedCount } = list;
    if (skippedCount === 0 || this.reported.has(list)) return;
    this.reported.add(list);
    this.counts.skipped += skippedCount;
    const [first] = skipped;
    const example = `the first is ${String(first?.regNo)} (${first?.field ?? ''}: ${first?.code ?? ''})`;
    this.warnings.warn('skipped', `${skippedCount} members cannot be read and are passed over; ${example}.`);
    this.events.emit('skipped', { skipped, skippedCount });
  }

  compared(comparison: ShadowComparison): void {
    this.events.emit('shadow', comparison);
  }

  comparisonFailed(error: unknown): void {
    this.warnings.warn('shadow', `A comparison failed: ${String(error)}`);
  }

  stateChanged(task: Task, change: StateChange): void {
    const at = task === 'match' ? '/match' : 'images';
    if (change.state === 'open' && change.from === 'closed') {
      this.logger.warn(`The face service fails at ${at}: ${change.reason}. ${MEANWHILE[task]}`);
    }
    if (change.state === 'closed') {
      this.logger.info(`The face service is back at ${at} after ${(change.downMs / 1000).toFixed(1)} s.`);
    }
    this.events.emit('state', { ...change, task });
  }
}
