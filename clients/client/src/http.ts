import type { Call } from './call.js';
import { badAnswer, FaceError, type FaceErrorBody, type FaceErrorCode, ServiceFailure } from './errors.js';
import type { FaceSettings } from './options.js';

export const VERSION = '0.2.0';

/** Statuses that ask to try again later: they say nothing about the request. */
const RETRY_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);
/** Every answer of face128 but that of a batch of photos is much shorter; a longer one comes from something else. */
const MAX_ANSWER_BYTES = 8 * 2 ** 20;
const DEFAULT_RETRY_AFTER_MS = 1000;
/** A connection of the pool that the service closed at the moment in which it was used again. */
const LOST_CONNECTION: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** They answer without a key. */
const PUBLIC_PATHS: ReadonlySet<string> = new Set(['/health', '/ready']);

export type Json = Readonly<Record<string, unknown>>;
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface FaceRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'HEAD' | 'DELETE';
  readonly path: string;
  readonly query?: Query;
  /** JSON text, or a form. */
  readonly body?: string | Uint8Array<ArrayBuffer> | FormData;
  /** Waits for a service that is busy, as long as the deadline permits: for calls without a local answer. */
  readonly patient?: boolean;
}

export interface FaceResponse {
  readonly text: string;
  /** The id that the service logged. */
  readonly requestId: string;
}

/**
 * Requests to face128.
 *
 * Throws a FaceError if the service refuses the request, a ServiceFailure if there is no answer in time or an invalid
 * one, and the reason of the caller's signal.
 */
export class Transport {
  private readonly headers = new Headers();
  /** The latest answer that depends on the key was a 401. */
  private isKeyRefused = false;

  /** Throws if the key or the user agent has characters that a header cannot have. */
  constructor(
    private readonly url: string,
    private readonly settings: FaceSettings,
  ) {
    this.headers.set('user-agent', `${settings.userAgent} face128-client/${VERSION}`.trim());
    if (settings.apiKey) this.headers.set('authorization', `Bearer ${settings.apiKey}`);
    if (settings.collection) this.headers.set('x-face-collection', settings.collection);
  }

  /** The answer's JSON object. */
  async json(call: Call, request: FaceRequest): Promise<FaceResponse & { readonly json: Json }> {
    const response = await this.send(call, request);
    const json = parse(response.text);
    if (!json) throw badAnswer();
    return { ...response, json };
  }

  async send(call: Call, request: FaceRequest): Promise<FaceResponse> {
    for (let retried = false; ; retried = true) {
      try {
        return await this.attempt(call, request);
      } catch (error) {
        const pauseMs = error instanceof ServiceFailure ? error.retryAfterMs : undefined;
        const again = pauseMs === 0 ? !retried && request.method !== 'DELETE' : request.patient;
        // Never after the deadline.
        if (pauseMs === undefined || !again || pauseMs >= call.deadline.remainingMs) throw error;
        if (pauseMs > 0) await call.deadline.limit(new Promise((resolve) => setTimeout(resolve, pauseMs)));
      }
    }
  }

  private async attempt(call: Call, { method, path, query, body }: FaceRequest): Promise<FaceResponse> {
    const headers = new Headers(this.headers);
    headers.set('x-request-id', call.requestId);
    if (call.traceparent !== undefined) headers.set('traceparent', call.traceparent);
    if (body !== undefined && !(body instanceof FormData)) headers.set('content-type', 'application/json');
    const { signal } = call.deadline;
    // A redirect could carry the key and the face to another host.
    const init = { method, headers, signal, redirect: 'manual', body: body ?? null } as const;
    const { dispatcher } = this.settings;
    signal.throwIfAborted();
    let response: Response;
    try {
      const request = this.settings.fetch(this.url + path + queryText(query), {
        ...init,
        ...(dispatcher && { dispatcher }),
      });
      // An own fetch may ignore the signal.
      response = await call.deadline.limit(request);
    } catch (error) {
      throw signal.aborted ? signal.reason : noConnection(error);
    }
    let text: string;
    try {
      text = await call.deadline.limit(read(response));
    } catch (error) {
      if (error instanceof ServiceFailure) throw error;
      throw signal.aborted ? signal.reason : new ServiceFailure('no_connection', 'the connection was lost');
    }
    if (!PUBLIC_PATHS.has(path) && (response.ok || response.status === 401)) this.isKeyRefused = !response.ok;
    if (!response.ok) throw this.refusal(response, method === 'HEAD' ? headError(response.status) : parse(text));
    return { text, requestId: response.headers.get('x-request-id') ?? call.requestId };
  }

  /** The error for an answer that is no success. */
  private refusal(response: Response, body: Json | undefined): Error {
    const { status, headers } = response;
    // After wrong keys the service throttles: that says so, and not that it is busy.
    const isThrottled = this.isKeyRefused && body?.['code'] === 'throttled';
    const refused = isThrottled || (status >= 400 && status < 500 && !RETRY_STATUSES.has(status));
    // A 4xx without an error body of face128 comes from something else that listens there.
    if (refused && isErrorBody(body)) return new FaceError(body, status);
    const code = typeof body?.['code'] === 'string' ? ` (${body['code']})` : '';
    const sentence = `it answered with status ${status}${code}`;
    if (status !== 429 && status !== 503) return new ServiceFailure('server_error', sentence);
    const seconds = Number(headers.get('retry-after') ?? NaN);
    return new ServiceFailure('overloaded', sentence, true, seconds > 0 ? 1000 * seconds : DEFAULT_RETRY_AFTER_MS);
  }
}

function queryText(query: Query | undefined): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

async function read(response: Response): Promise<string> {
  if (!response.body) return '';
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.length;
    if (length > MAX_ANSWER_BYTES) {
      await reader.cancel();
      throw badAnswer();
    }
    text += decoder.decode(value, { stream: true });
  }
}

function parse(text: string): Json | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Json) : undefined;
  } catch {
    return undefined;
  }
}

/** An answer to HEAD has no body: its status says the code. A 5xx, which says nothing about the request, has none. */
const CODE_OF_STATUS: Readonly<Record<number, FaceErrorCode>> = {
  ...{ 400: 'bad_request', 401: 'unauthorized', 403: 'forbidden', 404: 'not_found', 405: 'method_not_allowed' },
  ...{ 413: 'too_large', 415: 'unsupported_format', 422: 'invalid_request', 429: 'throttled', 431: 'head_too_large' },
};

function headError(status: number): FaceErrorBody | undefined {
  const code = CODE_OF_STATUS[status];
  return code && { error: `The service answered with status ${status}.`, code };
}

function isErrorBody(body: Json | undefined): body is Json & FaceErrorBody {
  return typeof body?.['error'] === 'string' && typeof body['code'] === 'string';
}

function noConnection(error: unknown): ServiceFailure {
  const code = error instanceof Error ? (error.cause as { code?: unknown } | undefined)?.code : undefined;
  const sentence = typeof code === 'string' ? `no connection (${code})` : 'no connection';
  return new ServiceFailure('no_connection', sentence, true, LOST_CONNECTION.has(code) ? 0 : undefined);
}
