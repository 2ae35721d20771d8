import { type EncodedFace, type ExplainedMatch, readFace, readMatch, readVerification } from './answers.js';
import type { PersonTerms } from './api-options.js';
import { enrolmentFields, form, termFields } from './forms.js';
import { Breaker, type BreakerState, type StateChange } from './breaker.js';
import type { Call, Calls } from './call.js';
import { wireText } from './descriptor.js';
import { badAnswer } from './errors.js';
import type { FaceRequest, Json, Transport } from './http.js';
import { inlineBody, ListUploads } from './lists.js';
import type { MemberId } from './matcher.js';
import { LOCAL_DIMENSION } from './models.js';
import type { FaceSettings } from './options.js';
import type { PreparedList } from './prepared-list.js';
import type { DescribedFace, ParsedProbe } from './probe.js';
import type { Verification } from './results.js';
import { Slots } from './slots.js';
import { spaceNames } from './spaces.js';
import { thresholdFor } from './thresholds.js';

/** The answer with the id that the service logged. */
export interface RemoteMatch<Id extends MemberId> extends ExplainedMatch<Id> {
  readonly requestId: string;
}

export interface MatchOptions {
  /** Ask for the distance as well. */
  readonly explain: boolean;
  /** Name the list instead of sending it. */
  readonly byReference: boolean;
  /** Wait for the outcome of the test whether the service is back: for calls without a local answer. */
  readonly wait: boolean;
}

export interface DescribeOptions {
  /** As `MatchOptions`. */
  readonly wait: boolean;
  /** Also judge the photo. */
  readonly quality?: boolean | undefined;
  /** Also describe it by the service's other networks. */
  readonly companions?: boolean | undefined;
}

/** What is not busy with photos may still match, so each has a breaker. */
export type Task = 'match' | 'image';

/** The service behind two breakers: one for `/match`, one for images. */
export class RemoteService {
  readonly uploads: ListUploads;
  private readonly slots = new Slots();
  private readonly breakers: Readonly<Record<Task, Breaker>>;

  constructor(
    private readonly transport: Transport,
    private readonly settings: FaceSettings,
    private readonly calls: Calls,
    onChange: (task: Task, change: StateChange) => void,
  ) {
    this.uploads = new ListUploads(transport, calls, settings.imageTimeoutMs);
    const breaker = (task: Task): Breaker =>
      new Breaker(settings.retryAfterMs, (change) => {
        if (change.state === 'open') this.uploads.forget();
        onChange(task, change);
      });
    this.breakers = { match: breaker('match'), image: breaker('image') };
  }

  get states(): Readonly<Record<Task, BreakerState>> {
    return { match: this.breakers.match.state, image: this.breakers.image.state };
  }

  /** `POST /match`. A match that is not in the list is an invalid answer; without a list the gallery is searched. */
  match<Id extends MemberId>(
    call: Call,
    face: DescribedFace,
    list: PreparedList<Id> | undefined,
    { explain, byReference, wait }: MatchOptions,
  ): Promise<RemoteMatch<Id>> {
    // Without a template, the service's own applies to its gallery.
    const template = this.settings.template && `,"template":"${this.settings.template}"`;
    const question = `{${faceText(face)}${this.thresholdText(face)}${template ?? ''}`;
    const ask = (call: Call): Promise<RemoteMatch<Id>> => {
      const send = async (body: string | Uint8Array<ArrayBuffer>): Promise<RemoteMatch<Id>> => {
        const query = { explain: explain || undefined };
        const request = { method: 'POST', path: '/match', query, body, patient: wait } as const;
        const answer = this.slots.use(call.deadline, () => this.transport.json(call, request));
        const { json, text, requestId } = await answer;
        return { ...readMatch(json, text, list), requestId };
      };
      if (!list) return send(`${question}}`);
      return byReference ? this.uploads.ask(call, question, list, send) : send(inlineBody(question, list));
    };
    return this.run('match', call, wait, this.settings.timeoutMs, ask);
  }

  /** `POST /encode-image`. */
  encode(call: Call, image: Blob, { wait, quality, companions }: DescribeOptions): Promise<EncodedFace> {
    const ask = async (call: Call): Promise<EncodedFace> => {
      const body = form({ image: [image] });
      const query = { quality: quality || undefined, companions: companions || undefined };
      const request = { method: 'POST', path: '/encode-image', query, body, patient: wait } as const;
      return readFace((await this.transport.json(call, request)).json);
    };
    return this.run('image', call, wait, this.settings.imageTimeoutMs, ask);
  }

  /** `POST /verify/{regNo}`; a `threshold` replaces that of the settings, which is for the models with a local rule. */
  verify(call: Call, regNo: MemberId, probe: ParsedProbe, threshold: number | undefined): Promise<Verification> {
    const { image, face } = probe;
    const limit = threshold === undefined ? '' : `,"threshold":${threshold}`;
    const body = image ? form({ image: [image] }, { threshold }) : `{${faceText(face)}${limit}}`;
    const path = `/verify/${encodeURIComponent(String(regNo))}`;
    return this.run(image ? 'image' : 'match', call, true, this.settings.imageTimeoutMs, async (call) => {
      const { json, requestId } = await this.transport.json(call, { method: 'POST', path, body, patient: true });
      const answer = readVerification(json);
      const own = threshold === undefined ? thresholdFor(this.settings.threshold, answer.model) : undefined;
      const applied = own ?? answer.threshold;
      return { ...answer, verified: answer.distance <= applied, threshold: applied, source: 'service', requestId };
    });
  }

  /** `POST /enroll_faces/{regNo}`: how many faces were stored, all or none. */
  enrol(
    call: Call,
    member: { readonly regNo: MemberId; readonly name: string } & PersonTerms,
    images: readonly Blob[],
    replace: boolean,
  ): Promise<number> {
    const { regNo, name } = member;
    const query = { replace: replace || undefined };
    const request = {
      method: 'POST',
      path: enrolmentPath(regNo),
      query,
      body: form({ images }, { ...enrolmentFields(regNo, name), ...termFields(member) }),
    } as const;
    return this.images(call, { ...request, patient: true }, 'faces_stored');
  }

  /** `DELETE /enroll_faces/{regNo}`: how many faces were erased. */
  remove(call: Call, regNo: MemberId): Promise<number> {
    return this.images(call, { method: 'DELETE', path: enrolmentPath(regNo), patient: true }, 'faces_deleted');
  }

  /** `GET /health`, and a match with the key. Bypasses the breakers, to get the present state. */
  async health(call: Call): Promise<Json> {
    const { json } = await this.transport.json(call, { method: 'GET', path: '/health' });
    if (typeof json['status'] !== 'string') throw badAnswer();
    const body = `{"descriptor":${wireText(new Float64Array(LOCAL_DIMENSION))},"enrolled":[]}`;
    await this.transport.json(call, { method: 'POST', path: '/match', body });
    return json;
  }

  /** The settings' thresholds for what this face can be compared in; the service's own apply to the rest. */
  private thresholdText({ model, companions }: DescribedFace): string {
    const { threshold, decisionModels } = this.settings;
    const names = spaceNames([model, ...companions.map((each) => each.model)], decisionModels);
    const set = names.flatMap((name) => {
      const value = thresholdFor(threshold, name);
      return value === undefined ? [] : [[name, value] as const];
    });
    const [only] = set;
    if (!only) return '';
    // A number is for the probe's own model.
    const isOwn = set.length === 1 && only[0] === model;
    return `,"threshold":${isOwn ? only[1] : JSON.stringify(Object.fromEntries(set))}`;
  }

  private images(call: Call, request: FaceRequest, field: string): Promise<number> {
    return this.run('image', call, true, this.settings.imageTimeoutMs, async (call) => {
      const count = (await this.transport.json(call, request)).json[field];
      if (typeof count !== 'number') throw badAnswer();
      return count;
    });
  }

  /** Without `wait`, a test whether the service is back is a call of its own: it goes on when its caller is answered. */
  private run<T>(
    task: Task,
    call: Call,
    wait: boolean,
    timeoutMs: number,
    make: (call: Call) => Promise<T>,
  ): Promise<T> {
    const { requestId, traceparent } = call;
    const trial = (): Promise<T> => this.calls.run({ requestId, traceparent }, timeoutMs, make);
    return this.breakers[task].run(() => make(call), wait ? undefined : trial);
  }
}

/** The fields of a body that describe a face. */
function faceText({ vector, model, companions }: DescribedFace): string {
  const others = companions.map((each) => `${JSON.stringify(each.model)}:${wireText(each.vector)}`).join(',');
  return `"descriptor":${wireText(vector)},"model":${JSON.stringify(model)}${others && `,"descriptors":{${others}}`}`;
}

function enrolmentPath(regNo: MemberId): string {
  return `/enroll_faces/${encodeURIComponent(String(regNo))}`;
}
