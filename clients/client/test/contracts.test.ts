import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Descriptor, FaceClient, FaceError, type Member, type Template } from '../src/index.js';
import { contractVectors, memoryLog } from './support/helpers.js';

/** Vectors of what only requests over HTTP have: an unknown model in the body, a list by reference. */
const OVER_HTTP_ONLY = /^model that is|digest|a list that is not known/;

for (const { name, request, status, response } of contractVectors()) {
  if (request === undefined || OVER_HTTP_ONLY.test(name)) continue;
  test(`the local matcher decides as the contract says: ${name}`, async () => {
    const decided = await decide(request);
    if (status === 200) {
      const { regNo, name: memberName } = response;
      assert.deepEqual(decided, response['match'] === false ? null : { regNo, name: memberName });
    } else {
      assert.ok(decided instanceof FaceError);
      assert.deepEqual([decided.status, { ...decided.body, error: '' }], [status, { ...response, error: '' }]);
    }
  });
}

test('the contract has vectors of both kinds for the local matcher', () => {
  const decisions = contractVectors().filter(({ local }) => local);
  assert.ok(decisions.some(({ response }) => response['match'] === false));
  assert.ok(decisions.some(({ response }) => 'regNo' in response));
});

/** The local decision or its error. A threshold or template that is missing or null is the default. */
async function decide(request: Readonly<Record<string, unknown>>): Promise<unknown> {
  try {
    const threshold = (request['threshold'] ?? undefined) as number | undefined;
    const template = (request['template'] ?? undefined) as Template | undefined;
    const faces = new FaceClient({
      mode: 'local',
      threshold,
      template,
      onInvalid: 'throw',
      logger: memoryLog().logger,
    });
    return await faces.findMemberByFace(request['descriptor'] as Descriptor, request['enrolled'] as Member[]);
  } catch (error) {
    return error;
  }
}
