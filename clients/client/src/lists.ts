import type { Call, Calls } from './call.js';
import { FaceError, ServiceFailure } from './errors.js';
import type { Transport } from './http.js';
import type { MemberId } from './matcher.js';
import type { PreparedList } from './prepared-list.js';

type List = PreparedList<MemberId>;
type Body = string | Uint8Array<ArrayBuffer>;

/** For how long a list is sent with each question, after a service that has no /lists or that refused it. */
const INLINE_MS = 60_000;
const MAX_REMEMBERED_LISTS = 100;
const EVERY_LIST = '';

/**
 * Keeps lists at the service, so that a question need only name them.
 *
 * A list is uploaded only where the service does not know it, once for all who wait for it, and one list at a time.
 */
export class ListUploads {
  /** Lists that were uploaded. */
  count = 0;

  private readonly running = new Map<string, Promise<unknown>>();
  private last: Promise<unknown> = Promise.resolve();
  private readonly uploadedAt = new Map<string, number>();
  private readonly inlineUntil = new Map<string, number>();
  /** The service has /lists. An older one would ignore the reference and search its gallery: it is never asked so. */
  private confirmed = false;

  constructor(
    private readonly transport: Transport,
    private readonly calls: Calls,
    private readonly timeoutMs: number,
  ) {}

  /** After an outage another version of the service may listen. */
  forget(): void {
    this.confirmed = false;
  }

  /** Asks `question`, which is the text of a JSON object without its last brace, about this list. */
  async ask<T>(call: Call, question: string, list: List, send: (body: Body) => Promise<T>): Promise<T> {
    const { digest } = list;
    if (digest === undefined || this.isInline(digest)) return send(inlineBody(question, list));
    const askByReference = (): Promise<T> => send(`${question},"enrolled_ref":"${digest}"}`);
    const began = performance.now();
    try {
      if (!this.confirmed && !(await this.isKept(call, digest))) await this.upload(call, list, began);
      return await askByReference();
    } catch (error) {
      if (!(error instanceof FaceError)) throw error;
      if (this.isInline(digest)) return send(inlineBody(question, list));
      if (error.code !== 'unknown_list') throw error;
    }
    try {
      await this.upload(call, list, began);
      return await askByReference();
    } catch (error) {
      // Another worker of the service has it, or there is no room for it, or it is refused: the question says why.
      const isInstead = error instanceof FaceError && (error.code === 'unknown_list' || this.isInline(digest));
      if (!isInstead) throw error;
      return send(inlineBody(question, list));
    }
  }

  private async isKept(call: Call, digest: string): Promise<boolean> {
    try {
      await this.transport.send(call, { method: 'HEAD', path: `/lists/${digest}` });
      this.confirmed = true;
      return true;
    } catch (error) {
      if (error instanceof FaceError && !isForbidden(error)) return false;
      throw error;
    }
  }

  /** Waits for the upload of this list until the call's deadline; the upload goes on. Nothing if it was uploaded since. */
  private async upload(call: Call, list: List, since: number): Promise<void> {
    const digest = list.digest ?? '';
    if ((this.uploadedAt.get(digest) ?? -1) >= since) return;
    const running = this.running.get(digest);
    try {
      await call.deadline.limit(running ?? this.start(digest, list));
    } catch (error) {
      // It counts once, for the caller who began it; and an upload that waits for others is not a slow service.
      const counts = !running && !call.deadline.signal.aborted;
      throw error instanceof ServiceFailure && !counts ? error.uncounted() : error;
    }
  }

  private start(digest: string, list: List): Promise<unknown> {
    const upload = this.last.then(() => this.put(digest, list)).finally(() => this.running.delete(digest));
    this.running.set(digest, upload);
    this.last = upload.catch(() => undefined);
    return upload;
  }

  private async put(digest: string, { body, model }: List): Promise<void> {
    try {
      const request = { method: 'PUT', path: `/lists/${digest}`, query: { model }, body } as const;
      await this.calls.run({}, this.timeoutMs, (call) => this.transport.json(call, request));
      this.confirmed = true;
      this.count++;
      remember(this.uploadedAt, digest, performance.now());
    } catch (error) {
      if (error instanceof FaceError && !isForbidden(error)) {
        const key = error.status === 404 || error.status === 405 ? EVERY_LIST : digest;
        remember(this.inlineUntil, key, performance.now() + INLINE_MS);
      }
      throw error;
    }
  }

  private isInline(digest: string): boolean {
    const until = Math.max(this.inlineUntil.get(digest) ?? 0, this.inlineUntil.get(EVERY_LIST) ?? 0);
    return performance.now() < until;
  }
}

function isForbidden({ status }: FaceError): boolean {
  return status === 401 || status === 403;
}

/** The question with the whole list. */
export function inlineBody(question: string, { body }: List): Uint8Array<ArrayBuffer> {
  const before = new TextEncoder().encode(`${question},"enrolled":`);
  const bytes = new Uint8Array(before.length + body.length + 1);
  bytes.set(before);
  bytes.set(body, before.length);
  bytes[bytes.length - 1] = '}'.charCodeAt(0);
  return bytes;
}

function remember(map: Map<string, number>, key: string, value: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MAX_REMEMBERED_LISTS && oldest !== undefined) map.delete(oldest);
}
