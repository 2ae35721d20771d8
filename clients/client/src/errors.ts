import { HttpException } from '@nestjs/common';

/** The body of an error, here and in the service: a sentence, a stable code, and fields that help to find the cause. */
export interface FaceErrorBody {
  readonly error: string;
  readonly code: string;
  readonly [context: string]: unknown;
}

/**
 * An error of the request, with the service's codes (`invalid_descriptor`, `no_face`, `unauthorized` ...), or
 * `unavailable`: the service did not answer, and there is no local rule for the request.
 *
 * An HttpException: if a controller does not catch it, Nest answers with the status and the body.
 */
export class FaceError extends HttpException {
  readonly code: string;

  constructor(
    readonly body: FaceErrorBody,
    status: number,
  ) {
    super(body, status);
    this.message = body.error;
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

/** The service is down, slow or overloaded, or its answer is invalid: the reason to match locally. Internal to the package. */
export class ServiceFailure extends Error {}
