/** A slice of work, after which other tasks get their turn: well below the 10 ms that a caller may notice. */
const SLICE_MS = 4;
const TICK_MS = 10;
/** Timers are late by this much on an idle machine. */
const NORMAL_LAG_MS = 5;

const immediate = (globalThis as { setImmediate?: (task: () => void) => unknown }).setImmediate;

/** Long work in slices: `if (slices.due) await slices.next()`. */
export class Slices {
  private began = performance.now();

  get due(): boolean {
    return performance.now() - this.began > SLICE_MS;
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      // Timers of browsers wait at least 4 ms, which is acceptable for each slice.
      if (immediate) immediate(resolve);
      else setTimeout(resolve, 0);
    });
    this.began = performance.now();
  }
}

/**
 * Measures for how long this process did not get to its own tasks, while it is in use.
 *
 * An answer that lies unread because the event loop is blocked does not make the service slow.
 */
export class StallMeter {
  private users = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private lastTick = 0;
  private total = 0;

  start(): void {
    if (this.users++ > 0) return;
    this.lastTick = performance.now();
    this.timer = setInterval(() => {
      this.total += this.lag();
      this.lastTick = performance.now();
    }, TICK_MS);
  }

  stop(): void {
    if (--this.users === 0) clearInterval(this.timer);
  }

  /** Milliseconds of stalls so far, including the present one. */
  get stalledMs(): number {
    return this.total + this.lag();
  }

  private lag(): number {
    const lag = performance.now() - this.lastTick - TICK_MS;
    return lag > NORMAL_LAG_MS ? lag : 0;
  }
}
