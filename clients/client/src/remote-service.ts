import { type EncodedFace, readFace, readMatch, readVerification } from './answers.js';
import { enrolmentFields, form } from './api.js';
import { Breaker, type BreakerState, type StateChange } from './breaker.js';
import type { Call, Calls } from './call.js';
import { wireText } from './descriptor.js';
import { badAnswer } from './errors.js';
import type { FaceRequest, Json, Transport } from './http.js';
import { inlineBody, ListUploads } from './lists.js';
import type { MatchAnswer, MemberId } from './matcher.js';
import { hasLocalRule, LOCAL_DIMENSION } from './models.js';
import type { FaceSettings } from './options.js';
import type { PreparedList } from './prepared-list.js';
import type { DescribedFace, ParsedProbe } from './probe.js';
import type { Verification } from './results.js';
import { Slots } from './slots.js';

/** The answer with the id that the service logged. */
export interface RemoteMatch<Id extends MemberId> extends MatchAnswer<Id> {
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
    { vector, model }: DescribedFace,
    list: PreparedList<Id> | undefined,
    { explain, byReference, wait }: MatchOptions,
  ): Promise<RemoteMatch<Id>> {
    // The configured threshold is Euclidean: for a model of another metric the service's own applies.
    const threshold = hasLocalRule(model) ? `,"threshold":${this.settings.threshold}` : '';
    // Without a template, the service's own applies to its gallery.
    const template = this.settings.template && `,"template":"${this.settings.template}"`;
    const question = `{"descriptor":${wireText(vector)},"model":${JSON.stringify(model)}${threshold}${template ?? ''}`;
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
  encode(
    call: Call,
    image: Uint8Array,
    { wait, quality }: { readonly wait: boolean; readonly quality?: boolean | undefined },
  ): Promise<EncodedFace> {
    const ask = async (call: Call): Promise<EncodedFace> => {
      const body = form({ image: [image] });
      const query = { quality: quality || undefined };
      const request = { method: 'POST', path: '/encode-image', query, body, patient: wait } as const;
      return readFace((await this.transport.json(call, request)).json);
    };
    return this.run('image', call, wait, this.settings.imageTimeoutMs, ask);
  }

  /** `POST /verify/{regNo}`; a `threshold` replaces that of the settings, which is for the models with a local rule. */
  verify(call: Call, regNo: MemberId, probe: ParsedProbe, threshold: number | undefined): Promise<Verification> {
    const { image, face } = probe;
    const limit = threshold === undefined ? '' : `,"threshold":${threshold}`;
    const body = image
      ? form({ image: [image] }, { threshold })
      : `{"descriptor":${wireText(face.vector)},"model":${JSON.stringify(face.model)}${limit}}`;
    const path = `/verify/${encodeURIComponent(String(regNo))}`;
    return this.run(image ? 'image' : 'match', call, true, this.settings.imageTimeoutMs, async (call) => {
      const { json, requestId } = await this.transport.json(call, { method: 'POST', path, body, patient: true });
      const answer = readVerification(json);
      const own = hasLocalRule(answer.model) ? this.settings.threshold : answer.threshold;
      const applied = threshold ?? own;
      return { ...answer, verified: answer.distance <= applied, threshold: applied, source: 'service', requestId };
    });
  }

  /** `POST /enroll_faces/{regNo}`: how many faces were stored, all or none. */
  enrol(
    call: Call,
    { regNo, name }: { readonly regNo: MemberId; readonly name: string },
    images: readonly Uint8Array[],
    replace: boolean,
  ): Promise<number> {
    const query = { replace: replace || undefined };
    const request = {
      method: 'POST',
      path: enrolmentPath(regNo),
      query,
      body: form({ images }, enrolmentFields(regNo, name)),
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

function enrolmentPath(regNo: MemberId): string {
  return `/enroll_faces/${encodeURIComponent(String(regNo))}`;
}
