import { ServiceFailure } from './errors.js';
import type { StallMeter } from './event-loop.js';

/** After the deadline of a call whose client was busy, an answer that has arrived is still read. */
const GRACE_MS = 25;

/** The one time limit of a call, whatever it does, and the caller's own signal. */
export class Deadline {
  /** Aborted by a ServiceFailure at the end of the time, or by the reason of the caller's signal. */
  readonly signal: AbortSignal;

  private readonly controller = new AbortController();
  private readonly began = performance.now();
  private readonly stalledBefore: number;
  /** Spent on this call's own preparations. */
  private ownMs = 0;
  private timer: ReturnType<typeof setTimeout>;
  private readonly abortByCaller: () => void;

  constructor(
    readonly timeoutMs: number,
    private readonly stalls: StallMeter,
    private readonly caller: AbortSignal | undefined,
  ) {
    this.signal = this.controller.signal;
    stalls.start();
    this.stalledBefore = stalls.stalledMs;
    this.timer = setTimeout(() => {
      if (this.stalledMs === 0) this.expire();
      else
        this.timer = setTimeout(
          () => {
            this.expire();
          },
          Math.max(0, GRACE_MS - (this.elapsedMs - timeoutMs)),
        );
    }, timeoutMs);
    this.abortByCaller = () => {
      this.abort(caller?.reason);
    };
    caller?.addEventListener('abort', this.abortByCaller);
    if (caller?.aborted) this.abortByCaller();
  }

  abort(reason: unknown): void {
    this.controller.abort(reason);
  }

  get elapsedMs(): number {
    return performance.now() - this.began;
  }

  get remainingMs(): number {
    return this.timeoutMs - this.elapsedMs;
  }

  /** Time that the service did not have. */
  addOwnTime(milliseconds: number): void {
    this.ownMs += milliseconds;
  }

  /** Settles as the promise, or rejects at the deadline. */
  async limit<T>(promise: Promise<T>): Promise<T> {
    let stop: () => void = () => undefined;
    const over = new Promise<never>((_, reject) => {
      stop = () => {
        reject(this.signal.reason as Error);
      };
      this.signal.addEventListener('abort', stop);
      if (this.signal.aborted) stop();
    });
    try {
      return await Promise.race([promise, over]);
    } finally {
      this.signal.removeEventListener('abort', stop);
    }
  }

  /** Must be called when the call is over. */
  end(): void {
    clearTimeout(this.timer);
    this.stalls.stop();
    this.caller?.removeEventListener('abort', this.abortByCaller);
  }

  private get stalledMs(): number {
    return this.stalls.stalledMs - this.stalledBefore;
  }

  private expire(): void {
    // The service had less than half of the time: the rest was this process's own.
    const counts = this.elapsedMs - this.stalledMs - this.ownMs >= this.timeoutMs / 2;
    this.controller.abort(new ServiceFailure('timeout', `no answer within ${this.timeoutMs} ms`, counts));
  }
}
