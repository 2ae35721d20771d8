import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import type { DecisionModels, FaceModuleOptions } from '../../src';
import { Face128, KEY, PYTHON } from '../../../client/test/support/face128';
import { REPOSITORY } from '../../../client/test/support/helpers';
import { severalQuestion } from '../../../client/test/support/several-models';
import { type Application, start } from './application';
import { captureLog } from './nest-log';

type Row = Readonly<Record<string, unknown>>;

/** Random requests of people who were described by either network, by both, or by none, with the answers of loops. */
const MIXTURES = `
import json, sys
from model_mixtures import Mixtures
from several_models import answer
mixtures = Mixtures(2023)
bodies = [mixtures.body() for _ in range(100)]
print(json.dumps([[body, {order: answer(body, order) for order in sys.argv[1:]}] for body in bodies]))`;
const ORDERS: readonly DecisionModels[] = ['dlib', 'retail', 'dlib+retail'];

captureLog();
let service: Face128;
let mixtures: [Row, Record<DecisionModels, Row>][];
before(async () => {
  const environment = { ...process.env, PYTHONPATH: join(REPOSITORY, 'tests/support') };
  const output = execFileSync(PYTHON, ['-c', MIXTURES, ...ORDERS], { env: environment, maxBuffer: 2 ** 30 });
  mixtures = JSON.parse(output.toString()) as typeof mixtures;
  service = await Face128.start({ FACE128_ENGINES: 'fake', FACE128_DECISION_MODELS: 'dlib+retail' });
});
after(() => service.kill());

async function decidesEach(order: DecisionModels, options: FaceModuleOptions): Promise<void> {
  const seen = { member: 0, nobody: 0, refused: 0 };
  const applications = new Map<string, Application>();
  for (const [request, answers] of mixtures) {
    const { probe, members, threshold, template } = severalQuestion(request);
    const key = JSON.stringify([threshold, template]);
    const application =
      applications.get(key) ?? (await start([], { ...options, decisionModels: order, threshold, template }));
    applications.set(key, application);
    application.enrol(members);
    const { status, body } = await application.find(probe);
    const { code, regNo, name } = answers[order];
    if (code !== undefined) {
      assert.deepEqual([body['code'], status], [code, code === 'model_mismatch' ? 409 : 422]);
      seen.refused++;
    } else {
      assert.deepEqual([status, body], [200, regNo === undefined ? { match: false } : { regNo, name }]);
      seen[regNo === undefined ? 'nobody' : 'member']++;
    }
  }
  await Promise.all(Array.from(applications.values(), (application) => application.close()));
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > 0, `${kind}: ${JSON.stringify(seen)}`);
}

for (const order of ORDERS) {
  test(`in 100 mixed states of two networks an application alone decides as loops do: ${order}`, () =>
    decidesEach(order, { mode: 'local' }));
}

test('in 100 mixed states of two networks an application with a service decides as loops do', () =>
  decidesEach('dlib+retail', { url: service.url, apiKey: KEY, timeoutMs: 20_000 }));
