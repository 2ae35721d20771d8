import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Descriptor, FaceError, FaceService, type Member } from '../src';
import { captureLog, contractVectors } from './support';

/** Vectors with a model in the body or in a member, which only requests over HTTP have. */
const OVER_HTTP_ONLY = new Set(['model that is not known', 'model that is a number', 'a member of another model']);

captureLog();

for (const { name, request, status, response } of contractVectors()) {
  if (request === undefined || OVER_HTTP_ONLY.has(name)) continue;
  test(`the local matcher decides as the contract says: ${name}`, async () => {
    const decided = await decide(request);
    if (status === 200) {
      const { regNo, name: memberName } = response;
      assert.deepEqual(decided, response['match'] === false ? null : { regNo, name: memberName });
    } else {
      assert.ok(decided instanceof FaceError);
      assert.deepEqual([decided.getStatus(), { ...decided.body, error: '' }], [status, { ...response, error: '' }]);
    }
  });
}

test('the contract has vectors of both kinds for the local matcher', () => {
  const decisions = contractVectors().filter(({ local }) => local);
  assert.ok(decisions.some(({ response }) => response['match'] === false));
  assert.ok(decisions.some(({ response }) => 'regNo' in response));
});

/** The local decision or its error. A threshold that is missing or null is the default. */
async function decide(request: Readonly<Record<string, unknown>>): Promise<unknown> {
  try {
    const threshold = (request['threshold'] ?? undefined) as number | undefined;
    const faces = new FaceService({ mode: 'local', threshold });
    return await faces.findMemberByFace(request['descriptor'] as Descriptor, request['enrolled'] as Member[]);
  } catch (error) {
    return error;
  }
}
