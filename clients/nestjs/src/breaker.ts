import { ServiceFailure } from './errors';

/**
 * closed: calls go through. open: the service failed, and calls are refused at once, without a connection.
 * trying: still refused, but for the one call that finds out whether the service is back.
 */
export type BreakerState = 'closed' | 'open' | 'trying';

/** So many failures in a row open the breaker: one is a hiccup, and each may cost its caller the whole timeout. */
const FAILURES = 3;

/**
 * Keeps callers away from a service that fails.
 *
 * Only a ServiceFailure counts as a failure: whatever else a call throws is an answer. Failures in a row are counted, not
 * a share of a window: in a window full of good answers, a busy backend would wait for a frozen service for seconds.
 */
export class Breaker {
  private current: BreakerState = 'closed';
  private failures = 0;
  private reason = '';
  private openedAt = 0;
  private downSince = 0;
  private round = 0;

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
   * Make the call, or throw a ServiceFailure at once while the service is left alone.
   *
   * The first call after `retryAfterMs` finds out whether the service is back: with `wait` its caller gets the outcome,
   * without he is refused like the others and waits for nothing.
   */
  async run<T>(call: () => Promise<T>, { wait }: { wait: boolean }): Promise<T> {
    if (this.current === 'closed') return this.watch(call);
    if (this.current === 'open' && this.now() - this.openedAt >= this.retryAfterMs) {
      this.current = 'trying';
      const trial = this.watch(call);
      if (wait) return trial;
      trial.catch(() => undefined);
    }
    throw new ServiceFailure(this.reason);
  }

  private async watch<T>(call: () => Promise<T>): Promise<T> {
    // What began before the last change of state says nothing about the service as it is now.
    const round = this.round;
    try {
      const answer = await call();
      if (round === this.round) this.succeeded();
      return answer;
    } catch (error) {
      if (round === this.round) {
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
    this.round++;
    this.onUp(this.now() - this.downSince);
  }

  private failed(reason: string): void {
    this.failures++;
    if (this.current === 'closed' && this.failures < FAILURES) return;
    const wasClosed = this.current === 'closed';
    this.current = 'open';
    this.round++;
    this.reason = reason;
    this.openedAt = this.now();
    if (!wasClosed) return;
    this.downSince = this.openedAt;
    this.onDown(reason);
  }
}
