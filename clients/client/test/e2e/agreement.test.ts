import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';

import { type Descriptor, FaceService, type Member, type ShadowComparison } from '../../src';
import { captureLog, contractVectors, seeded } from '../support';
import { type Case, randomCase } from './cases';
import { Face128, KEY } from './face128';

const CASES = 10_000;

captureLog();
let service: Face128;
before(async () => {
  service = await Face128.start();
});
after(() => service.kill());

/** Both answers to a question, with their distances. Throws what the local matcher throws. */
async function both({ probe, enrolled, threshold }: Case): Promise<ShadowComparison> {
  const faces = new FaceService({ url: service.url, apiKey: KEY, mode: 'shadow', threshold, timeoutMs: 20_000 });
  const compared = once(faces.events, 'shadow') as Promise<[ShadowComparison]>;
  await faces.findMemberByFace(probe, enrolled);
  return (await compared)[0];
}

test(`the local matcher and the service give the same answer and exactly the same distance in ${CASES} random cases`, async () => {
  const random = seeded(128);
  const seen = { match: 0, none: 0, onTheThreshold: 0, tie: 0, empty: 0 };
  for (let i = 0; i < CASES; i++) {
    const question = randomCase(random);
    const { local, service: remote } = await both(question);
    assert.deepEqual(remote, local, `case ${i}`);
    seen[local.match ? 'match' : 'none']++;
    if (local.distance === question.threshold) seen.onTheThreshold++;
    if (question.tie) seen.tie++;
    if (local.distance === null) seen.empty++;
  }
  // The cases are of all kinds.
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > CASES / 20, `${kind}: ${count}`);
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
    if (status === 200 || request === undefined || 'model' in request || name === 'a member of another model') continue;
    const response = await fetch(`${service.url}/match`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
      body: JSON.stringify(request),
    });
    const body = { ...((await response.json()) as object), error: '' };
    const threshold = request['threshold'] as number | undefined;
    const question = { probe: request['descriptor'] as Descriptor, enrolled: request['enrolled'] as Member[] };
    await assert.rejects(
      async () => both({ ...question, threshold: threshold ?? 0.38 }),
      (error: { body?: object; status?: number }) => {
        assert.deepEqual([error.status, { ...error.body, error: '' }], [response.status, body], name);
        return true;
      },
    );
  }
});
