import { type FaceErrorBody, type FaceErrorCode, FaceError } from '@face128/client';
import { HttpException } from '@nestjs/common';

/** A FaceError as Nest's HttpException: if a controller does not catch it, Nest answers with the status and the body. */
export class FaceException extends HttpException {
  readonly code: FaceErrorCode;
  readonly body: FaceErrorBody;

  constructor(error: FaceError) {
    super(error.body, statusFor(error), { cause: error });
    this.message = error.message;
    this.code = error.code;
    this.body = error.body;
  }
}

/** The result, or a FaceException in place of a FaceError. */
export async function orException<T>(result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw error instanceof FaceError ? new FaceException(error) : error;
  }
}

/**
 * A wrong key or URL is this application's mistake: its callers must not take 401, 403 or 404 for their own. But a 404
 * with `verified: false` says that the member is not enrolled.
 */
function statusFor({ status, body }: FaceError): number {
  if (status === 404 && body['verified'] === false) return status;
  return status === 401 || status === 403 || status === 404 ? 500 : status;
}
