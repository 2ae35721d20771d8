import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
  type DecisionModels,
  FaceClient,
  FaceError,
  type FaceOptions,
  type MatchResult,
  type MemberId,
  type Thresholds,
} from '../../src/index.js';
import { spaceNames } from '../../src/spaces.js';
import { jsonText, nextDouble, pick } from '../support/cases.js';
import { Face128, KEY } from '../support/face128.js';
import { contractVectors, memoryLog, seeded } from '../support/helpers.js';
import { badMixture, randomMixture } from '../support/mixtures.js';
import { severalQuestion } from '../support/several-models.js';

const CASES = Number(process.env['AGREEMENT_CASES'] ?? 300);
const LIMIT = { timeout: 200_000 + 200 * CASES };
/** At the same time. */
const BATCH = 8;
const ORDERS: readonly DecisionModels[] = ['dlib', 'retail', 'dlib+retail'];
const DIMENSIONS: Readonly<Record<string, number>> = { 'retail-0095': 256 };

const { logger } = memoryLog();
const services = new Map<DecisionModels, Face128>();
before(async () => {
  await Promise.all(
    ORDERS.map(async (order) => {
      services.set(order, await Face128.start({ FACE128_ENGINES: 'fake', FACE128_DECISION_MODELS: order }));
    }),
  );
});
after(() => Promise.all(Array.from(services.values(), (service) => service.kill())));

type Row = Readonly<Record<string, unknown>>;

/** The answer, or the error that takes its place. */
async function orError<T>(answer: Promise<T>): Promise<T | FaceError> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof FaceError) return error;
    throw error;
  }
}

/** What the answers have in common. */
function summary(answer: MatchResult<MemberId> | FaceError): unknown {
  if (answer instanceof FaceError) return [answer.status, answer.code, answer.body['field']];
  const { match, distance, model, models } = answer;
  return { match, distance, ...(distance !== null && { model, models: models ?? model.split('+') }) };
}

async function ask(order: DecisionModels, body: object, query: string): Promise<Row> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  const url = `${services.get(order)?.url ?? ''}/match?explain=true${query}`;
  return (await (await fetch(url, { method: 'POST', headers, body: jsonText(body) })).json()) as Row;
}

test(
  `in ${CASES} random mixtures of two networks the local matcher, the service and any other client get the same answer`,
  LIMIT,
  async () => {
    const seen: Record<string, number> = { match: 0, none: 0, onTheThreshold: 0, foreign: 0, skipped: 0 };
    const count = (kind: string): void => {
      seen[kind] = (seen[kind] ?? 0) + 1;
    };
    const one = async (i: number): Promise<void> => {
      const random = seeded(23_000 + i);
      const order = pick<DecisionModels>(random, 'dlib', 'retail', 'dlib+retail');
      const { probe, models, json, rows: good, template } = randomMixture(random);
      const bad = (): ReturnType<typeof badMixture> => {
        const model = pick(random, models[0] ?? '', models.at(-1) ?? '');
        return badMixture(random, model, DIMENSIONS[model] ?? 128);
      };
      const rows = good.flatMap((row) => (random() < 0.15 ? [bad(), row] : [row]));
      const members = rows.map(({ row }) => row);
      const common: FaceOptions = { decisionModels: order, template, logger, timeoutMs: 20_000 };
      const offline = (threshold?: Thresholds): FaceClient => new FaceClient({ ...common, threshold, mode: 'local' });

      let threshold: Thresholds | undefined;
      if (random() < 0.7) {
        // In half of these the threshold of the space that decides is the distance, or a double next to it.
        const names = spaceNames(models, order);
        threshold = Object.fromEntries(names.map((name) => [name, pick(random, 0.38, 0.7, 1.2)]));
        const first = await orError(offline(threshold).matchDetailed(probe, members));
        if (!(first instanceof FaceError) && (first.distance ?? 0) > 1e-9 && random() < 0.5) {
          const at = nextDouble(first.distance ?? 0, pick(random, 0n, 0n, 1n, -1n));
          threshold = { ...threshold, [first.model]: Math.min(2, at) };
        }
      }
      const local = await orError(offline(threshold).matchDetailed(probe, members));
      const url = services.get(order)?.url;
      const online = new FaceClient({ ...common, threshold, url, apiKey: KEY });
      const list = random() < 0.3 ? await online.prepare(members, { model: models }) : members;
      const byService = await orError(online.matchDetailed(probe, list, { explain: true }));
      assert.deepEqual(summary(byService), summary(local), `case ${i}, ${order}`);

      const asked = { ...json, threshold, template, enrolled: rows.map((row) => row.json) };
      const answer = await ask(order, asked, '&skip_invalid=true');
      if (local instanceof FaceError) {
        assert.deepEqual([answer['code'], answer['field']], [local.code, local.body['field']], `case ${i}, ${order}`);
        count('foreign');
        return;
      }
      const { match, distance, skippedCount, model } = local;
      const regNo = typeof match?.regNo === 'bigint' ? Number(match.regNo) : match?.regNo;
      assert.deepEqual([answer['regNo'], answer['distance']], [regNo, distance], `case ${i}, ${order}`);
      if (distance !== null) assert.equal(answer['model'], model);
      assert.equal(answer['skipped_count'] ?? 0, skippedCount, `case ${i}, ${order}`);
      const { skipped } = await (await offline().prepare(members)).list(models);
      const fields = ((answer['skipped'] ?? []) as Row[]).map(({ index, field, code }) => ({ index, field, code }));
      assert.deepEqual(
        fields,
        skipped.map(({ index, field, code }) => ({ index, field, code })),
      );
      count(match ? 'match' : 'none');
      if (distance !== null) count(`${order}: ${model}`);
      if (typeof threshold === 'object' && distance === threshold[model]) count('onTheThreshold');
      if (skippedCount > 0) count('skipped');
    };
    for (let i = 0; i < CASES; i += BATCH) await Promise.all(Array.from({ length: BATCH }, (_, j) => one(i + j)));
    // The cases are of all kinds.
    for (const [kind, times] of Object.entries(seen)) assert.ok(times > CASES / 100, `${kind}: ${times}`);
    assert.ok(Object.keys(seen).length > 14, JSON.stringify(seen));
  },
);

test('both give the answer of every contract vector', async () => {
  for (const { name, request = {}, status, response, decision_models: order = 'dlib' } of contractVectors(
    'match-several-models.json',
  )) {
    if (status !== 200) continue;
    const { probe, members, ...options } = severalQuestion(request);
    const url = services.get(order)?.url;
    const online = new FaceClient({ ...options, url, apiKey: KEY, decisionModels: order, timeoutMs: 20_000, logger });
    const answer = await online.matchDetailed(probe, members, { explain: true });
    assert.equal(answer.source, 'service', answer.detail ?? '');
    assert.equal(answer.match?.regNo, response['regNo'], name);
    if ('distance' in response) assert.equal(answer.distance, response['distance'], name);
  }
});
