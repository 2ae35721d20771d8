import { FaceError, type FaceErrorBody, ServiceFailure } from './errors';
import type { Match, MatchAnswer } from './matcher';
import { dimensionOf } from './models';
import type { FaceSettings } from './options';

/** Statuses that ask to try again later: they say nothing about the request. */
const RETRY_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);
/** 1 MiB. Every answer of face128 is much shorter; a longer one comes from something else. */
const MAX_ANSWER_BYTES = 2 ** 20;

/** A face as the service describes it. Keep the model with the descriptor. */
export interface EncodedFace {
  readonly descriptor: Float32Array;
  readonly model: string;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * face128 over HTTP, one method per endpoint.
 *
 * Every method throws a FaceError if the service refuses the request, and a ServiceFailure if there is no answer in time
 * or an invalid one.
 */
export class FaceClient {
  private readonly headers = new Headers();

  /** Throws if the key has characters that a header cannot have. */
  constructor(
    private readonly url: string,
    private readonly settings: FaceSettings,
  ) {
    if (settings.apiKey) this.headers.set('authorization', `Bearer ${settings.apiKey}`);
  }

  /** `POST /match`; `explain` asks for the distance as well. A match that is not in `members` is an invalid answer. */
  async match(question: object, explain: boolean, members?: readonly Match[]): Promise<MatchAnswer> {
    const body = JSON.stringify(question);
    const answer = await this.post(`/match${explain ? '?explain=true' : ''}`, body, this.settings.timeoutMs);
    const distance = typeof answer['distance'] === 'number' ? answer['distance'] : null;
    if (answer['match'] === false) return { match: null, distance };
    const { regNo, name } = answer;
    if (typeof regNo !== 'number' && typeof regNo !== 'string') throw invalidAnswer();
    if (typeof name !== 'string' && name != null) throw invalidAnswer();
    const match = { regNo, name: name ?? null };
    if (members && !members.some((member) => member.regNo === regNo && member.name === match.name)) {
      throw invalidAnswer();
    }
    return { match, distance };
  }

  /** `POST /encode-image`. */
  async encode(image: Uint8Array): Promise<EncodedFace> {
    const { descriptor, model } = await this.post('/encode-image', form('image', [image]));
    if (typeof model !== 'string' || !Array.isArray(descriptor)) throw invalidAnswer();
    if (descriptor.length === 0 || descriptor.length !== (dimensionOf(model) ?? descriptor.length))
      throw invalidAnswer();
    if (!descriptor.every((x) => typeof x === 'number' && Number.isFinite(Math.fround(x)))) throw invalidAnswer();
    return { descriptor: Float32Array.from(descriptor as number[]), model };
  }

  /** `POST /enroll_faces/{regNo}`: how many faces were stored, all or none. */
  async enrol(regNo: number | string, name: string, images: readonly Uint8Array[], replace: boolean): Promise<number> {
    const body = form('images', images);
    body.set('name', name);
    const query = replace ? '?replace=true' : '';
    const answer = await this.post(`/enroll_faces/${encodeURIComponent(regNo)}${query}`, body);
    if (typeof answer['faces_stored'] !== 'number') throw invalidAnswer();
    return answer['faces_stored'];
  }

  /** `GET /health`. */
  async health(): Promise<Json> {
    const answer = await this.request('/health', { method: 'GET' }, this.settings.timeoutMs);
    if (typeof answer['status'] !== 'string') throw invalidAnswer();
    return answer;
  }

  private post(path: string, body: string | FormData, timeoutMs = this.settings.imageTimeoutMs): Promise<Json> {
    return this.request(path, { method: 'POST', body }, timeoutMs);
  }

  private async request(path: string, init: RequestInit, timeoutMs: number): Promise<Json> {
    const headers = new Headers(this.headers);
    if (typeof init.body === 'string') headers.set('content-type', 'application/json');
    let response: Response;
    let text: string;
    try {
      // A redirect could carry the key and the face to another host.
      const signal = AbortSignal.timeout(timeoutMs);
      response = await fetch(this.url + path, { ...init, headers, signal, redirect: 'manual' });
      text = await read(response);
    } catch (error) {
      throw error instanceof ServiceFailure ? error : new ServiceFailure(failureReason(error, timeoutMs));
    }
    const body = parse(text);
    if (response.ok && body) return body;
    const refused = response.status >= 400 && response.status < 500 && !RETRY_STATUSES.has(response.status);
    // A 4xx without an error body of face128 comes from something else that listens there.
    if (refused && isErrorBody(body)) throw new FaceError(body, statusFor(response.status));
    throw response.ok ? invalidAnswer() : new ServiceFailure(`it answered with status ${response.status}`);
  }
}

/** A wrong key or URL is this application's mistake: its callers must not take 401, 403 or 404 for their own. */
function statusFor(status: number): number {
  return status === 401 || status === 403 || status === 404 ? 500 : status;
}

function invalidAnswer(): ServiceFailure {
  return new ServiceFailure('its answer makes no sense');
}

function form(field: string, images: readonly Uint8Array[]): FormData {
  const body = new FormData();
  // Copied for the types: a Uint8Array may be in shared memory, a part of a Blob may not.
  images.forEach((image, i) => {
    body.append(field, new Blob([Uint8Array.from(image)]), `image-${i}`);
  });
  return body;
}

async function read(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += (chunk as Uint8Array).length;
    if (length > MAX_ANSWER_BYTES) throw invalidAnswer();
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString();
}

function parse(text: string): Json | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Json) : undefined;
  } catch {
    return undefined;
  }
}

function isErrorBody(body: Json | undefined): body is Json & FaceErrorBody {
  return typeof body?.['error'] === 'string' && typeof body['code'] === 'string';
}

function failureReason(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `no answer within ${timeoutMs} ms`;
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  return typeof cause?.code === 'string' ? `no connection (${cause.code})` : 'no connection';
}
