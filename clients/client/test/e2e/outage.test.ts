import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { DLIB, type Member } from '../../src';
import { captureLog, pause, randomDescriptor, seeded } from '../support';
import { type Application, start } from './application';
import { Face128, fixture, KEY } from './face128';

const CALLS = 2000;
const CALLERS = 4;
const TIMEOUT_MS = 300;
/** Allowed beyond the timeout on a busy machine; a hanging call would wait as long as the service is frozen. */
const MARGIN_MS = 1000;
const RETRY_MS = 300;

const OBAMA = { regNo: 1029, name: 'Barack Obama' };
const log = captureLog();
let service: Face128;
let application: Application;
let questions: { probe: number[]; expected: object }[];

before(async () => {
  service = await Face128.start();
  const members: Member[] = [];
  application = await start(members, { url: service.url, apiKey: KEY, timeoutMs: TIMEOUT_MS, retryAfterMs: RETRY_MS });
  const [enrolled, here, stranger] = await Promise.all(
    ['obama-2010.jpg', 'obama-2012.jpg', 'hopper-1984.jpg'].map((photo) =>
      application.faces.encodeImage(fixture(`photos/${photo}`)),
    ),
  );
  assert.ok(enrolled && here && stranger);
  const random = seeded(5);
  members.push(
    ...Array.from({ length: 499 }, (_, i) => ({
      regNo: i,
      name: `n${i}`,
      descriptor: randomDescriptor(random).map(Math.fround),
    })),
  );
  members.push({ ...OBAMA, descriptors: { [DLIB]: enrolled.descriptor } });
  questions = [
    { probe: Array.from(here.descriptor), expected: OBAMA },
    { probe: Array.from(stranger.descriptor), expected: { match: false } },
  ];
  log.length = 0;
});
after(async () => {
  await application.close();
  await service.kill();
});

test(`${CALLS} calls while the service is killed, frozen and restarted: all answered, none wrong, none hanging`, async (t) => {
  let over = false;
  const states = new Set<string>();
  const watch = async (): Promise<void> => {
    while (!over) {
      states.add((await application.faces.health()).breakers?.match ?? '');
      await pause(2);
    }
  };
  const durations: number[] = [];
  const caller = async (): Promise<void> => {
    while (!over || durations.length < CALLS) {
      const { probe, expected } = questions[durations.length % 2] ?? { probe: [], expected: {} };
      const began = performance.now();
      assert.deepEqual(await application.find({ descriptor: probe }), { status: 200, body: expected });
      durations.push(performance.now() - began);
      await pause(10);
    }
  };
  const outages = async (): Promise<void> => {
    for (let round = 0; round < 2; round++) {
      await pause(500);
      await service.kill();
      await pause(1000);
      await service.restart();
      await pause(1000);
      service.freeze();
      await pause(3000);
      service.thaw();
      await pause(1000);
    }
    over = true;
  };
  await Promise.all([outages(), watch(), ...Array.from({ length: CALLERS }, caller)]);

  const slowest = Math.max(...durations);
  assert.ok(slowest <= TIMEOUT_MS + MARGIN_MS, `the slowest took ${slowest} ms`);
  assert.deepEqual([...states].sort(), ['closed', 'open', 'trying']);
  assert.equal((await application.faces.health()).breakers?.match, 'closed');
  // One line for each change: down, back, down, back ...
  assert.deepEqual(
    log.map((line) => line.split(':')[0]),
    log.map((_, i) => (i % 2 === 0 ? 'warn' : 'log')),
  );
  for (const reason of [/no connection/, /no answer within/])
    assert.ok(log.filter((line) => reason.test(line)).length >= 2);
  t.diagnostic(`${durations.length} calls, ${log.length / 2} outages, the slowest call ${Math.round(slowest)} ms`);
});
