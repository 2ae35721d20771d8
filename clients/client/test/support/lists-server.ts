import { createHash } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** Answers as a service that keeps lists: enough of /lists and /match for tests of the client's requests. */
export class ListsServer {
  readonly lists = new Map<string, unknown[]>();
  /** Method, path and what it was about: 'POST /match ref', 'POST /match list'. */
  readonly requests: string[] = [];
  /** The answer of /match; by default the first member of the list. */
  answer: (list: readonly unknown[] | undefined) => object = (list) => list?.[0] ?? { match: false };
  /** Called before a PUT is answered. */
  beforePut: () => void | Promise<void> = () => undefined;
  /** An older service has no /lists, and ignores a reference: it searches its gallery. */
  older = false;

  readonly handle: RequestListener = (request, response) => {
    const { method = '', url = '' } = request;
    const reply = (status: number, body: object): void => {
      response.writeHead(status).end(JSON.stringify(body));
    };
    const work = async (): Promise<void> => {
      const body = await buffer(request);
      if (url.startsWith('/match')) {
        const question = JSON.parse(body.toString()) as { enrolled?: unknown[]; enrolled_ref?: string };
        const { enrolled, enrolled_ref: digest } = question;
        this.requests.push(`POST /match ${enrolled ? 'list' : digest ? 'ref' : 'gallery'}`);
        const list = enrolled ?? (digest === undefined || this.older ? undefined : this.lists.get(digest));
        if (!list && digest !== undefined && !this.older) reply(404, { error: 'Unknown.', code: 'unknown_list' });
        else reply(200, this.answer(list));
        return;
      }
      this.requests.push(`${method} /lists`);
      const digest = /^\/lists\/(sha256-[0-9a-f]{64})(\?model=[\w-]+)?$/.exec(url)?.[1];
      if (this.older || digest === undefined) reply(404, { error: 'Nothing here.', code: 'not_found' });
      else if (method === 'HEAD') reply(this.lists.has(digest) ? 200 : 404, {});
      else {
        await this.beforePut();
        const right = digest === `sha256-${createHash('sha256').update(body).digest('hex')}`;
        if (!right) reply(422, { error: 'Another digest.', code: 'digest_mismatch' });
        else {
          this.lists.set(digest, JSON.parse(body.toString()) as unknown[]);
          reply(201, { digest });
        }
      }
    };
    work().catch(() => response.destroy());
  };
}
