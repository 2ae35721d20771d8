import type { Deadline } from './deadline.js';
import { ServiceFailure } from './errors.js';

/** Requests of `/match` at the same time: a service that gets many more at once refuses some of them. */
const MAX_AT_ONCE = 16;

/** Lets a few through at a time; the others wait, in their order. */
export class Slots {
  private taken = 0;
  private readonly waiting: (() => void)[] = [];

  /** Rejects at the deadline if there is no free slot until then. */
  async use<T>(deadline: Deadline, work: () => Promise<T>): Promise<T> {
    if (this.taken < MAX_AT_ONCE) this.taken++;
    else await this.turn(deadline);
    try {
      return await work();
    } finally {
      this.release();
    }
  }

  private async turn(deadline: Deadline): Promise<void> {
    let begin: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => {
      begin = resolve;
    });
    this.waiting.push(begin);
    try {
      await deadline.limit(turn);
    } catch (error) {
      const place = this.waiting.indexOf(begin);
      if (place >= 0) this.waiting.splice(place, 1);
      else this.release();
      // The service was not asked.
      throw error instanceof ServiceFailure ? error.uncounted() : error;
    }
  }

  private release(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.taken--;
  }
}
