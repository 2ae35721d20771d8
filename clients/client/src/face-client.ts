import type { EncodedFace } from './answers.js';
import { FaceApi } from './api.js';
import type { StateChange } from './breaker.js';
import { type Call, CALL_OPTION_NAMES, type CallOptions, Calls } from './call.js';
import { Emitter } from './emitter.js';
import { FaceError, ServiceFailure, unavailable } from './errors.js';
import { Transport } from './http.js';
import { ListCache, type Version } from './list-cache.js';
import { type FlowListener, MatchFlow } from './match-flow.js';
import type { Match, MemberId } from './matcher.js';
import type { AnyMember, Member } from './members.js';
import { checkNames, type FaceOptions, type FaceSettings, settingsFrom } from './options.js';
import { type IdOf, type Members, prepare, PreparedMembers, type PrepareOptions } from './prepare.js';
import { checkImage, parseProbe, type Probe } from './probe.js';
import { RemoteService, type Task } from './remote-service.js';
import type { FaceCounters, FaceEvents, FaceHealth, LocalReason, MatchResult, Verification } from './results.js';
import type { ShadowReport } from './shadow.js';
import { type GalleryMember, syncGallery, type SyncOptions, type SyncReport } from './sync.js';
import { Warnings } from './warnings.js';

export interface MatchCallOptions extends CallOptions {
  /** An array of members is read again only when this value changes; without it, when its rows change. */
  readonly version?: Version | undefined;
  /** Ask the service for the distance as well. */
  readonly explain?: boolean | undefined;
}

export interface EncodeCallOptions extends CallOptions {
  /** Also judge the photo: `quality`. */
  readonly quality?: boolean | undefined;
}

export interface VerifyCallOptions extends CallOptions {
  /** Instead of the client's own, or of the model's if that has no local rule. */
  readonly threshold?: number | undefined;
}

const MATCH_OPTION_NAMES = { ...CALL_OPTION_NAMES, version: true, explain: true } as const;
const MEANWHILE: Readonly<Record<Task, string>> = {
  match: 'Matching locally.',
  image: 'Only descriptors are matched.',
};

/** Whose face is this? Asks face128 if it is available, and otherwise matches locally, by exactly the same rule. */
export class FaceClient {
  readonly events = new Emitter<FaceEvents>((error) => {
    this.warnings.warn('listener', `A listener of the face client failed: ${String(error)}`);
  });
  /** The service's endpoints without fallback; undefined if no URL is set. */
  readonly api: FaceApi | undefined;

  private readonly settings: FaceSettings;
  private readonly warnings: Warnings;
  private readonly calls = new Calls();
  private readonly remote: RemoteService | undefined;
  private readonly lists: ListCache;
  private readonly reported = new WeakSet<object>();
  private readonly flow: MatchFlow;
  private readonly flowListener = this.listener();
  private readonly counts = { service: 0, local: {} as Partial<Record<LocalReason, number>>, failed: 0, skipped: 0 };

  /** Throws for an option that does not exist or is wrong. */
  constructor(options: FaceOptions = {}) {
    this.settings = settingsFrom(options);
    const { url, mode, onInvalid, logger, imageTimeoutMs } = this.settings;
    this.warnings = new Warnings(logger);
    if (url !== undefined) {
      const transport = new Transport(url, this.settings);
      this.api = new FaceApi(transport, this.calls, imageTimeoutMs);
      if (mode !== 'local') {
        this.remote = new RemoteService(transport, this.settings, this.calls, (task, change) => {
          this.stateChanged(task, change);
        });
      }
    }
    this.lists = new ListCache({ onInvalid, forService: this.remote !== undefined });
    this.flow = new MatchFlow(this.settings, this.remote, this.calls, this.flowListener);
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
      if (answer.reason) this.counts.local[answer.reason] = (this.counts.local[answer.reason] ?? 0) + 1;
      else this.counts.service++;
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
    this.flowListener.list(await prepared.list(options.model));
    return prepared;
  }

  /** The one face in the photo. Throws a FaceError: `no_face`, `multiple_faces`, `unavailable` ... */
  encodeImage(image: Uint8Array, { quality, ...options }: EncodeCallOptions = {}): Promise<EncodedFace> {
    const sentence = 'A photo cannot be described without the face service.';
    return this.withService(sentence, options, (remote, call) =>
      remote.encode(call, checkImage(image), { wait: true, quality }),
    );
  }

  /** Store one to four photos of a member in the service's gallery: all of them, or it throws. Returns their number. */
  enrol(
    member: { readonly regNo: MemberId; readonly name: string },
    images: readonly Uint8Array[],
    { replace = false, ...options }: CallOptions & { readonly replace?: boolean | undefined } = {},
  ): Promise<number> {
    return this.withService('Nobody can be enrolled without the face service.', options, (remote, call) =>
      remote.enrol(call, member, images.map(checkImage), replace),
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
    return { ...this.counts, local: { ...this.counts.local }, uploads: this.remote?.uploads.count ?? 0 };
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

  /** A wrong key or URL is this application's mistake, which its log must name at once. */
  private async run<T>(options: CallOptions, timeoutMs: number, make: (call: Call) => Promise<T>): Promise<T> {
    try {
      return await this.calls.run(options, timeoutMs, make);
    } catch (error) {
      this.counts.failed++;
      if (error instanceof FaceError) this.warnOfMistake(error);
      throw error;
    }
  }

  private warnOfMistake({ status, code, message }: FaceError): void {
    if (status !== 401 && status !== 403 && code !== 'throttled') return;
    this.warnings.warn(code, `The face service refuses the API key (${code}), and nobody is recognised: ${message}`);
  }

  private listener(): FlowListener {
    return {
      fallback: (reason, detail, requestId) => {
        // While the breaker is not closed, its own line has said so.
        if (this.remote?.states.match === 'closed') {
          this.warnings.warn('fallback', `The face service did not answer a call: ${detail}. Matching locally.`);
        }
        this.events.emit('fallback', { reason, detail, requestId });
      },
      list: (list) => {
        const { skipped, skippedCount } = list;
        if (skippedCount === 0 || this.reported.has(list)) return;
        this.reported.add(list);
        this.counts.skipped += skippedCount;
        const [first] = skipped;
        const example = `the first is ${String(first?.regNo)} (${first?.field ?? ''}: ${first?.code ?? ''})`;
        this.warnings.warn('skipped', `${skippedCount} members cannot be read and are passed over; ${example}.`);
        this.events.emit('skipped', { skipped, skippedCount });
      },
      compared: (comparison) => {
        this.events.emit('shadow', comparison);
      },
      error: (error) => {
        this.warnings.warn('shadow', `A comparison failed: ${String(error)}`);
      },
    };
  }

  private stateChanged(task: Task, change: StateChange): void {
    const { logger } = this.settings;
    const at = task === 'match' ? '/match' : 'images';
    if (change.state === 'open' && change.from === 'closed') {
      logger.warn(`The face service fails at ${at}: ${change.reason}. ${MEANWHILE[task]}`);
    }
    if (change.state === 'closed') {
      logger.info(`The face service is back at ${at} after ${(change.downMs / 1000).toFixed(1)} s.`);
    }
    this.events.emit('state', { ...change, task });
  }
}
