import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import { pause } from './helpers.js';

export type ProxyMode = 'pass' | 'flapping' | 'garbage' | 'slow';

const GARBAGE = [
  '',
  '<html>',
  '{}',
  '[]',
  'null',
  '{"regNo":666,"name":"Eve"}',
  '{"regNo":1029,"name":"Eve"}',
  '{"match":true}',
];

/** A reverse proxy before the service, which can be made to disturb, and knows which calls the service answered. */
export class Proxy {
  mode: ProxyMode = 'pass';
  /** X-Request-IDs of the questions that were answered with status 200, undisturbed. */
  readonly answered = new Set<string>();
  url = '';

  private turn = 0;
  private readonly server = createServer((request, response) => {
    this.handle(request, response).catch(() => response.destroy());
  });

  constructor(
    private readonly target: string,
    private readonly slowMs: number,
  ) {}

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const turn = this.turn++;
    const { mode } = this;
    if (mode === 'garbage') {
      response.end(GARBAGE[turn % GARBAGE.length]);
      return;
    }
    // No answer at all to two of three.
    if (mode === 'flapping' && turn % 3 !== 2) return;
    if (mode === 'slow') await pause(this.slowMs);
    const headers = Object.fromEntries(
      ['authorization', 'content-type', 'x-request-id'].map((name) => [name, String(request.headers[name] ?? '')]),
    );
    const init = { method: request.method ?? '', headers, body: body === '' ? null : body };
    const answer = await fetch(this.target + (request.url ?? ''), init);
    const content = await answer.text();
    const id = headers['x-request-id'] ?? '';
    if (answer.ok && request.url?.startsWith('/match')) this.answered.add(id);
    response.writeHead(answer.status, { 'x-request-id': id }).end(content);
  }
}
