import { type Call, type Calls } from './call.js';
import { FaceError, type FailureReason, ServiceFailure, unavailable } from './errors.js';
import { decideLocally, hasLocalRule } from './local-decision.js';
import type { MatchAnswer, MemberId } from './matcher.js';
import type { FaceSettings } from './options.js';
import { PreparedMembers } from './prepare.js';
import type { PreparedList } from './prepared-list.js';
import { type Described, type DescribedFace, type ParsedProbe, withCompanions } from './probe.js';
import type { RemoteService } from './remote-service.js';
import type { LocalReason, MatchResult } from './results.js';
import { type ShadowComparison, ShadowLedger } from './shadow.js';

/** Lists whose text is not longer are sent with the question: naming them takes a second request. */
const MAX_INLINE_BYTES = 16_384;

export interface Question<Id extends MemberId> {
  readonly probe: ParsedProbe;
  /** None where the service searches its gallery. */
  readonly members: PreparedMembers<Id> | undefined;
  /** The caller prepared the members, for many calls. */
  readonly keepsList: boolean;
  readonly explain: boolean;
}

export type Answered<Id extends MemberId> = Omit<MatchResult<Id>, 'durationMs'>;

export interface FlowListener {
  fallback(reason: FailureReason, detail: string, requestId: string): void;
  list(list: PreparedList<MemberId>): void;
  compared(comparison: ShadowComparison): void;
  comparisonFailed(error: unknown): void;
}

/** Decides who answers a match: the service, the local rule, or in mode 'shadow' both. */
export class MatchFlow {
  readonly ledger = new ShadowLedger();

  constructor(
    private readonly settings: FaceSettings,
    private readonly remote: RemoteService | undefined,
    private readonly calls: Calls,
    private readonly listener: FlowListener,
  ) {}

  async answer<Id extends MemberId>(call: Call, question: Question<Id>): Promise<Answered<Id>> {
    const { remote, settings } = this;
    const { face } = question.probe;
    if (!remote) {
      const reason = settings.mode === 'local' ? 'local_mode' : 'not_configured';
      return this.locally(call, question, face, reason, 'none is in use');
    }
    if (settings.mode === 'service') return this.serviceFirst(remote, call, question);
    const answer = await this.locally(call, question, face, 'shadow_mode', "in mode 'shadow' it is only compared");
    this.compare(remote, call, answer, question).catch((error: unknown) => {
      this.listener.comparisonFailed(error);
    });
    return answer;
  }

  private async serviceFirst<Id extends MemberId>(
    remote: RemoteService,
    call: Call,
    question: Question<Id>,
  ): Promise<Answered<Id>> {
    let local = question.probe.face;
    const wait = (): boolean => !(local && question.members && hasLocalRule(local));
    try {
      const face = await this.describe(remote, call, question.probe, wait());
      if (hasLocalRule(face)) local = face;
      return await this.ask(remote, call, question, face, wait());
    } catch (error) {
      if (!(error instanceof ServiceFailure)) throw error;
      const answer = await this.locally(call, question, local, error.reason, error.message);
      this.listener.fallback(error.reason, error.message, call.requestId);
      return answer;
    }
  }

  private async compare<Id extends MemberId>(
    remote: RemoteService,
    { requestId, traceparent }: Call,
    local: MatchAnswer<Id>,
    question: Question<Id>,
  ): Promise<void> {
    let service: ShadowComparison['service'];
    try {
      // A call of its own: the caller has the answer already.
      service = await this.calls.run({ requestId, traceparent }, this.settings.imageTimeoutMs, async (call) => {
        const face = await this.describe(remote, call, question.probe, true);
        const { match, distance } = await this.ask(remote, call, { ...question, explain: true }, face, true);
        return { match, distance };
      });
    } catch (error) {
      if (error instanceof ServiceFailure) {
        this.ledger.countUnanswered();
        return;
      }
      if (!(error instanceof FaceError)) throw error;
      service = { code: error.code };
    }
    const { match, distance } = local;
    this.listener.compared(this.ledger.compare({ match, distance }, service));
  }

  private async describe(
    remote: RemoteService,
    call: Call,
    { image, face }: ParsedProbe,
    wait: boolean,
  ): Promise<DescribedFace> {
    if (image === undefined) return face;
    const companions = this.settings.decisionModels !== 'dlib';
    const encoded = await remote.encode(call, image, { wait, companions });
    const described = (model: string, descriptor: Float32Array): Described => {
      return { model, vector: Float64Array.from(descriptor) };
    };
    const others = Object.entries(encoded.companions ?? {}).map((each) => described(...each));
    return withCompanions(described(encoded.model, encoded.descriptor), others);
  }

  /** `/match` with `face` and the members' descriptors of its model; if no member has one, with the probe's own face. */
  private async ask<Id extends MemberId>(
    remote: RemoteService,
    call: Call,
    question: Question<Id>,
    face: DescribedFace,
    wait: boolean,
  ): Promise<Answered<Id>> {
    const { members, keepsList, explain, probe } = question;
    const list = members && !this.settings.gallery ? await this.list(call, members, face) : undefined;
    if (list?.ofModels.every(({ owners }) => owners.length === 0) && probe.face && probe.face !== face) {
      return this.ask(remote, call, question, probe.face, wait);
    }
    if (list) checkIsShared(list);
    const byReference = list !== undefined && (keepsList || list.body.length > MAX_INLINE_BYTES);
    const answer = await remote.match(call, face, list, { explain, byReference, wait });
    const skippedCount = list?.skippedCount ?? 0;
    return { model: face.model, ...answer, source: 'service', reason: null, detail: null, skippedCount };
  }

  private async locally<Id extends MemberId>(
    call: Call,
    { members }: Question<Id>,
    face: DescribedFace | undefined,
    reason: LocalReason,
    detail: string,
  ): Promise<Answered<Id>> {
    if (!face) throw unavailable('A photo cannot be recognised without the face service.', detail);
    if (!hasLocalRule(face)) throw unavailable('Only the face service can compare this model.', detail);
    if (!members) throw unavailable('The gallery cannot be searched without the face service.', detail);
    const list = await this.list(call, members, face);
    checkIsShared(list);
    const decided = await decideLocally(list, face, this.settings);
    return { ...decided, source: 'local', reason, detail, skippedCount: list.skippedCount, requestId: call.requestId };
  }

  private async list<Id extends MemberId>(
    { deadline }: Call,
    members: PreparedMembers<Id>,
    { model, vector, companions }: DescribedFace,
  ): Promise<PreparedList<Id>> {
    const began = performance.now();
    const models = [model, ...companions.map((each) => each.model)];
    const list = await members.list(models, vector.length);
    deadline.addOwnTime(performance.now() - began);
    this.listener.list(list);
    return list;
  }
}

/** Nobody could be recognised, and a door must not say that nobody was. Throws `model_mismatch`, as the service does. */
function checkIsShared({ isForeign }: PreparedList<MemberId>): void {
  if (!isForeign) return;
  const error = 'No member has a descriptor of a model that the probe has.';
  throw new FaceError({ error, code: 'model_mismatch', field: 'descriptors' }, 409);
}
