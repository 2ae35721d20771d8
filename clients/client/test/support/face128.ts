import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { pause, REPOSITORY } from './helpers.js';

/** The interpreter that has face128 installed. */
export const PYTHON = process.env['FACE128_PYTHON'] ?? resolve(REPOSITORY, '.venv/bin/python');

/** The API key of the service. */
export const KEY = 'key-of-the-end-to-end-tests';

export const fixture = (path: string): Buffer => readFileSync(resolve(REPOSITORY, 'fixtures', path));

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

/** Wait until the URL's answer is `wanted`; throws after 30 s. */
export async function answering(
  url: string,
  wanted: (body: Readonly<Record<string, unknown>>) => boolean,
): Promise<void> {
  const end = Date.now() + 30_000;
  while (Date.now() < end) {
    const signal = AbortSignal.timeout(1000);
    const response = await fetch(url, { signal }).catch(() => undefined);
    if (response?.ok && wanted((await response.json()) as Readonly<Record<string, unknown>>)) return;
    await pause(50);
  }
  throw new Error(`${url} does not answer`);
}

/** A real face128 process that can be killed, frozen and restarted on its port. */
export class Face128 {
  private process: ChildProcess | undefined;
  /** With the gallery; erased when it is killed. */
  private readonly folder = mkdtempSync(join(tmpdir(), 'face128-client-'));

  private constructor(
    private readonly port: number,
    private readonly settings: Readonly<Record<string, string>>,
  ) {}

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<Face128> {
    if (!existsSync(PYTHON)) throw new Error('Set FACE128_PYTHON to a Python that has face128 installed.');
    const service = new Face128(await freePort(), settings);
    await service.restart();
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Start it, and wait until it can encode photos. */
  async restart(): Promise<void> {
    const own = { API_KEY: KEY, FACE128_LOG_LEVEL: 'error', FACE128_DATA: this.folder };
    const environment = { ...process.env, ...own, ...this.settings };
    const command = ['-m', 'face128', 'serve', '--port', String(this.port)];
    // In the repository, so that its code runs and not an installed package.
    this.process = spawn(PYTHON, command, {
      cwd: REPOSITORY,
      env: environment,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await answering(`${this.url}/health`, (health) => health['model_loaded'] === true);
  }

  async kill(): Promise<void> {
    const { process } = this;
    if (!process) return;
    this.process = undefined;
    process.kill('SIGKILL');
    await once(process, 'exit');
    rmSync(this.folder, { recursive: true, force: true });
  }

  freeze(): void {
    this.process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.process?.kill('SIGCONT');
  }
}
