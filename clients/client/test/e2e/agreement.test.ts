import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { type Descriptor, FACE_API, FaceClient, type Member, type ShadowComparison } from '../../src/index.js';
import { contractVectors, memoryLog, pause, seeded } from '../support/helpers.js';
import { badRow, type Case, randomCase } from '../support/cases.js';
import { Face128, KEY } from '../support/face128.js';

const CASES = Number(process.env['AGREEMENT_CASES'] ?? 2000);
/** At the same time. */
const BATCH = 8;

const { logger } = memoryLog();
let service: Face128;
before(async () => {
  service = await Face128.start();
});
after(() => service.kill());

async function inBatches(work: (index: number) => Promise<void>): Promise<void> {
  for (let i = 0; i < CASES; i += BATCH) await Promise.all(Array.from({ length: BATCH }, (_, j) => work(i + j)));
}

/** Both answers to a question, with their distances. Throws what the local matcher throws. */
async function both({ probe, enrolled, threshold }: Case): Promise<ShadowComparison> {
  const options = { url: service.url, apiKey: KEY, threshold, timeoutMs: 20_000, onInvalid: 'throw', logger } as const;
  const faces = new FaceClient({ ...options, mode: 'shadow' });
  const compared = new Promise<ShadowComparison>((resolve) => faces.events.on('shadow', resolve));
  await faces.findMemberByFace(probe, enrolled);
  return compared;
}

test(`the local matcher and the service give the same answer and exactly the same distance in ${CASES} random cases`, async () => {
  const random = seeded(128);
  const seen = { match: 0, none: 0, onTheThreshold: 0, tie: 0, empty: 0 };
  await inBatches(async (i) => {
    const question = randomCase(random);
    const { local, service: remote } = await both(question);
    assert.deepEqual(remote, local, `case ${i}`);
    seen[local.match ? 'match' : 'none']++;
    if (local.distance === question.threshold) seen.onTheThreshold++;
    if (question.tie) seen.tie++;
    if (local.distance === null) seen.empty++;
  });
  // The cases are of all kinds.
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > CASES / 20, `${kind}: ${count}`);
});

test(`in ${CASES} random cases with rows that cannot be read, both pass over the same rows and give the same answer by reference`, async () => {
  const random = seeded(20);
  const client = new FaceClient({ url: service.url, apiKey: KEY, timeoutMs: 20_000, retryAfterMs: 100, logger });
  const local = new FaceClient({ mode: 'local', logger });
  let passedOver = 0;
  await inBatches(async (i) => {
    const { probe, enrolled } = randomCase(random);
    const rows = enrolled.flatMap((member) => (random() < 0.3 ? [badRow(random), member] : [member]));
    const prepared = await client.prepare(rows);
    const { skipped, skippedCount } = await prepared.list();
    const byReference = await unlessBusy(
      () => client.matchDetailed(probe, prepared, { explain: true }),
      ({ reason }) => reason === 'overloaded' || reason === 'circuit_open',
    );
    const { match, distance } = await local.matchDetailed(probe, prepared);
    const raw = await ask({ descriptor: probe, enrolled: rows, model: FACE_API }, '?explain=true&skip_invalid=true');
    assert.equal(byReference.source, 'service', byReference.detail ?? '');
    assert.deepEqual([byReference.match, byReference.distance], [match, distance], `case ${i}`);
    assert.deepEqual([raw['regNo'], raw['distance']], [match?.regNo, distance], `case ${i}`);
    const named = (raw['skipped'] ?? []) as { regNo?: unknown }[];
    assert.deepEqual(
      named.map(({ regNo, ...others }) => ({ ...(regNo != null && { regNo }), ...others })),
      skipped.map(({ regNo, ...others }) => ({ ...(regNo != null && { regNo }), ...others })),
      `case ${i}`,
    );
    passedOver += skippedCount;
  });
  assert.ok(passedOver > CASES / 2);
});

test('both give the answer of every contract vector', async () => {
  for (const { name, request, status, response } of contractVectors()) {
    if (status !== 200 || request === undefined) continue;
    const threshold = (request['threshold'] ?? 0.38) as number;
    const enrolled = request['enrolled'] as Member[];
    const { local, service: remote } = await both({ probe: request['descriptor'] as Descriptor, enrolled, threshold });
    assert.deepEqual(remote, local, name);
    assert.equal(local.match?.regNo, response['regNo'], name);
    if ('distance' in response) assert.equal(local.distance, response['distance'], name);
  }
});

test('what the local matcher refuses, the service refuses with the same status, code, field and regNo', async () => {
  for (const { name, request, status } of contractVectors()) {
    if (status === 200 || request === undefined || 'model' in request || 'enrolled_ref' in request) continue;
    if (name === 'a member of another model') continue;
    const body = { ...(await ask(request)), error: '' };
    const threshold = request['threshold'] as number | undefined;
    const question = { probe: request['descriptor'] as Descriptor, enrolled: request['enrolled'] as Member[] };
    await assert.rejects(
      async () => both({ ...question, threshold: threshold ?? 0.38 }),
      (error: { body?: object; status?: number }) => {
        assert.deepEqual([error.status, { ...error.body, error: '' }], [status, body], name);
        return true;
      },
    );
  }
});

/** The answer, asked for again while the service is busy with many explanations. */
async function unlessBusy<T>(question: () => Promise<T>, isBusy: (answer: T) => boolean): Promise<T> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const answer = await question();
    if (!isBusy(answer)) return answer;
    await pause(500);
  }
  throw new Error('The service remains busy.');
}

/** The answer of `/match` to this body. */
async function ask(body: object, query = ''): Promise<Readonly<Record<string, unknown>>> {
  const question = (): Promise<Response> =>
    fetch(`${service.url}/match${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
      body: JSON.stringify(body),
    });
  const response = await unlessBusy(question, ({ status }) => status === 503);
  return (await response.json()) as Readonly<Record<string, unknown>>;
}
