import { ServiceFailure } from './errors';

/**
 * closed: calls go through. open: the service failed; calls are refused immediately, without a connection.
 * trying: one call tests whether the service is back; all others are refused.
 */
export type BreakerState = 'closed' | 'open' | 'trying';

/** Failures in a row that open the breaker: one may be a hiccup, and each may cost its caller the whole timeout. */
const FAILURES_TO_OPEN = 3;

/**
 * Circuit breaker: refuses calls to a service that fails.
 *
 * Only a ServiceFailure counts as a failure: any other error is an answer. It counts failures in a row, not their share
 * of a window: after a window full of good answers, a busy backend would wait for a frozen service for seconds.
 */
export class Breaker {
  private current: BreakerState = 'closed';
  private failures = 0;
  private reason = '';
  private openedAt = 0;
  private downSince = 0;
  private generation = 0;

  constructor(
    private readonly retryAfterMs: number,
    private readonly onDown: (reason: string) => void,
    private readonly onUp: (downMs: number) => void,
    private readonly now = (): number => performance.now(),
  ) {}

  get state(): BreakerState {
    return this.current;
  }

  /**
   * Make the call, or throw a ServiceFailure immediately while the breaker is open.
   *
   * The first call after `retryAfterMs` tests whether the service is back: with `wait` its caller gets the outcome,
   * without it is refused immediately like the others, and the test goes on.
   */
  async run<T>(call: () => Promise<T>, { wait }: { wait: boolean }): Promise<T> {
    if (this.current === 'closed') return this.record(call);
    if (this.current === 'open' && this.now() - this.openedAt >= this.retryAfterMs) {
      this.current = 'trying';
      const trial = this.record(call);
      if (wait) return trial;
      trial.catch(() => undefined);
    }
    throw new ServiceFailure(this.reason);
  }

  private async record<T>(call: () => Promise<T>): Promise<T> {
    // Ignore the outcome of calls that began before the last change of state.
    const generation = this.generation;
    try {
      const answer = await call();
      if (generation === this.generation) this.succeeded();
      return answer;
    } catch (error) {
      if (generation === this.generation) {
        if (error instanceof ServiceFailure) this.failed(error.message);
        else this.succeeded();
      }
      throw error;
    }
  }

  private succeeded(): void {
    this.failures = 0;
    if (this.current === 'closed') return;
    this.current = 'closed';
    this.generation++;
    this.onUp(this.now() - this.downSince);
  }

  private failed(reason: string): void {
    this.failures++;
    if (this.current === 'closed' && this.failures < FAILURES_TO_OPEN) return;
    const wasClosed = this.current === 'closed';
    this.current = 'open';
    this.generation++;
    this.reason = reason;
    this.openedAt = this.now();
    if (!wasClosed) return;
    this.downSince = this.openedAt;
    this.onDown(reason);
  }
}
