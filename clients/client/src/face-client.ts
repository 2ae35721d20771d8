import type { EncodedFace } from './answers.js';
import type { PersonTerms } from './api-options.js';
import { FaceApi } from './api.js';
import { type Call, CALL_OPTION_NAMES, type CallOptions, Calls } from './call.js';
import { FaceError, ServiceFailure, unavailable } from './errors.js';
import { Transport } from './http.js';
import { ListCache, type Version } from './list-cache.js';
import { MatchFlow } from './match-flow.js';
import type { Match, MemberId } from './matcher.js';
import type { AnyMember, Member } from './members.js';
import { checkNames, type FaceOptions, type FaceSettings, settingsFrom } from './options.js';
import { type IdOf, type Members, prepare, PreparedMembers, type PrepareOptions } from './prepare.js';
import { parseProbe, type Probe } from './probe.js';
import { type Photo, photoBlob, photoBlobs } from './photo.js';
import { RemoteService } from './remote-service.js';
import { Reporter } from './reporter.js';
import type { FaceCounters, FaceHealth, MatchResult, Verification } from './results.js';
import type { ShadowReport } from './shadow.js';
import { type GalleryMember, syncGallery, type SyncOptions, type SyncReport } from './sync.js';

export interface MatchCallOptions extends CallOptions {
  /** An array of members is read again only when this value changes; without it, when its rows change. */
  readonly version?: Version | undefined;
  /** Ask the service for the distance as well. */
  readonly explain?: boolean | undefined;
}

export interface EncodeCallOptions extends CallOptions {
  /** Also judge the photo: `quality`. */
  readonly quality?: boolean | undefined;
  /** Also describe it by the service's other networks: `companions`. */
  readonly companions?: boolean | undefined;
}

export interface VerifyCallOptions extends CallOptions {
  /** Instead of the client's own, or of the model's if that has no local rule. */
  readonly threshold?: number | undefined;
}

const MATCH_OPTION_NAMES = { ...CALL_OPTION_NAMES, version: true, explain: true } as const;

/** Whose face is this? Asks face128 if it is available, and otherwise matches locally, by exactly the same rule. */
export class FaceClient {
  readonly events: Reporter['events'];
  /** The service's endpoints without fallback; undefined if no URL is set. */
  readonly api: FaceApi | undefined;

  private readonly settings: FaceSettings;
  private readonly reporter: Reporter;
  private readonly calls = new Calls();
  private readonly remote: RemoteService | undefined;
  private readonly lists: ListCache;
  private readonly flow: MatchFlow;

  /** Throws for an option that does not exist or is wrong. */
  constructor(options: FaceOptions = {}) {
    this.settings = settingsFrom(options);
    const { url, mode, onInvalid, logger, imageTimeoutMs } = this.settings;
    this.reporter = new Reporter(logger, () => this.remote?.states.match !== 'closed');
    this.events = this.reporter.events;
    if (url !== undefined) {
      const transport = new Transport(url, this.settings);
      this.api = new FaceApi(transport, this.calls, imageTimeoutMs);
      if (mode !== 'local') {
        this.remote = new RemoteService(transport, this.settings, this.calls, (task, change) => {
          this.reporter.stateChanged(task, change);
        });
      }
    }
    this.lists = new ListCache({ onInvalid, forService: this.remote !== undefined });
    this.flow = new MatchFlow(this.settings, this.remote, this.calls, this.reporter);
    if (!this.remote) logger.info('No face service is in use: matching locally.');
  }

  /**
   * The enrolled member whose face this is, or null: the nearest with `distance <= threshold`; of equal distances the
   * first.
   *
   * Without `enrolled` the service searches its own gallery. Throws a FaceError if the request is invalid
   * (`invalid_descriptor`, `no_face` ...), `unavailable` if neither the service nor the local rule can answer, and the
   * reason of the signal if it was aborted.
   */
  async findMemberByFace<T extends Members = readonly Member[]>(
    probe: Probe,
    enrolled?: T,
    options?: MatchCallOptions,
  ): Promise<Match<IdOf<T>> | null> {
    return (await this.matchDetailed(probe, enrolled, options)).match;
  }

  /** As `findMemberByFace`, with where the answer comes from. */
  async matchDetailed<T extends Members = readonly Member[]>(
    probe: Probe,
    enrolled?: T,
    options: MatchCallOptions = {},
  ): Promise<MatchResult<IdOf<T>>> {
    const { version, explain = false, ...callOptions } = options;
    checkNames(options, MATCH_OPTION_NAMES, 'option of a match');
    const began = performance.now();
    return this.run(callOptions, this.settings.timeoutMs, async (call) => {
      const members = enrolled === undefined ? undefined : this.lists.prepared(enrolled, version);
      const keepsList = enrolled instanceof PreparedMembers;
      const answer = await this.flow.answer(call, { probe: parseProbe(probe), members, keepsList, explain });
      this.reporter.answered(answer.reason);
      // The match is one of the members.
      return { ...answer, durationMs: performance.now() - began } as MatchResult<IdOf<T>>;
    });
  }

  /** Reads members once for many calls. Call it again when they change. */
  async prepare<M extends AnyMember = Member>(
    members: readonly M[],
    options: PrepareOptions = {},
  ): Promise<PreparedMembers<M['regNo']>> {
    const prepared = await prepare(members, { onInvalid: this.settings.onInvalid, ...options });
    this.reporter.list(await prepared.list(options.model));
    return prepared;
  }

  /** The one face in the photo. Throws a FaceError: `no_face`, `multiple_faces`, `unavailable` ... */
  encodeImage(photo: Photo, { quality, companions, ...options }: EncodeCallOptions = {}): Promise<EncodedFace> {
    const sentence = 'A photo cannot be described without the face service.';
    return this.withService(sentence, options, (remote, call) =>
      remote.encode(call, photoBlob(photo), { wait: true, quality, companions }),
    );
  }

  /** Store one to four photos of a member in the service's gallery: all of them, or it throws. Returns their number. */
  enrol(
    member: { readonly regNo: MemberId; readonly name: string } & PersonTerms,
    photos: readonly Photo[],
    { replace = false, ...options }: CallOptions & { readonly replace?: boolean | undefined } = {},
  ): Promise<number> {
    return this.withService('Nobody can be enrolled without the face service.', options, (remote, call) =>
      remote.enrol(call, member, photoBlobs(photos), replace),
    );
  }

  /** Erase a member from the service's gallery. Returns the number of faces that were erased; 0 if there was none. */
  remove(regNo: MemberId, options: CallOptions = {}): Promise<number> {
    return this.withService('Nobody can be erased without the face service.', options, async (remote, call) => {
      try {
        return await remote.remove(call, regNo);
      } catch (error) {
        if (error instanceof FaceError && error.code === 'not_found') return 0;
        throw error;
      }
    });
  }

  /**
   * Whether the face is that of this member of the service's gallery: one to one, nobody else is looked for.
   *
   * Throws a FaceError: `not_found`, `no_face`, `unavailable` ... There is no local answer; for a member whose row you
   * have, `matchDetailed(probe, [row])` has one.
   */
  async verify(
    regNo: MemberId,
    probe: Probe,
    { threshold, ...options }: VerifyCallOptions = {},
  ): Promise<Verification> {
    return this.withService('Nobody can be verified without the face service.', options, (remote, call) =>
      remote.verify(call, regNo, parseProbe(probe), threshold),
    );
  }

  /** Make the service's gallery hold exactly these members. If it is interrupted, call it again with the same state. */
  sync<Id extends MemberId = number | string>(
    members: Iterable<GalleryMember<Id>> | AsyncIterable<GalleryMember<Id>>,
    options: SyncOptions,
  ): Promise<SyncReport<Id>> {
    return syncGallery(this, members, options);
  }

  /** The present state of the service, asked with the key. Rejects only if the signal was aborted. */
  async health(options: CallOptions = {}): Promise<FaceHealth> {
    const { remote } = this;
    if (!remote) return { service: 'none' };
    try {
      const details = await this.run(options, this.settings.timeoutMs, (call) => remote.health(call));
      return { service: 'up', breakers: remote.states, details };
    } catch (error) {
      const breakers = remote.states;
      if (error instanceof ServiceFailure) return { service: 'down', breakers, reason: error.message };
      if (!(error instanceof FaceError)) throw error;
      return { service: 'misconfigured', breakers, reason: error.message, code: error.code };
    }
  }

  counters(): FaceCounters {
    return { ...this.reporter.counters(), uploads: this.remote?.uploads.count ?? 0 };
  }

  /** The comparisons of mode 'shadow' since this client was made. */
  shadowReport(): ShadowReport {
    return this.flow.ledger.report();
  }

  /** Ends the requests in progress; matches are answered locally. */
  close(): void {
    this.calls.close();
  }

  private withService<T>(
    sentence: string,
    options: CallOptions,
    ask: (remote: RemoteService, call: Call) => Promise<T>,
  ): Promise<T> {
    return this.run(options, this.settings.imageTimeoutMs, async (call) => {
      try {
        if (!this.remote) throw new ServiceFailure('closed', 'none is in use');
        return await ask(this.remote, call);
      } catch (error) {
        throw error instanceof ServiceFailure ? unavailable(sentence, error.message) : error;
      }
    });
  }

  private async run<T>(options: CallOptions, timeoutMs: number, make: (call: Call) => Promise<T>): Promise<T> {
    try {
      return await this.calls.run(options, timeoutMs, make);
    } catch (error) {
      this.reporter.failed();
      if (error instanceof FaceError) this.reporter.refused(error);
      throw error;
    }
  }
}
