/** The codes of the service (docs/endpoints.md), and `unavailable`: there is no answer, from the service or locally. */
export const FACE_ERROR_CODES = [
  'bad_image',
  'bad_request',
  'client_gone',
  'consent_required',
  'digest_mismatch',
  'duplicate',
  'forbidden',
  'foreign_origin',
  'gallery_away',
  'gallery_busy',
  'gallery_corrupt',
  'gallery_deleted',
  'gallery_full',
  'gallery_locked',
  'gallery_read_only',
  'gallery_replaced',
  'gallery_schema',
  'head_tilted',
  'head_too_large',
  'inconsistent_person',
  'internal',
  'invalid_descriptor',
  'invalid_request',
  'method_not_allowed',
  'model_mismatch',
  'multiple_faces',
  'no_face',
  'not_found',
  'not_ready',
  'overloaded',
  'poor_quality',
  'throttled',
  'too_few_members',
  'too_large',
  'too_many_images',
  'too_slow',
  'unauthorized',
  'unavailable',
  'unknown_host',
  'unknown_list',
  'unsupported_format',
] as const;

/** A newer service may send a code that is not listed here: give a `switch` over codes a default. */
export type FaceErrorCode = (typeof FACE_ERROR_CODES)[number];

/** The body of an error, here and in the service: a sentence, a stable code, and fields that help to find the cause. */
export interface FaceErrorBody {
  readonly error: string;
  readonly code: FaceErrorCode;
  readonly [context: string]: unknown;
}

/** An error of the request, or `unavailable`. `status` is the HTTP status that the service answers with. */
export class FaceError extends Error {
  override readonly name = 'FaceError';
  readonly code: FaceErrorCode;

  constructor(
    readonly body: FaceErrorBody,
    readonly status: number,
  ) {
    super(body.error);
    this.code = body.code;
  }
}

/** An invalid request: status 422, as the service answers it. */
export function invalid(code: 'invalid_descriptor' | 'invalid_request', error: string, context: object): FaceError {
  return new FaceError({ error, code, ...context }, 422);
}

/** No answer is possible now; `reason` is why the service did not answer. */
export function unavailable(error: string, reason: string): FaceError {
  return new FaceError({ error, code: 'unavailable', reason }, 503);
}

/** Why the service did not answer. */
export type FailureReason =
  | 'timeout'
  | 'no_connection'
  | 'overloaded'
  | 'server_error'
  | 'bad_answer'
  /** The service failed a moment ago and is not called. */
  | 'circuit_open'
  /** The client was closed. */
  | 'closed';

/** The service is down, slow or overloaded, or its answer is invalid: the reason to match locally. */
export class ServiceFailure extends Error {
  override readonly name = 'ServiceFailure';

  /** `counts`: it says something about the service, and is not the consequence of another failure or of a busy client. */
  constructor(
    readonly reason: FailureReason,
    sentence: string,
    readonly counts = true,
    /** The service's Retry-After. */
    readonly retryAfterMs?: number,
  ) {
    super(sentence);
  }

  /** The same failure, for somebody who waited for another call. */
  uncounted(): ServiceFailure {
    return new ServiceFailure(this.reason, this.message, false);
  }
}

/** The answer has another shape than face128's. */
export function badAnswer(): ServiceFailure {
  return new ServiceFailure('bad_answer', 'its answer makes no sense');
}
