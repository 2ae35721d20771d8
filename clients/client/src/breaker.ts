import { FaceError, ServiceFailure } from './errors.js';

/**
 * closed: calls go through. open: the service failed; calls are refused immediately, without a connection.
 * trying: one call tests whether the service is back; all others are refused.
 */
export type BreakerState = 'closed' | 'open' | 'trying';

/** Failures in a row that open the breaker: one may be a hiccup, and each may cost its caller the whole timeout. */
const FAILURES_TO_OPEN = 3;

/** Failures among the latest calls that open it too: a service that fails every second call is of no use either. */
const WINDOW_CALLS = 10;
const WINDOW_FAILURES_TO_OPEN = 5;

export interface StateChange {
  readonly state: BreakerState;
  readonly from: BreakerState;
  /** Why it opened. */
  readonly reason: string;
  /** How long the service was down, when it closes. */
  readonly downMs: number;
}

/**
 * Circuit breaker: refuses calls to a service that fails.
 *
 * Only a ServiceFailure that counts is a failure: any other error is an answer of the service, or says nothing about it.
 * Failures in a row open it sooner than their share of a window would: after a window full of good answers, a busy
 * backend would wait for a frozen service for seconds.
 */
export class Breaker {
  private current: BreakerState = 'closed';
  private failuresInARow = 0;
  /** Of the latest calls, whether they failed. */
  private readonly window: boolean[] = [];
  private reason = '';
  private openedAt = 0;
  private downSince = 0;
  private generation = 0;

  constructor(
    private readonly retryAfterMs: number,
    private readonly onChange: (change: StateChange) => void,
    private readonly now = (): number => performance.now(),
  ) {}

  get state(): BreakerState {
    return this.current;
  }

  /**
   * Make the call, or throw a ServiceFailure immediately while the breaker is open.
   *
   * The first call after `retryAfterMs` tests whether the service is back, and its caller waits for the outcome. With a
   * `trial` the caller is refused immediately like the others, and the trial is made in the background instead.
   */
  async run<T>(call: () => Promise<T>, trial?: () => Promise<unknown>): Promise<T> {
    if (this.current === 'closed') return this.record(call);
    if (this.current === 'open' && this.now() - this.openedAt >= this.retryAfterMs) {
      this.change('trying', 0);
      if (!trial) return this.record(call);
      this.record(trial).catch(() => undefined);
    }
    throw new ServiceFailure('circuit_open', this.reason, false);
  }

  private async record<T>(call: () => Promise<T>): Promise<T> {
    // Ignore the outcome of calls that began before the last change of state.
    const generation = this.generation;
    try {
      const answer = await call();
      if (generation === this.generation) this.succeeded();
      return answer;
    } catch (error) {
      if (generation === this.generation) this.ended(error);
      throw error;
    }
  }

  private ended(error: unknown): void {
    if (error instanceof FaceError) this.succeeded();
    else if (error instanceof ServiceFailure && error.counts) this.failed(error.message);
    // A trial that says nothing, such as one that its caller aborted: the next call tries.
    else if (this.current === 'trying') this.change('open', 0);
  }

  private succeeded(): void {
    this.failuresInARow = 0;
    this.remember(false);
    if (this.current !== 'closed') this.change('closed', this.now() - this.downSince);
  }

  private failed(reason: string): void {
    this.failuresInARow++;
    this.remember(true);
    const share = this.window.filter(Boolean).length;
    const tooMany = this.failuresInARow >= FAILURES_TO_OPEN || share >= WINDOW_FAILURES_TO_OPEN;
    if (this.current === 'closed' && !tooMany) return;
    if (this.current === 'closed') this.downSince = this.now();
    this.reason = reason;
    this.openedAt = this.now();
    this.change('open', 0);
  }

  private remember(failure: boolean): void {
    this.window.push(failure);
    if (this.window.length > WINDOW_CALLS) this.window.shift();
  }

  private change(state: BreakerState, downMs: number): void {
    const from = this.current;
    this.current = state;
    if (state !== 'trying') this.generation++;
    if (state === 'closed') this.window.length = 0;
    this.onChange({ state, from, reason: this.reason, downMs });
  }
}
