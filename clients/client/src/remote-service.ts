import type { Logger } from '@nestjs/common';

import { Breaker, type BreakerState } from './breaker';
import { type EncodedFace, FaceClient } from './client';
import type { Match, MatchAnswer } from './matcher';
import type { FaceSettings } from './options';

/** `wait`: wait for the outcome of the test whether the service is back. For calls without a local answer. */
export interface CallOptions {
  readonly wait: boolean;
}

/** The client behind two breakers: one for `/match`, one for images, because the service matches even if its image workers are busy. */
export class GuardedClient {
  private readonly client: FaceClient;
  private readonly matching: Breaker;
  private readonly imaging: Breaker;

  constructor(url: string, settings: FaceSettings, logger: Logger) {
    this.client = new FaceClient(url, settings);
    const breaker = (task: string, meanwhile: string): Breaker =>
      new Breaker(
        settings.retryAfterMs,
        (reason) => {
          logger.warn(`The face service fails at ${task}: ${reason}. ${meanwhile}`);
        },
        (downMs) => {
          logger.log(`The face service is back at ${task} after ${(downMs / 1000).toFixed(1)} s.`);
        },
      );
    this.matching = breaker('/match', 'Matching locally.');
    this.imaging = breaker('images', 'Only descriptors are matched.');
  }

  get states(): { readonly match: BreakerState; readonly image: BreakerState } {
    return { match: this.matching.state, image: this.imaging.state };
  }

  match(
    question: object,
    explain: boolean,
    members: readonly Match[] | undefined,
    options: CallOptions,
  ): Promise<MatchAnswer> {
    return this.matching.run(() => this.client.match(question, explain, members), options);
  }

  encode(image: Uint8Array, options: CallOptions): Promise<EncodedFace> {
    return this.imaging.run(() => this.client.encode(image), options);
  }

  enrol(
    member: { regNo: number | string; name: string },
    images: readonly Uint8Array[],
    replace: boolean,
  ): Promise<number> {
    return this.imaging.run(() => this.client.enrol(member.regNo, member.name, images, replace), { wait: true });
  }

  /** Bypasses the breakers, to get the present state. */
  health(): Promise<Readonly<Record<string, unknown>>> {
    return this.client.health();
  }
}
