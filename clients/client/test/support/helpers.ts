import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo } from 'node:net';
import { resolve } from 'node:path';

/** Tests run in the folder of their package. */
export const REPOSITORY = resolve(process.cwd(), '../..');

/** Uniform numbers in 0..1, the same in every run: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** 128 numbers of about the length of a real descriptor, 1.4. */
export function randomDescriptor(random: () => number): number[] {
  return Array.from({ length: 128 }, () => (random() - 0.5) * 0.43);
}

/** A descriptor at this distance from the zero one. */
export function at(distance: number): number[] {
  return [distance, ...new Array<number>(127).fill(0)];
}

export interface StubServer {
  readonly url: string;
  readonly requests: string[];
  close(): Promise<void>;
}

/** A real HTTP server with this handler; it records method and path of the requests. */
export async function serve(handler: RequestListener): Promise<StubServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** Collects log lines ("level: message") instead of printing them. */
export function memoryLog(): {
  readonly lines: string[];
  readonly logger: { warn: (message: string) => void; info: (message: string) => void };
} {
  const lines: string[] = [];
  const keep = (level: string) => (message: string) => lines.push(`${level}: ${message}`);
  return { lines, logger: { warn: keep('warn'), info: keep('info') } };
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

export interface ContractVector {
  readonly name: string;
  /** It needs only the rule, which the local matcher has too. */
  readonly local: boolean;
  /** The body; absent if it is not valid JSON. */
  readonly request?: Readonly<Record<string, unknown>>;
  readonly status: number;
  readonly response: Readonly<Record<string, unknown>>;
  /** The service's FACE128_DECISION_MODELS. */
  readonly decision_models?: 'dlib' | 'retail' | 'dlib+retail';
}

/** Requests and right answers of /match, from the repository's fixtures. */
export function contractVectors(...files: string[]): ContractVector[] {
  const folder = resolve(REPOSITORY, 'fixtures/contracts');
  return (files.length > 0 ? files : ['match.json', 'match-refused.json']).flatMap(
    (file) => JSON.parse(readFileSync(resolve(folder, file), 'utf8')) as ContractVector[],
  );
}

/** Wait until the condition is true; the test's own time limit applies. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(5);
}
