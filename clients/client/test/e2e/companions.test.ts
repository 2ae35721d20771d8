import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { DLIB, FaceClient, type FaceOptions, type Member } from '../../src/index.js';
import { Face128, fixture, KEY, PYTHON } from '../support/face128.js';
import { memoryLog, REPOSITORY } from '../support/helpers.js';

/** The second network is a small one that the service's tests write. */
const WRITE_MODEL =
  'import sys; from pathlib import Path; from retail_models import tiny_model; tiny_model(Path(sys.argv[1]))';

const folder = mkdtempSync(join(tmpdir(), 'face128-retail-'));
let service: Face128;
before(async () => {
  execFileSync(PYTHON, ['-c', WRITE_MODEL, folder], {
    env: { ...process.env, PYTHONPATH: join(REPOSITORY, 'tests/support') },
  });
  service = await Face128.start({
    FACE128_ENGINES: 'dlib,retail',
    FACE128_DECISION_MODELS: 'dlib+retail',
    FACE128_RETAIL_MODEL: folder,
  });
});
after(async () => {
  await service.kill();
  rmSync(folder, { recursive: true });
});

const client = (options: FaceOptions = {}): FaceClient =>
  new FaceClient({
    ...{ url: service.url, apiKey: KEY, decisionModels: 'dlib+retail', timeoutMs: 20_000, logger: memoryLog().logger },
    ...options,
  });

test('photos are described, matched and enrolled by both networks of a real service, and locally alike', async () => {
  const faces = client();
  const photos = ['obama-2010.jpg', 'biden-2010.jpg', 'hopper-1984.jpg'];
  const members: Member[] = [];
  let second = '';
  for (const [regNo, photo] of photos.entries()) {
    const {
      descriptor,
      model,
      companions = {},
    } = await faces.encodeImage(fixture(`photos/${photo}`), {
      companions: true,
    });
    [second = ''] = Object.keys(companions);
    assert.deepEqual([model, companions[second]?.length], [DLIB, 256]);
    members.push({ regNo, name: photo, descriptors: { [model]: descriptor, ...companions } });
  }
  const models = [DLIB, second];
  const probe = fixture('photos/obama-2012.jpg');
  const byService = await faces.matchDetailed(probe, members, { explain: true });
  assert.deepEqual([byService.source, byService.models, byService.model], ['service', models, models.join('+')]);
  const face = await faces.encodeImage(probe, { companions: true });
  const local = await client({ mode: 'local' }).matchDetailed(face, members);
  assert.deepEqual([local.match, local.distance, local.models], [byService.match, byService.distance, models]);

  await faces.enrol({ regNo: 1029, name: 'Barack Obama' }, [fixture('photos/obama-2010.jpg')]);
  const ofGallery = await faces.matchDetailed(probe, undefined, { explain: true });
  assert.deepEqual([ofGallery.models, ofGallery.source], [models, 'service']);
  assert.equal(ofGallery.distance, (await client({ mode: 'local' }).matchDetailed(face, members.slice(0, 1))).distance);
  const verified = await faces.verify(1029, face);
  assert.deepEqual([verified.model, verified.distance], [models.join('+'), ofGallery.distance]);
});
