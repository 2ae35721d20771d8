import { Deadline } from './deadline.js';
import { ServiceFailure } from './errors.js';
import { StallMeter } from './event-loop.js';
import { checkNames, milliseconds } from './options.js';

/** What a single call may set. */
export interface CallOptions {
  /** Ends the call early: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long the call may take in all, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Sent as X-Request-ID, which the service logs: 1 to 64 letters, digits or `._:-`. */
  readonly requestId?: string | undefined;
  /** Sent as traceparent, as W3C Trace Context writes it. */
  readonly traceparent?: string | undefined;
}

export const CALL_OPTION_NAMES: Readonly<Record<keyof CallOptions, true>> = {
  ...{ signal: true, timeoutMs: true, requestId: true, traceparent: true },
};

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,64}$/;

/** One call of the client, which may be several requests: they share the time limit and the ids. */
export interface Call {
  readonly deadline: Deadline;
  readonly requestId: string;
  readonly traceparent: string | undefined;
}

/** Begins calls, and ends all of them when the client is closed. */
export class Calls {
  private readonly stalls = new StallMeter();
  private readonly running = new Set<Deadline>();
  private closed = false;

  /** Begins a call, makes it, and ends it. Throws a TypeError for options that do not exist or are wrong. */
  async run<T>(options: CallOptions, defaultTimeoutMs: number, make: (call: Call) => Promise<T>): Promise<T> {
    checkNames(options, CALL_OPTION_NAMES, 'option of a call');
    const { signal, requestId = newRequestId(), traceparent } = options;
    const timeoutMs = milliseconds('timeoutMs', options.timeoutMs ?? defaultTimeoutMs);
    if (!REQUEST_ID.test(requestId)) throw new TypeError('requestId is 1 to 64 letters, digits or ._:-');
    const deadline = new Deadline(timeoutMs, this.stalls, signal);
    this.running.add(deadline);
    if (this.closed) deadline.abort(closedFailure());
    try {
      return await make({ deadline, requestId, traceparent });
    } finally {
      this.running.delete(deadline);
      deadline.end();
    }
  }

  close(): void {
    this.closed = true;
    for (const deadline of this.running) deadline.abort(closedFailure());
  }
}

function closedFailure(): ServiceFailure {
  return new ServiceFailure('closed', 'the client was closed', false);
}

function newRequestId(): string {
  // Not randomUUID, which pages that are not secure do not have.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
