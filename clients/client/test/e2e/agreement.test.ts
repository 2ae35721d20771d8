import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';

import {
  type AnyMember,
  type Descriptor,
  FACE_API,
  FaceClient,
  type MatchResult,
  type MemberId,
  type Probe,
  type ShadowComparison,
  type Template,
} from '../../src/index.js';
import { contractVectors, memoryLog, pause, seeded } from '../support/helpers.js';
import { badRow, jsonText, randomCase } from '../support/cases.js';
import { Face128, KEY } from '../support/face128.js';

/** AGREEMENT_CASES=10000 for all, which takes some minutes. */
const CASES = Number(process.env['AGREEMENT_CASES'] ?? 1000);
const LIMIT = { timeout: 200_000 + 200 * CASES };
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

type Row = Readonly<Record<string, unknown>>;

interface Question {
  readonly probe: Probe;
  readonly members: readonly AnyMember[];
  readonly threshold: number;
  readonly template: Template | undefined;
}

/** Both answers to a question, with their distances. Throws what the local matcher throws. */
async function both({ probe, members, threshold, template }: Question): Promise<ShadowComparison> {
  const options = { url: service.url, apiKey: KEY, threshold, template, timeoutMs: 20_000, logger } as const;
  const faces = new FaceClient({ ...options, mode: 'shadow', onInvalid: 'throw' });
  const compared = new Promise<ShadowComparison>((resolve) => faces.events.on('shadow', resolve));
  await faces.findMemberByFace(probe, members);
  return compared;
}

test(
  `the local matcher and the service give the same answer and exactly the same distance in ${CASES} random cases`,
  LIMIT,
  async () => {
    const random = seeded(128);
    const seen = { match: 0, none: 0, onTheThreshold: 0, tie: 0, empty: 0, otherModel: 0 };
    await inBatches(async (i) => {
      const question = randomCase(random);
      const { rows, threshold } = question;
      const { local, service: remote } = await both({ ...question, members: rows.map(({ row }) => row) });
      assert.deepEqual(remote, local, `case ${i}`);
      seen[local.match ? 'match' : 'none']++;
      if (local.distance === threshold) seen.onTheThreshold++;
      if (question.tie) seen.tie++;
      if (local.distance === null) seen.empty++;
      if (question.model !== FACE_API) seen.otherModel++;
    });
    // The cases are of all kinds.
    for (const [kind, count] of Object.entries(seen)) assert.ok(count > CASES / 20, `${kind}: ${count}`);
  },
);

test(
  `in ${CASES} random lists with rows that cannot be read, a prepared list, the service and the local matcher pass over the same rows and give the same answer`,
  LIMIT,
  async () => {
    const random = seeded(20);
    let passedOver = 0;
    await inBatches(async (i) => {
      const { probe, model, rows: good, threshold, template } = randomCase(random);
      const rows = good.flatMap((row) => (random() < 0.3 ? [badRow(random), row] : [row]));
      if (random() < 0.1) rows.push(badRow(random));
      const options = { threshold, template, timeoutMs: 20_000, retryAfterMs: 100, logger };
      const client = new FaceClient({ ...options, url: service.url, apiKey: KEY });
      const members = rows.map(({ row }) => row);
      const prepared = await client.prepare(members, { model });
      const { skipped, skippedCount } = await prepared.list(model);
      const byReference = await unlessBusy<MatchResult<MemberId>>(
        () => client.matchDetailed(probe, prepared, { explain: true }),
        ({ reason }) => reason === 'overloaded' || reason === 'circuit_open',
      );
      const offline = new FaceClient({ ...options, mode: 'local' });
      const { match, distance } = await offline.matchDetailed(probe, prepared);
      assert.equal(byReference.source, 'service', byReference.detail ?? '');
      assert.deepEqual([byReference.match, byReference.distance], [match, distance], `case ${i}`);
      // What any other client sends: the rows as they are.
      const descriptor = typeof probe === 'object' && 'model' in probe ? probe.descriptor : probe;
      const asked = { descriptor, model, threshold, template };
      const enrolled = rows.map(({ json }) => json);
      const query = '?explain=true&skip_invalid=true';
      const answers = [await ask({ ...asked, enrolled }, query)];
      if (i % 4 === 0) answers.push(await ask({ ...asked, enrolled_ref: await put(enrolled, model) }, query));
      for (const answer of answers) {
        assert.deepEqual([answer['regNo'], answer['distance']], [jsonId(match?.regNo), distance], `case ${i}`);
        const named = (answer['skipped'] ?? []) as Row[];
        assert.deepEqual(named.map(comparable), skipped.map(comparable), `case ${i}`);
        assert.equal(answer['skipped_count'], skippedCount, `case ${i}`);
      }
      passedOver += skippedCount;
    });
    assert.ok(passedOver > CASES / 2);
  },
);

test('both give the answer of every contract vector', async () => {
  for (const { name, request, status, response } of contractVectors()) {
    if (status !== 200 || request === undefined) continue;
    const { local, service: remote } = await both(questionOf(request));
    assert.deepEqual(remote, local, name);
    assert.equal(local.match?.regNo, response['regNo'], name);
    if ('distance' in response) assert.equal(local.distance, response['distance'], name);
  }
});

test('what the local matcher refuses, the service refuses with the same status, code, field and regNo', async () => {
  for (const { name, request, status } of contractVectors()) {
    if (status === 200 || request === undefined || 'model' in request || 'enrolled_ref' in request) continue;
    const body = { ...(await ask(request)), error: '' };
    await assert.rejects(
      async () => both(questionOf(request)),
      (error: { body?: object; status?: number }) => {
        assert.deepEqual([error.status, { ...error.body, error: '' }], [status, body], name);
        return true;
      },
    );
  }
});

/** The question of a contract vector. A threshold or template that is missing or null is the default. */
function questionOf(request: Row): Question {
  return {
    probe: request['descriptor'] as Descriptor,
    members: request['enrolled'] as AnyMember[],
    threshold: (request['threshold'] ?? 0.38) as number,
    template: (request['template'] ?? undefined) as Template | undefined,
  };
}

/** As JSON.parse reads the id. */
function jsonId(regNo: unknown): unknown {
  return typeof regNo === 'bigint' ? Number(regNo) : regNo;
}

/** A skipped row, without an id that is null or missing. */
function comparable({ regNo, ...others }: { readonly regNo?: unknown }): object {
  return { ...(regNo != null && { regNo: jsonId(regNo) }), ...others };
}

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
async function ask(body: object, query = ''): Promise<Row> {
  const response = await send('POST', `/match${query}`, jsonText(body));
  return (await response.json()) as Row;
}

/** Upload these rows as they are, and return their digest. */
async function put(rows: readonly unknown[], model: string): Promise<string> {
  const body = jsonText(rows);
  const digest = `sha256-${createHash('sha256').update(body).digest('hex')}`;
  const response = await send('PUT', `/lists/${digest}?skip_invalid=true&model=${model}`, body);
  assert.ok(response.ok, await response.text());
  return digest;
}

function send(method: string, path: string, body: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  return unlessBusy(
    () => fetch(service.url + path, { method, headers, body }),
    ({ status }) => status === 503,
  );
}
