import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';

import { FaceClient, type FaceOptions, type Member, prepare } from '../src/index.js';
import { at, memoryLog, pause, serve, until } from './support/helpers.js';
import { ListsServer } from './support/lists-server.js';

let service: ListsServer;
const server = serve((request, response) => {
  service.handle(request, response);
});
beforeEach(() => {
  service = new ListsServer();
});
after(async () => (await server).close());

const client = async (options: FaceOptions = {}): Promise<FaceClient> =>
  new FaceClient({ url: (await server).url, timeoutMs: 5000, logger: memoryLog().logger, ...options });
const members = (count: number): Member[] =>
  Array.from({ length: count }, (_, i) => ({ regNo: i, name: `Member ${i}`, descriptor: at(i / 1000) }));
const PROBE = at(0.0004);
const FIRST = { regNo: 0, name: 'Member 0' };

test('a prepared list is named, sent where the service does not know it, and then only named', async () => {
  const faces = await client();
  const list = await faces.prepare(members(3));
  for (let i = 0; i < 3; i++) assert.deepEqual((await faces.matchDetailed(PROBE, list)).source, 'service');
  const all = ['HEAD /lists', 'PUT /lists', 'POST /match ref', 'POST /match ref', 'POST /match ref'];
  assert.deepEqual(service.requests, all);
  service.lists.clear();
  assert.deepEqual(await faces.findMemberByFace(PROBE, list), FIRST);
  assert.deepEqual(service.requests.slice(5), ['POST /match ref', 'PUT /lists', 'POST /match ref']);
  assert.equal(faces.counters().uploads, 2);
});

test('callers at the same time share one upload, and different lists are uploaded one after the other', async () => {
  let running = 0;
  let most = 0;
  service.beforePut = async () => {
    most = Math.max(most, ++running);
    await pause(30);
    running--;
  };
  const faces = await client();
  const lists = [await faces.prepare(members(100)), await faces.prepare(members(101))];
  const calls = Array.from({ length: 20 }, (_, i) => faces.matchDetailed(PROBE, lists[i % 2]));
  for (const { source } of await Promise.all(calls)) assert.equal(source, 'service');
  assert.equal(service.requests.filter((each) => each === 'PUT /lists').length, 2);
  assert.equal(most, 1);
});

test('many calls at once reach the service a few at a time, and one that waits too long frees its place', async () => {
  let running = 0;
  let most = 0;
  const busy = await serve((request, response) => {
    most = Math.max(most, ++running);
    setTimeout(() => {
      running--;
      service.handle(request, response);
    }, 1000);
  });
  const faces = new FaceClient({ url: busy.url, timeoutMs: 10_000, logger: memoryLog().logger });
  const ask = (timeoutMs?: number): Promise<string> =>
    faces.matchDetailed(PROBE, members(2), { timeoutMs }).then(({ source }) => source);
  try {
    const first = Array.from({ length: 16 }, () => ask());
    await until(() => most === 16);
    const hasty = Array.from({ length: 10 }, () => ask(50));
    const patient = Array.from({ length: 20 }, () => ask());
    assert.deepEqual(new Set(await Promise.all(hasty)), new Set(['local']));
    assert.deepEqual(new Set(await Promise.all([...first, ...patient])), new Set(['service']));
    assert.equal(most, 16);
    assert.equal(await ask(), 'service');
  } finally {
    await busy.close();
  }
});

test('an array that is short is sent with the question, a long one is prepared once and named', async () => {
  const faces = await client();
  assert.deepEqual(await faces.findMemberByFace(PROBE, members(3)), FIRST);
  assert.deepEqual(service.requests, ['POST /match list']);
  const long = members(200);
  for (let i = 0; i < 3; i++) assert.deepEqual(await faces.findMemberByFace(PROBE, long), FIRST);
  // The same rows in another array are the same list for the service.
  assert.deepEqual(await faces.findMemberByFace(PROBE, members(200)), FIRST);
  assert.equal(service.requests.filter((each) => each === 'PUT /lists').length, 1);
});

test('an array is read again when its rows or its version change', async () => {
  const faces = await client({ mode: 'local' });
  const nearest = async (version?: number): Promise<unknown> =>
    (await faces.findMemberByFace(at(0.3), list, { version }))?.regNo;
  const list: Member[] = [{ regNo: 'a', descriptor: at(0) }];
  assert.equal(await nearest(), 'a');
  list.push({ regNo: 'b', descriptor: at(0.2) });
  assert.equal(await nearest(), 'b');
  list[1] = { regNo: 'c', descriptor: at(0.2) };
  assert.equal(await nearest(), 'c');
  Object.assign(list[1], { descriptor: at(2) });
  assert.equal(await nearest(), 'a');
  assert.equal(await nearest(1), 'a');
  list[1] = { regNo: 'd', descriptor: at(0.3) };
  assert.equal(await nearest(1), 'a', 'the version says that it is the same list');
  assert.equal(await nearest(2), 'd');
});

test('an older service, which would search its gallery instead, is sent the list', async () => {
  service.older = true;
  service.answer = (list) => (list ? { match: false } : { regNo: 0, name: 'Member 0' });
  const faces = await client();
  const list = await faces.prepare(members(3));
  for (let i = 0; i < 3; i++) {
    const { match, source } = await faces.matchDetailed(PROBE, list);
    assert.deepEqual([match, source], [null, 'service']);
  }
  const questions = service.requests.filter((each) => each.startsWith('POST'));
  assert.deepEqual(questions, new Array(3).fill('POST /match list'));
});

test('a list that the service does not keep, or refuses, is sent with the question', async () => {
  const faces = await client();
  service.beforePut = () => {
    setImmediate(() => {
      service.lists.clear();
    });
  };
  const list = await faces.prepare(members(3));
  assert.deepEqual((await faces.matchDetailed(PROBE, list)).source, 'service');
  assert.equal(service.requests.at(-1), 'POST /match list');
});

test('the code of an error without a body follows from its status, and a failure of the service has none', async () => {
  const head = await serve((request, response) => {
    request.resume().on('end', () => response.writeHead(Number(request.headers['x-request-id'])).end());
  });
  const faces = new FaceClient({ url: head.url, logger: memoryLog().logger });
  const answered = (status: number): Promise<unknown> =>
    faces.api?.hasList(`sha256-${'0'.repeat(64)}`, { requestId: String(status) }) ?? Promise.reject(new Error());
  try {
    const refused = [
      ...[400, 'bad_request', 401, 'unauthorized', 403, 'forbidden', 405, 'method_not_allowed'],
      ...[413, 'too_large', 422, 'invalid_request'],
    ];
    for (let i = 0; i < refused.length; i += 2) {
      const [status, code] = [Number(refused[i]), refused[i + 1]];
      await assert.rejects(answered(status), { name: 'FaceError', status, code });
    }
    assert.equal(await answered(404), false);
    for (const status of [418, 500, 502, 503, 504]) {
      const message = `it answered with status ${status}`;
      await assert.rejects(answered(status), { name: 'ServiceFailure', message });
    }
  } finally {
    await head.close();
  }
});

test('an upload goes on when its caller is answered locally, and nobody else counts as failed', async () => {
  service.beforePut = () => pause(400);
  const faces = await client({ timeoutMs: 100, imageTimeoutMs: 5000 });
  const list = await faces.prepare(members(300));
  const results = await Promise.all(Array.from({ length: 8 }, () => faces.matchDetailed(PROBE, list)));
  for (const { source, reason, match } of results)
    assert.deepEqual([source, reason, match], ['local', 'timeout', FIRST]);
  await pause(500);
  const { source } = await faces.matchDetailed(PROBE, list, { timeoutMs: 5000 });
  assert.equal(source, 'service');
  assert.equal(service.requests.filter((each) => each === 'PUT /lists').length, 1);
});

test('ids of every kind come back as they were given', async () => {
  const faces = await client();
  for (const regNo of [7, '7', 9007199254740993n, 12n, 1.5, '']) {
    const list = await faces.prepare([{ regNo, name: 'n', descriptor: at(0) }]);
    assert.deepEqual(await faces.findMemberByFace(PROBE, list), { regNo, name: 'n' });
  }
});

test('rows as databases hand them out are read, and one that cannot be read is passed over and reported', async () => {
  const float32 = Float32Array.from(at(0.2));
  const rows = [
    { regNo: 1, descriptor: JSON.stringify(at(0.9)) },
    { regNo: 2, descriptor: Buffer.from(float32.buffer) },
    { regNo: 3, descriptor: [1, 2, 3] },
    { regNo: 4n, descriptor: float32 },
    null as never,
    { regNo: null as never, descriptor: at(0) },
    { regNo: 7, descriptor: '' },
  ];
  const { lines, logger } = memoryLog();
  const faces = await client({ mode: 'local', logger });
  const reported: unknown[] = [];
  faces.events.on('skipped', ({ skipped }) => reported.push(...skipped));
  for (let i = 0; i < 2; i++) {
    const { match, skippedCount } = await faces.matchDetailed(Array.from(float32), rows);
    assert.deepEqual([match, skippedCount], [{ regNo: 2, name: null }, 3]);
  }
  assert.deepEqual(reported, [
    { index: 2, regNo: 3, field: 'enrolled[2].descriptor', code: 'invalid_descriptor' },
    { index: 4, field: 'enrolled[4]', code: 'invalid_request' },
    { index: 5, field: 'enrolled[5].regNo', code: 'invalid_request' },
  ]);
  assert.equal(faces.counters().skipped, 3);
  assert.deepEqual(lines.slice(1), [
    'warn: 3 members cannot be read and are passed over; the first is 3 (enrolled[2].descriptor: invalid_descriptor).',
  ]);
  await assert.rejects(prepare(rows, { onInvalid: 'throw' }), { code: 'invalid_descriptor' });
});

test('a list is prepared without holding the event loop, and its digest is that of its text', async () => {
  const list = await prepare(members(5000));
  let turns = 0;
  const counter = setInterval(() => turns++, 1);
  await prepare(members(5000));
  clearInterval(counter);
  assert.ok(turns >= 3, `${turns} other tasks ran meanwhile`);
  const { body, digest, vectors, owners } = await list.list();
  assert.deepEqual([vectors.length, owners.length], [5000 * 128, 5000]);
  assert.equal((JSON.parse(Buffer.from(body).toString()) as unknown[]).length, 5000);
  const hash = await crypto.subtle.digest('SHA-256', body);
  assert.equal(digest, `sha256-${Buffer.from(hash).toString('hex')}`);
});
