import type { MatchAnswer as AnyMatchAnswer, MemberId } from './matcher.js';

type MatchAnswer = AnyMatchAnswer<MemberId>;

/** One call with both answers. `service` is an error code if the service refused what was answered locally. */
export interface ShadowComparison {
  readonly at: Date;
  readonly agreed: boolean;
  readonly local: MatchAnswer;
  readonly service: MatchAnswer | { readonly code: string };
}

export interface ShadowReport {
  readonly since: Date;
  /** Calls with both answers. */
  readonly compared: number;
  readonly agreed: number;
  readonly differed: number;
  /** Calls that the service did not answer. */
  readonly unanswered: number;
  /** Difference of the two distances, if both answers have one. */
  readonly distanceGap: { readonly mean: number; readonly max: number } | null;
  /** The latest differing answers, oldest first, at most 100. */
  readonly differences: readonly ShadowComparison[];
}

const MAX_DIFFERENCES = 100;

/** Counts how often the service and the local rule agreed since this process started. */
export class ShadowLedger {
  private readonly since = new Date();
  private agreed = 0;
  private differed = 0;
  private unanswered = 0;
  private gaps = 0;
  private gapSum = 0;
  private gapMax = 0;
  private readonly differences: ShadowComparison[] = [];

  /** The service failed to answer a call. */
  countUnanswered(): void {
    this.unanswered++;
  }

  compare(local: MatchAnswer, service: ShadowComparison['service']): ShadowComparison {
    const agreed = 'match' in service && local.match?.regNo === service.match?.regNo;
    const comparison = { at: new Date(), agreed, local, service };
    if (agreed) {
      this.agreed++;
    } else {
      this.differed++;
      this.differences.push(comparison);
      if (this.differences.length > MAX_DIFFERENCES) this.differences.shift();
    }
    if ('match' in service && local.distance !== null && service.distance !== null) {
      const gap = Math.abs(local.distance - service.distance);
      this.gaps++;
      this.gapSum += gap;
      this.gapMax = Math.max(this.gapMax, gap);
    }
    return comparison;
  }

  report(): ShadowReport {
    const { since, agreed, differed, unanswered } = this;
    const distanceGap = this.gaps === 0 ? null : { mean: this.gapSum / this.gaps, max: this.gapMax };
    return {
      since,
      compared: agreed + differed,
      agreed,
      differed,
      unanswered,
      distanceGap,
      differences: [...this.differences],
    };
  }
}
