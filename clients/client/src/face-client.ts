import { EventEmitter } from 'node:events';

import { Inject, Injectable, Logger } from '@nestjs/common';

import type { BreakerState } from './breaker';
import type { EncodedFace } from './client';
import { wireForm } from './descriptor';
import { FaceError, ServiceFailure, unavailable } from './errors';
import { GuardedClient, type CallOptions } from './guarded-client';
import { decide, type Match, type MatchAnswer } from './matcher';
import { candidates, type Member, rows, wireMembers } from './members';
import { hasLocalRule } from './models';
import { type FaceModuleOptions, type FaceSettings, settingsFrom } from './options';
import { checkImage, type DescribedFace, type ParsedProbe, parseProbe, type Probe } from './probe';
import { type ShadowComparison, ShadowLedger, type ShadowReport } from './shadow';

/** The injection token of the options. */
export const FACE_OPTIONS = Symbol('FACE_OPTIONS');

export interface FaceHealth {
  /** 'none' if no URL is set, or the mode is 'local'. */
  readonly service: 'none' | 'up' | 'down';
  /** The state of each breaker: that of calls to `/match`, and that of calls with images. */
  readonly breakers?: { readonly match: BreakerState; readonly image: BreakerState };
  /** The answer of `/health`, if the service is up. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Why it is down. */
  readonly reason?: string;
}

/** Whose face is this? Asks face128 if it is available, and otherwise matches locally, by exactly the same rule. */
@Injectable()
export class FaceService {
  /** Event 'shadow': a call was answered by both the service and the local rule. */
  readonly events = new EventEmitter<{ shadow: [ShadowComparison] }>();

  private readonly logger = new Logger(FaceService.name);
  private readonly settings: FaceSettings;
  private readonly remote: GuardedClient | undefined;
  private readonly ledger = new ShadowLedger();

  constructor(@Inject(FACE_OPTIONS) options: FaceModuleOptions) {
    this.settings = settingsFrom(options);
    const { url, mode } = this.settings;
    if (url !== undefined && mode !== 'local') this.remote = new GuardedClient(url, this.settings, this.logger);
    else this.logger.log('No face service is in use: matching locally.');
  }

  /**
   * The enrolled member whose face this is, or null: the nearest with `distance <= threshold`; of equal distances the
   * first.
   *
   * Without `enrolled` the service searches its own gallery. Throws a FaceError if the request is invalid
   * (`invalid_descriptor`, `no_face` ...), and `unavailable` if neither the service nor the local rule can answer.
   */
  async findMemberByFace(probe: Probe, enrolled?: readonly Member[]): Promise<Match | null> {
    const parsed = parseProbe(probe);
    if (!this.remote) return this.matchLocally(parsed.face, enrolled, 'none is in use').match;
    if (this.settings.mode === 'service') return (await this.serviceFirst(this.remote, parsed, enrolled)).match;
    const answer = this.matchLocally(parsed.face, enrolled, "in mode 'shadow' it is only compared");
    this.compare(this.remote, answer, parsed, enrolled).catch((error: unknown) => {
      this.logger.error(error);
    });
    return answer.match;
  }

  /** The one face in the photo. Throws a FaceError: `no_face`, `multiple_faces`, `unavailable` ... */
  async encodeImage(image: Uint8Array): Promise<EncodedFace> {
    checkImage(image);
    return this.orUnavailable(
      this.remote?.encode(image, { wait: true }),
      'A photo cannot be described without the face service.',
    );
  }

  /** Store one to four photos of a member in the service's gallery: all of them, or it throws. Returns their number. */
  async enrol(
    member: { readonly regNo: number | string; readonly name: string },
    images: readonly Uint8Array[],
    { replace = false }: { readonly replace?: boolean } = {},
  ): Promise<number> {
    images.forEach(checkImage);
    return this.orUnavailable(
      this.remote?.enrol(member, images, replace),
      'Nobody can be enrolled without the face service.',
    );
  }

  /** The present state of the service. Never throws. */
  async health(): Promise<FaceHealth> {
    if (!this.remote) return { service: 'none' };
    try {
      const details = await this.remote.health();
      return { service: 'up', breakers: this.remote.states, details };
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      return { service: 'down', breakers: this.remote.states, reason };
    }
  }

  /** The comparisons of mode 'shadow' since this process started. */
  shadowReport(): ShadowReport {
    return this.ledger.report();
  }

  private async serviceFirst(
    remote: GuardedClient,
    probe: ParsedProbe,
    enrolled?: readonly Member[],
  ): Promise<MatchAnswer> {
    let local = probe.face;
    try {
      const face = await describe(remote, probe, { wait: !(local && enrolled) });
      if (hasLocalRule(face.model)) local = face;
      return await this.ask(remote, face, probe.face, enrolled, false, { wait: !(local && enrolled) });
    } catch (error) {
      if (!(error instanceof ServiceFailure)) throw error;
      return this.matchLocally(local, enrolled, error.message);
    }
  }

  private async compare(
    remote: GuardedClient,
    local: MatchAnswer,
    probe: ParsedProbe,
    enrolled?: readonly Member[],
  ): Promise<void> {
    let service: ShadowComparison['service'];
    try {
      const face = await describe(remote, probe, { wait: true });
      service = await this.ask(remote, face, probe.face, enrolled, true, { wait: true });
    } catch (error) {
      if (error instanceof ServiceFailure) {
        this.ledger.countUnanswered();
        return;
      }
      if (!(error instanceof FaceError)) throw error;
      service = { code: error.code };
    }
    this.events.emit('shadow', this.ledger.compare(local, service));
  }

  /** `/match` with `face` and the members' descriptors of its model; if no member has one, with `fallback` instead. */
  private async ask(
    remote: GuardedClient,
    face: DescribedFace,
    fallback: DescribedFace | undefined,
    enrolled: readonly Member[] | undefined,
    explain: boolean,
    options: CallOptions,
  ): Promise<MatchAnswer> {
    const question = this.question(face);
    if (enrolled === undefined || this.settings.gallery) return remote.match(question, explain, undefined, options);
    const members = candidates(enrolled, face.model, face.vector.length);
    if (fallback && fallback !== face && members.every(({ vectors }) => vectors.length === 0)) {
      return this.ask(remote, fallback, undefined, enrolled, explain, options);
    }
    return remote.match({ ...question, enrolled: wireMembers(members, face.model) }, explain, members, options);
  }

  private question({ vector, model }: DescribedFace): object {
    // The configured threshold is Euclidean: for a model of another metric the service's own applies.
    const threshold = hasLocalRule(model) ? { threshold: this.settings.threshold } : {};
    return { descriptor: wireForm(vector), model, ...threshold };
  }

  private matchLocally(
    face: DescribedFace | undefined,
    enrolled: readonly Member[] | undefined,
    reason: string,
  ): MatchAnswer {
    if (!face) throw unavailable('A photo cannot be recognised without the face service.', reason);
    if (!hasLocalRule(face.model)) throw unavailable('Only the face service can compare this model.', reason);
    if (enrolled === undefined) throw unavailable('The gallery cannot be searched without the face service.', reason);
    return decide(face.vector, rows(candidates(enrolled, face.model, face.vector.length)), this.settings.threshold);
  }

  private async orUnavailable<T>(answer: Promise<T> | undefined, sentence: string): Promise<T> {
    try {
      if (!answer) throw new ServiceFailure('none is in use');
      return await answer;
    } catch (error) {
      throw error instanceof ServiceFailure ? unavailable(sentence, error.message) : error;
    }
  }
}

async function describe(
  remote: GuardedClient,
  { image, face }: ParsedProbe,
  options: CallOptions,
): Promise<DescribedFace> {
  if (image === undefined) return face;
  const { descriptor, model } = await remote.encode(image, options);
  return { vector: Float64Array.from(descriptor), model };
}
