import { HttpException } from '@nestjs/common';

/** What stands in an error's body, here and in the service: a sentence, a stable code, and what helps to find the cause. */
export interface FaceErrorBody {
  readonly error: string;
  readonly code: string;
  readonly [context: string]: unknown;
}

/**
 * The caller's error, in the service's own words and codes (`invalid_descriptor`, `no_face`, `unauthorized` ...), or
 * `unavailable`: there was no service to ask, and no local rule that could take its place.
 *
 * An HttpException, so that a controller may let it pass: Nest answers with the status and the body.
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

/** The request can never be answered as it is: what the service says with status 422. */
export function invalid(code: 'invalid_descriptor' | 'invalid_request', error: string, context: object): FaceError {
  return new FaceError({ error, code, ...context }, 422);
}

/** Nobody can answer this now; `reason` says why the service did not. */
export function unavailable(error: string, reason: string): FaceError {
  return new FaceError({ error, code: 'unavailable', reason }, 503);
}

/** The service is down, slow or overloaded, or its answer makes no sense: the reason to match locally. Never leaves the package. */
export class ServiceFailure extends Error {}
