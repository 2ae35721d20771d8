import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
  DLIB,
  FaceClient,
  type FaceError,
  type LocalReason,
  type Member,
  type PreparedMembers,
} from '../../src/index.js';
import { Face128, fixture, KEY } from '../support/face128.js';
import { memoryLog, pause, randomDescriptor, seeded } from '../support/helpers.js';
import { Proxy, type ProxyMode } from '../support/proxy.js';

const CALLS = 5000;
const CALLERS = 4;
const TIMEOUT_MS = 300;
/** Allowed beyond the timeout on a busy machine; a hanging call would wait as long as the service is frozen. */
const MARGIN_MS = 1000;
const RETRY_MS = 300;

const OBAMA = { regNo: 1029, name: 'Barack Obama' };
const log = memoryLog();
let service: Face128;
let proxy: Proxy;
let faces: FaceClient;
let members: PreparedMembers;
let questions: { probe: Float32Array; expected: object | null }[];

before(async () => {
  service = await Face128.start();
  proxy = new Proxy(service.url, 3 * TIMEOUT_MS);
  await proxy.start();
  const options = { url: proxy.url, apiKey: KEY, timeoutMs: TIMEOUT_MS, retryAfterMs: RETRY_MS, logger: log.logger };
  faces = new FaceClient(options);
  const direct = new FaceClient({ url: service.url, apiKey: KEY, logger: log.logger });
  const [enrolled, here, stranger] = await Promise.all(
    ['obama-2010.jpg', 'obama-2012.jpg', 'hopper-1984.jpg'].map((photo) =>
      direct.encodeImage(fixture(`photos/${photo}`)),
    ),
  );
  assert.ok(enrolled && here && stranger);
  const random = seeded(5);
  const crowd = Array.from({ length: 499 }, (_, i): Member => ({
    ...{ regNo: i, name: `n${i}`, descriptor: randomDescriptor(random).map(Math.fround) },
  }));
  members = await faces.prepare([...crowd, { ...OBAMA, descriptors: { [DLIB]: enrolled.descriptor } }]);
  questions = [
    { probe: here.descriptor, expected: OBAMA },
    { probe: stranger.descriptor, expected: null },
  ];
});
after(async () => {
  faces.close();
  proxy.close();
  await service.kill();
});

test(`${CALLS} calls while the service is killed, frozen, flapping, slow and disturbed: all right, none hanging`, async (t) => {
  let over = false;
  const durations: number[] = [];
  const sources = { service: 0, local: 0 };
  const reasons = new Set<LocalReason>();
  const caller = async (): Promise<void> => {
    while (!over || durations.length < CALLS) {
      const { probe, expected } = questions[durations.length % 2] ?? { probe: new Float32Array(128), expected: null };
      const result = await faces.matchDetailed(probe, members);
      assert.deepEqual(result.match, expected);
      assert.equal(result.source === 'local', result.reason !== null);
      const answered = proxy.answered.has(result.requestId);
      // An answer that came too late is no answer.
      assert.ok(result.source === 'service' ? answered : !answered || result.reason === 'timeout', result.reason ?? '');
      sources[result.source]++;
      if (result.reason) reasons.add(result.reason);
      durations.push(result.durationMs);
      await pause(10);
    }
  };
  let isOut = false;
  faces.events.on('state', ({ task, state }) => {
    if (task === 'match') isOut = state !== 'closed';
  });
  /** Not longer than 10 s: on a busy machine an outage may be over before it is noticed. */
  const noticed = async (out: boolean): Promise<void> => {
    const end = performance.now() + 10_000;
    while (isOut !== out && performance.now() < end) await pause(50);
    await pause(500);
  };
  const disturb = async (mode: ProxyMode): Promise<void> => {
    proxy.mode = mode;
    await noticed(true);
    proxy.mode = 'pass';
    await noticed(false);
  };
  const outages = async (): Promise<void> => {
    for (let round = 0; round < 2; round++) {
      await service.kill();
      await noticed(true);
      await service.restart();
      await noticed(false);
      service.freeze();
      await noticed(true);
      service.thaw();
      await noticed(false);
      for (const mode of ['flapping', 'garbage', 'slow'] as const) await disturb(mode);
    }
    over = true;
  };
  await Promise.all([outages(), ...Array.from({ length: CALLERS }, caller)]);

  const slowest = Math.max(...durations);
  assert.ok(slowest <= TIMEOUT_MS + MARGIN_MS, `the slowest took ${slowest} ms`);
  assert.ok(sources.service > CALLS / 50 && sources.local > CALLS / 50, JSON.stringify(sources));
  for (const reason of ['timeout', 'bad_answer', 'circuit_open'] as const) assert.ok(reasons.has(reason), reason);
  const { service: served, local, failed } = faces.counters();
  assert.deepEqual([served, failed], [sources.service, 0]);
  assert.equal(
    Object.values(local).reduce((sum, count) => sum + count, 0),
    sources.local,
  );
  // One line for each change: down, back, down, back ...
  const changes = log.lines.filter((line) => line.includes(' at /match'));
  assert.deepEqual(
    changes.map((line) => line.split(':')[0]),
    changes.map((_, i) => (i % 2 === 0 ? 'warn' : 'info')),
  );
  // Most disturbances are outages; there is no line for each call.
  assert.ok(changes.length >= 12, changes.join('\n'));
  assert.ok(log.lines.length - changes.length <= 4, log.lines.join('\n'));
  t.diagnostic(`${durations.length} calls, ${changes.length / 2} outages, the slowest call ${Math.round(slowest)} ms`);
});

test('a wrong key is no outage: every call says so, once in the log', async () => {
  const { lines, logger } = memoryLog();
  const wrong = new FaceClient({ url: service.url, apiKey: 'wrong', logger });
  const codes = new Set<unknown>();
  // More than the service looks at.
  for (let i = 0; i < 15; i++) {
    await assert.rejects(wrong.findMemberByFace(new Float32Array(128), members), ({ code }: FaceError) =>
      Boolean(codes.add(code)),
    );
  }
  assert.deepEqual(codes, new Set(['unauthorized', 'throttled']));
  assert.equal((await wrong.health()).service, 'misconfigured');
  assert.equal(lines.length, 2, 'one line for each code');
});
