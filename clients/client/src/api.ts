import type {
  DecisionOptions,
  DetectOptions,
  EncodeOptions,
  EnrolOptions,
  ExtractOptions,
  JobReport,
  MatchFaceOptions,
  NewPerson,
  NewRecord,
  OneFaceOptions,
  PeopleOptions,
  PersonChanges,
  PhotoOptions,
  RecordMatchOptions,
  ReplaceOptions,
  StoredList,
  VerifyOptions,
} from './api-options.js';
import type { CallOptions, Calls } from './call.js';
import { FaceError } from './errors.js';
import { enrolmentFields, form, termFields } from './forms.js';
import type { Query, Transport } from './http.js';
import type { MemberId } from './matcher.js';
import type { paths } from './openapi.js';
import { isBytes, type Photo } from './photo.js';

/** The 200 answer of an endpoint, from the service's OpenAPI document. */
export type Answer<Path extends keyof paths, Method extends string> =
  paths[Path] extends Record<Method, { responses: { 200: { content: { 'application/json': infer Body } } } }>
    ? Body & { readonly requestId: string }
    : never;

/** The JSON body that an endpoint takes. */
export type Question<Path extends keyof paths> = paths[Path] extends {
  post: { requestBody: { content: { 'application/json': infer Body } } };
}
  ? Body
  : never;

type VerifyQuestion = Question<'/verify/{user_id}'>;
type VerifyByDescriptor = Extract<VerifyQuestion, { descriptor: unknown } | { descriptors: unknown }>;

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
interface Parts {
  /** In the place of `{...}` in the path. */
  readonly id?: MemberId;
  readonly query?: Query;
  readonly body?: string | FormData;
}

/**
 * The service's endpoints, one method each, without fallback and breaker.
 *
 * Every method throws a FaceError if the service refuses the request, and a ServiceFailure if it does not answer.
 */
export class FaceApi {
  constructor(
    private readonly transport: Transport,
    private readonly calls: Calls,
    private readonly timeoutMs: number,
  ) {}

  match(question: Question<'/match'>, { explain, ...options }: CallOptions & { readonly explain?: boolean } = {}) {
    return this.call('post', '/match', options, { query: { explain }, body: JSON.stringify(question) });
  }

  encodeImage(
    photo: Photo,
    { faces, engine, numJitters, passes, quality, companions, ...options }: EncodeOptions = {},
  ) {
    const query = { faces, engine, num_jitters: numJitters, passes, quality, companions };
    return this.call('post', '/encode-image', options, { query, body: form({ image: [photo] }) });
  }

  detect(photo: Photo, { engine, quality, ...options }: DetectOptions = {}) {
    return this.call('post', '/detect', options, { query: { engine, quality }, body: form({ image: [photo] }) });
  }

  verifyFace(photo: Photo, { engine, ...options }: PhotoOptions = {}) {
    return this.call('post', '/verify-face', options, { query: { engine }, body: form({ image: [photo] }) });
  }

  extractEmbedding(photo: Photo, { faces, engine, companions, ...options }: ExtractOptions = {}) {
    return this.call('post', '/extract-embedding', options, {
      query: { faces, engine, companions },
      body: form({ image: [photo] }),
    });
  }

  compare(photo1: Photo, photo2: Photo, { faces, engine, ...options }: OneFaceOptions = {}) {
    const body = form({ image1: [photo1], image2: [photo2] });
    return this.call('post', '/compare', options, { query: { faces, engine }, body });
  }

  compareFaces(question: Question<'/compare-faces'>, options: CallOptions = {}) {
    return this.call('post', '/compare-faces', options, { body: JSON.stringify(question) });
  }

  batchExtract(question: Question<'/batch-extract'>, { faces, engine, companions, ...options }: ExtractOptions = {}) {
    const query = { faces, engine, companions };
    return this.call('post', '/batch-extract', options, { query, body: JSON.stringify(question) });
  }

  createRecord(record: NewRecord, { force, engine, ...options }: EnrolOptions = {}) {
    const fields = { name: record.name, metadata: record.metadata, ...termFields(record) };
    const body = form({ image: [record.photo] }, fields);
    return this.call('post', '/records', options, { query: { force, engine }, body });
  }

  listRecords({ skip, limit, ...options }: CallOptions & { readonly skip?: number; readonly limit?: number } = {}) {
    return this.call('get', '/records', options, { query: { skip, limit } });
  }

  getRecord(id: string, options: CallOptions = {}) {
    return this.call('get', '/records/{record_id}', options, { id });
  }

  deleteRecord(id: string, options: CallOptions = {}) {
    return this.call('delete', '/records/{record_id}', options, { id });
  }

  matchRecords(photo: Photo, { topK, threshold, engine, companions, ...options }: RecordMatchOptions = {}) {
    const body = form({ image: [photo] }, { top_k: topK, threshold });
    return this.call('post', '/records/match', options, { query: { engine, companions }, body });
  }

  rebuildIndex(options: CallOptions = {}) {
    return this.call('post', '/maintenance/rebuild-index', options);
  }

  enrolFaces(userId: MemberId, person: NewPerson, { replace, force, engine, ...options }: ReplaceOptions = {}) {
    const body = form({ images: person.photos }, { ...enrolmentFields(userId, person.name), ...termFields(person) });
    return this.call('post', '/enroll_faces/{user_id}', options, {
      id: userId,
      query: { replace, force, engine },
      body,
    });
  }

  eraseFaces(userId: MemberId, options: CallOptions = {}) {
    return this.call('delete', '/enroll_faces/{user_id}', options, { id: userId });
  }

  /** The people who are enrolled, some at a time: `after` is `next` of the page before. */
  listPeople({ after, limit, search, ...options }: PeopleOptions = {}) {
    return this.call('get', '/people', options, { query: { after, limit, q: search } });
  }

  getPerson(userId: MemberId, options: CallOptions = {}) {
    return this.call('get', '/people/{user_id}', options, { id: userId });
  }

  changePerson(userId: MemberId, changes: PersonChanges, options: CallOptions = {}) {
    const body = JSON.stringify({ name: changes.name, ...termFields(changes) });
    return this.call('patch', '/people/{user_id}', options, { id: userId, body });
  }

  /** All faces of the first person become those of the other one. */
  mergePeople(userId: MemberId, into: MemberId, options: CallOptions = {}) {
    const body = JSON.stringify({ into: String(into) });
    return this.call('post', '/people/{user_id}/merge', options, { id: userId, body });
  }

  /** The collections of the gallery that have any faces; for a key that is bound to one, that one. */
  listCollections(options: CallOptions = {}) {
    return this.call('get', '/collections', options);
  }

  /** The decisions that the service keeps (FACE128_DECISION_LOG_DAYS), the newest first. */
  listDecisions({ before, limit, verdict, kind, userId, since, until, ...options }: DecisionOptions = {}) {
    const [from, to] = [since, until].map((time) => (time instanceof Date ? time.toISOString() : time));
    const query = { before, limit, verdict, kind, user_id: userId?.toString(), since: from, until: to };
    return this.call('get', '/decisions', options, { query });
  }

  /** The jobs that enrol people from elsewhere, the one that reported last first. */
  listJobs(options: CallOptions = {}) {
    return this.call('get', '/jobs', options);
  }

  /** Report how far a job is, under an id that it chooses: letters, digits, dashes and underscores. */
  reportJob(id: string, report: JobReport, options: CallOptions = {}) {
    return this.call('put', '/jobs/{job_id}', options, { id, body: JSON.stringify(report) });
  }

  matchFace(photo: Photo, { engine, companions, ...options }: MatchFaceOptions = {}) {
    return this.call('post', '/match_face', options, { query: { engine, companions }, body: form({ image: [photo] }) });
  }

  /** Is this the face of this person? By a photo, or by a descriptor and its model. */
  verifyPerson(
    userId: MemberId,
    probe: Photo | Omit<VerifyByDescriptor, 'threshold'>,
    { threshold, engine, companions, ...options }: VerifyOptions = {},
  ) {
    const isPhoto = typeof probe === 'string' || isBytes(probe);
    const body = isPhoto ? form({ image: [probe] }, { threshold }) : JSON.stringify({ ...probe, threshold });
    return this.call('post', '/verify/{user_id}', options, { id: userId, query: { engine, companions }, body });
  }

  /** The service keeps this JSON array of members for a while: `/match` takes its digest as `enrolled_ref`. */
  async putList(digest: string, members: string | Uint8Array<ArrayBuffer>, options: CallOptions = {}) {
    return this.calls.run(options, this.timeoutMs, async (call) => {
      const request = { method: 'PUT', path: `/lists/${digest}`, body: members } as const;
      return (await this.transport.json(call, request)).json as unknown as StoredList;
    });
  }

  /** Whether the service keeps this list now. */
  hasList(digest: string, options: CallOptions = {}): Promise<boolean> {
    return this.found('HEAD', digest, options);
  }

  /** Erases the list; whether the service kept it. */
  deleteList(digest: string, options: CallOptions = {}): Promise<boolean> {
    return this.found('DELETE', digest, options);
  }

  health(options: CallOptions = {}) {
    return this.call('get', '/health', options);
  }

  ready(options: CallOptions = {}) {
    return this.call('get', '/ready', options);
  }

  /** Prometheus's text format. */
  metrics(options: CallOptions = {}): Promise<string> {
    return this.calls.run(options, this.timeoutMs, async (call) => {
      return (await this.transport.send(call, { method: 'GET', path: '/metrics' })).text;
    });
  }

  private call<Path extends keyof paths, M extends Method>(
    method: M,
    path: Path,
    options: CallOptions,
    { id, query, body }: Parts = {},
  ): Promise<Answer<Path, M>> {
    return this.calls.run(options, this.timeoutMs, async (call) => {
      const request = {
        method: method.toUpperCase() as Uppercase<M>,
        path: path.replace(/\{\w+\}/, encodeURIComponent(String(id))),
        ...(query && { query }),
        ...(body !== undefined && { body }),
      };
      const { json, requestId } = await this.transport.json(call, request);
      return { ...json, requestId } as unknown as Answer<Path, M>;
    });
  }

  private found(method: 'HEAD' | 'DELETE', digest: string, options: CallOptions): Promise<boolean> {
    return this.calls.run(options, this.timeoutMs, async (call) => {
      try {
        await this.transport.send(call, { method, path: `/lists/${digest}` });
        return true;
      } catch (error) {
        if (error instanceof FaceError && error.status === 404) return false;
        throw error;
      }
    });
  }
}
