import type { BreakerState, StateChange } from './breaker.js';
import type { FaceErrorCode, FailureReason } from './errors.js';
import type { MatchAnswer, MemberId } from './matcher.js';
import type { SkippedMember } from './prepared-list.js';
import type { Task } from './remote-service.js';
import type { ShadowComparison } from './shadow.js';

/** Why an answer is local. */
export type LocalReason = FailureReason | 'not_configured' | 'local_mode' | 'shadow_mode';

/** A match, or none, and where the answer comes from. */
export interface MatchResult<Id extends MemberId = number | string> extends MatchAnswer<Id> {
  readonly source: 'service' | 'local';
  /** Why it is local; null if it is the service's. */
  readonly reason: LocalReason | null;
  /** The reason in words. */
  readonly detail: string | null;
  /**
   * The model of the descriptors that were compared; of a pair, both names joined by "+". Where probe and members have
   * several, the one that decided; the service says it with `explain`, and else it is the probe's own.
   */
  readonly model: string;
  /** The models that decided, where the probe has descriptors of several; the service says them with `explain`. */
  readonly models?: readonly string[];
  /** Rows of the list that could not be read and were passed over. */
  readonly skippedCount: number;
  /** The id in the service's log; of a local answer, the id of the call. */
  readonly requestId: string;
  readonly durationMs: number;
}

/** Whether the face is that of one member of the service's gallery. */
export interface Verification {
  /** `distance <= threshold`. */
  readonly verified: boolean;
  readonly userId: string;
  readonly name: string | null;
  /** To the mean of the member's faces, or to the nearest of them, as the service is set. */
  readonly distance: number;
  readonly threshold: number;
  readonly model: string;
  /** Only the service has its gallery: there is no local answer. */
  readonly source: 'service';
  readonly requestId: string;
}

export interface FaceEvents {
  /** The service did not answer, and the answer is local. */
  readonly fallback: { readonly reason: FailureReason; readonly detail: string; readonly requestId: string };
  /** A circuit breaker changed: that of matches, or that of images. */
  readonly state: StateChange & { readonly task: Task };
  /** In mode 'shadow', a call was answered by both the service and the local rule. */
  readonly shadow: ShadowComparison;
  /** Rows of a list could not be read: the first hundred, and how many there are. */
  readonly skipped: { readonly skipped: readonly SkippedMember[]; readonly skippedCount: number };
}

/** Since the client was made. */
export interface FaceCounters {
  /** Matches that the service answered. */
  readonly service: number;
  /** Matches that were answered locally, by reason. */
  readonly local: Readonly<Partial<Record<LocalReason, number>>>;
  /** Calls that ended with an error. */
  readonly failed: number;
  /** Rows that were passed over, each time that a list was prepared. */
  readonly skipped: number;
  /** Lists that were sent to the service. */
  readonly uploads: number;
}

export interface FaceHealth {
  /** 'none': no URL is set, or the mode is 'local'. 'misconfigured': it answers, but refuses this client's key or URL. */
  readonly service: 'none' | 'up' | 'down' | 'misconfigured';
  /** The state of each breaker: that of matches, and that of calls with images. */
  readonly breakers?: Readonly<Record<Task, BreakerState>>;
  /** The answer of `/health`, if the service is up. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Why it is not up. */
  readonly reason?: string;
  /** The service's error, if it is misconfigured. */
  readonly code?: FaceErrorCode;
}
