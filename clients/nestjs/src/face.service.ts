import { EventEmitter } from 'node:events';

import { Inject, Injectable, Logger } from '@nestjs/common';

import type { BreakerState } from './breaker';
import type { EncodedFace } from './client';
import { wireForm } from './descriptor';
import { FaceError, ServiceFailure, unavailable } from './errors';
import { GuardedClient, type Patience } from './guarded-client';
import { decide, type Match, type MatchAnswer } from './matcher';
import { candidates, type Member, rows, wireMembers } from './members';
import { hasLocalRule } from './models';
import { type FaceModuleOptions, type FaceSettings, settingsFrom } from './options';
import { checkImage, type DescribedFace, type ParsedProbe, parseProbe, type Probe } from './probe';
import { type ShadowComparison, ShadowLedger, type ShadowReport } from './shadow';

/** The token under which the options are provided. */
export const FACE_OPTIONS = Symbol('FACE_OPTIONS');

export interface FaceHealth {
  /** 'none': no URL is set, or the mode is 'local'. */
  readonly service: 'none' | 'up' | 'down';
  /** Whether calls go to the service: those of `/match`, and those with images. */
  readonly breakers?: { readonly match: BreakerState; readonly image: BreakerState };
  /** The service's own words, where it is up. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Why it is down. */
  readonly reason?: string;
}

/** Whose face is this? Asks face128 where there is one, and matches locally, by the same rule to the bit, where there is not. */
@Injectable()
export class FaceService {
  /** 'shadow': a call was answered on both sides. */
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
   * The enrolled member whose face this is, or null: the nearest with `distance <= threshold`, of equals the first.
   *
   * Without `enrolled` the service searches its own gallery. Throws a FaceError where the request is wrong
   * (`invalid_descriptor`, `no_face` ...), and `unavailable` where neither the service nor the local rule can answer.
   */
  async findMemberByFace(probe: Probe, enrolled?: readonly Member[]): Promise<Match | null> {
    const parsed = parseProbe(probe);
    if (!this.remote) return this.locally(parsed.face, enrolled, 'none is in use').match;
    if (this.settings.mode === 'service') return (await this.serviceFirst(this.remote, parsed, enrolled)).match;
    const answer = this.locally(parsed.face, enrolled, "in mode 'shadow' it is only compared");
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

  /** Store one to four photos of a member in the service's gallery; returns how many faces were stored: all, or it throws. */
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

  /** How the service is at this moment. Never throws. */
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

  /** What mode 'shadow' has seen since this process started. */
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
      return this.locally(local, enrolled, error.message);
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
        this.ledger.missed();
        return;
      }
      if (!(error instanceof FaceError)) throw error;
      service = { code: error.code };
    }
    this.events.emit('shadow', this.ledger.compare(local, service));
  }

  /** `/match`, with the descriptors that fit the face's model; with `second`'s where no member has one of that model yet. */
  private async ask(
    remote: GuardedClient,
    face: DescribedFace,
    second: DescribedFace | undefined,
    enrolled: readonly Member[] | undefined,
    explain: boolean,
    patience: Patience,
  ): Promise<MatchAnswer> {
    const question = this.question(face);
    if (enrolled === undefined || this.settings.gallery) return remote.match(question, explain, undefined, patience);
    const known = candidates(enrolled, face.model, face.vector.length);
    if (second && second !== face && known.every(({ vectors }) => vectors.length === 0)) {
      return this.ask(remote, second, undefined, enrolled, explain, patience);
    }
    return remote.match({ ...question, enrolled: wireMembers(known, face.model) }, explain, known, patience);
  }

  private question({ vector, model }: DescribedFace): object {
    // The configured threshold is Euclidean: a model of another metric keeps the service's own.
    const threshold = hasLocalRule(model) ? { threshold: this.settings.threshold } : {};
    return { descriptor: wireForm(vector), model, ...threshold };
  }

  private locally(
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
  patience: Patience,
): Promise<DescribedFace> {
  if (image === undefined) return face;
  const { descriptor, model } = await remote.encode(image, patience);
  return { vector: Float64Array.from(descriptor), model };
}
