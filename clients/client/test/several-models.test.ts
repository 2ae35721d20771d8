import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FaceClient, FaceError } from '../src/index.js';
import { contractVectors, memoryLog } from './support/helpers.js';
import { severalQuestion } from './support/several-models.js';

const ONLY_THE_SERVICE = [
  // The client does not read what it cannot compare: a member may have descriptors of any other model.
  'an unknown model on a member',
  // The probe is InsightFace's, for which there is no local rule.
  'the probe shares no model with anybody',
];

const vectors = contractVectors('match-several-models.json').filter(({ name }) => !ONLY_THE_SERVICE.includes(name));

for (const { name, request = {}, status, response, decision_models: decisionModels } of vectors) {
  test(`the local matcher decides as the contract says: ${name}`, async () => {
    const ask = async (): Promise<object> => {
      const { probe, members, ...options } = severalQuestion(request);
      const { logger } = memoryLog();
      const faces = new FaceClient({ ...options, decisionModels, mode: 'local', onInvalid: 'throw', logger });
      return faces.matchDetailed(probe, members);
    };
    if (status === 200) {
      const {
        match,
        distance,
        model,
        models = [model],
      } = (await ask()) as Awaited<ReturnType<FaceClient['matchDetailed']>>;
      const { regNo, name: memberName } = response;
      assert.deepEqual(match, response['match'] === false ? null : { regNo, name: memberName });
      if (!('distance' in response)) return;
      assert.deepEqual([distance, model, models], [response['distance'], response['model'], response['models']]);
    } else {
      await assert.rejects(ask(), (error) => {
        assert.ok(error instanceof FaceError, String(error));
        assert.deepEqual([error.status, { ...error.body, error: '' }], [status, { ...response, error: '' }]);
        return true;
      });
    }
  });
}
