import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';

import { type Descriptor, FaceClient, type Member } from '../../src/index.js';
import { Face128, KEY } from '../support/face128.js';
import { type ContractVector, memoryLog, REPOSITORY } from '../support/helpers.js';

let service: Face128;
before(async () => {
  service = await Face128.start({ FACE128_REVIEW_ALPHA: '0.05' });
});
after(() => service.kill());

const file = resolve(REPOSITORY, 'fixtures/contracts/match-cohort.json');
const vectors = (JSON.parse(readFileSync(file, 'utf8')) as ContractVector[]).filter(({ request, response }) => {
  const decision = request?.['decision'] as Readonly<Record<string, unknown>> | undefined;
  return decision?.['rule'] === 'threshold' && 'verdict' in response;
});

test('the verdicts are those of the contract, from the service and, where it knows, from the local rule', async () => {
  const seen = new Set<unknown>();
  for (const { name, request, response } of vectors) {
    const threshold = (request?.['threshold'] ?? undefined) as number | undefined;
    const common = { threshold, review: true, timeoutMs: 20_000, logger: memoryLog().logger } as const;
    const online = new FaceClient({ ...common, url: service.url, apiKey: KEY });
    const offline = new FaceClient({ ...common, mode: 'local' });
    const [probe, members] = [request?.['descriptor'] as Descriptor, request?.['enrolled'] as Member[]];
    const { verdict, match, source } = await online.matchDetailed(probe, members, { explain: true });
    assert.deepEqual([verdict, source], [response['verdict'], 'service'], name);
    assert.equal((await online.matchDetailed(probe, members)).verdict, undefined);
    const local = await offline.matchDetailed(probe, members);
    assert.deepEqual(local.match, match, name);
    if (local.verdict) assert.equal(local.verdict, verdict, name);
    seen.add(verdict).add(`local ${local.verdict ?? 'unknown'}`);
  }
  assert.deepEqual(seen, new Set(['yes', 'look_again', 'no', 'local yes', 'local look_again', 'local unknown']));
});
