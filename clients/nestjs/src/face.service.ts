import {
  type AnyMember,
  type CallOptions,
  type EncodeCallOptions,
  type EncodedFace,
  FaceClient,
  type FaceCounters,
  type FaceHealth,
  type FaceOptions,
  type GalleryMember,
  type IdOf,
  type Match,
  type MatchCallOptions,
  type MatchResult,
  type Member,
  type MemberId,
  type Members,
  type PersonTerms,
  type Photo,
  type PreparedMembers,
  type PrepareOptions,
  type Probe,
  type ShadowReport,
  type SyncOptions,
  type SyncReport,
  type Verification,
  type VerifyCallOptions,
} from '@face128/client';
import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';

import { orException } from './face.exception';

/** The FaceClient of `@face128/client` in a Nest application: its errors are HttpExceptions, its log is Nest's. */
@Injectable()
export class FaceService implements OnApplicationBootstrap, OnModuleDestroy {
  /** The client itself, for its `api` with every endpoint; its errors are FaceErrors. */
  readonly client: FaceClient;
  readonly events: FaceClient['events'];

  private readonly logger = new Logger(FaceService.name);

  constructor(options: FaceOptions) {
    const { logger } = this;
    const log = {
      warn: (message: string): void => {
        logger.warn(message);
      },
      info: (message: string): void => {
        logger.log(message);
      },
    };
    this.client = new FaceClient({ userAgent: 'face128-nestjs', logger: log, ...options });
    this.events = this.client.events;
  }

  findMemberByFace<T extends Members = readonly Member[]>(
    probe: Probe,
    enrolled?: T,
    options?: MatchCallOptions,
  ): Promise<Match<IdOf<T>> | null> {
    return orException(this.client.findMemberByFace(probe, enrolled, options));
  }

  matchDetailed<T extends Members = readonly Member[]>(
    probe: Probe,
    enrolled?: T,
    options?: MatchCallOptions,
  ): Promise<MatchResult<IdOf<T>>> {
    return orException(this.client.matchDetailed(probe, enrolled, options));
  }

  prepare<M extends AnyMember = Member>(
    members: readonly M[],
    options?: PrepareOptions,
  ): Promise<PreparedMembers<M['regNo']>> {
    return orException(this.client.prepare(members, options));
  }

  encodeImage(photo: Photo, options?: EncodeCallOptions): Promise<EncodedFace> {
    return orException(this.client.encodeImage(photo, options));
  }

  enrol(
    member: { readonly regNo: MemberId; readonly name: string } & PersonTerms,
    photos: readonly Photo[],
    options?: CallOptions & { readonly replace?: boolean | undefined },
  ): Promise<number> {
    return orException(this.client.enrol(member, photos, options));
  }

  remove(regNo: MemberId, options?: CallOptions): Promise<number> {
    return orException(this.client.remove(regNo, options));
  }

  /** Whether the face is that of this member of the service's gallery: one to one. */
  verifyMember(regNo: MemberId, probe: Probe, options?: VerifyCallOptions): Promise<Verification> {
    return orException(this.client.verify(regNo, probe, options));
  }

  sync<Id extends MemberId = number | string>(
    members: Iterable<GalleryMember<Id>> | AsyncIterable<GalleryMember<Id>>,
    options: SyncOptions,
  ): Promise<SyncReport<Id>> {
    return orException(this.client.sync(members, options));
  }

  health(options?: CallOptions): Promise<FaceHealth> {
    return this.client.health(options);
  }

  counters(): FaceCounters {
    return this.client.counters();
  }

  shadowReport(): ShadowReport {
    return this.client.shadowReport();
  }

  /** A wrong key or URL is logged when the application starts, and not at the first face. Nest does not wait for it. */
  onApplicationBootstrap(): void {
    void this.client.health().then(({ service, reason = '' }) => {
      if (service === 'misconfigured') this.logger.error(`The face service cannot be used: ${reason}`);
    });
  }

  onModuleDestroy(): void {
    this.client.close();
  }
}
