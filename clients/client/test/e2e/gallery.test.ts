import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { FaceClient, type GalleryMember } from '../../src/index.js';
import { Face128, fixture, KEY } from '../support/face128.js';
import { memoryLog } from '../support/helpers.js';

let service: Face128;
let faces: FaceClient;
before(async () => {
  service = await Face128.start();
  faces = new FaceClient({ url: service.url, apiKey: KEY, imageTimeoutMs: 60_000, logger: memoryLog().logger });
});
after(() => service.kill());

const person = (regNo: number | string, name: string, ...photos: string[]): GalleryMember => ({
  ...{ regNo, name, photos: photos.map((photo) => fixture(`photos/${photo}`)) },
});
const recognised = async (photo: string): Promise<unknown> =>
  (await faces.matchDetailed(fixture(`photos/${photo}`), undefined, { timeoutMs: 60_000 })).match;

test('the gallery follows the members: added, replaced, erased; ids keep their type', async () => {
  const state = new Map<string, string>();
  const obama = person(1029, 'Barack Obama', 'obama-2009.jpg', 'obama-2010.jpg');
  const first = await faces.sync(
    [obama, person('0042', 'Joe Biden', 'biden-2010.jpg'), person(7, 'Two', 'collins-1999.png')],
    { state },
  );
  assert.deepEqual([first.added, first.failed.map(({ regNo, code }) => [regNo, code])], [2, [[7, 'multiple_faces']]]);
  assert.deepEqual(await recognised('obama-2012.jpg'), { regNo: 1029, name: 'Barack Obama' });
  const second = await faces.sync([{ ...obama, name: 'Obama' }], { state });
  assert.deepEqual([second.added, second.replaced, second.erased], [0, 1, 1]);
  assert.deepEqual(await recognised('obama-2012.jpg'), { regNo: 1029, name: 'Obama' });
  assert.equal(await recognised('biden-2010.jpg'), null);
  assert.equal(await faces.remove(1029), 2);
  assert.equal(await faces.remove(1029), 0);
});

test('a member is verified one to one, by photo and by descriptor', async () => {
  await faces.enrol({ regNo: 1029, name: 'Barack Obama' }, [fixture('photos/obama-2010.jpg')]);
  const [here, other] = ['obama-2012.jpg', 'biden-2010.jpg'].map((photo) => fixture(`photos/${photo}`));
  assert.ok(here && other && faces.api);
  const { distance, requestId, ...rest } = await faces.verify(1029, here);
  const expected = {
    userId: '1029',
    name: 'Barack Obama',
    threshold: 0.38,
    model: 'dlib-resnet-v1',
    source: 'service',
  };
  assert.deepEqual(rest, { verified: true, ...expected });
  assert.ok(distance > 0 && requestId.length > 0);
  assert.equal((await faces.verify('1029', other)).verified, false);
  // The descriptor decides as its photo does, and the threshold is inclusive.
  const face = await faces.encodeImage(here);
  const probe = { ...face, image: here };
  for (const each of [face, probe, { image: here }]) {
    assert.equal((await faces.verify(1029, each, { threshold: distance })).verified, true);
    assert.equal((await faces.verify(1029, each, { threshold: distance - 1e-12 })).verified, false);
  }
  // The client's own threshold holds, for photos too.
  const strict = new FaceClient({ url: service.url, apiKey: KEY, threshold: 0.1, logger: memoryLog().logger });
  for (const each of [face, here]) {
    const { verified, threshold } = await strict.verify(1029, each, { timeoutMs: 60_000 });
    assert.deepEqual([verified, threshold], [false, 0.1]);
  }
  strict.close();
  assert.equal((await faces.api.verifyPerson(1029, here, { threshold: distance })).verified, true);
  await assert.rejects(faces.verify(7, here), { code: 'not_found', status: 404 });
  await assert.rejects(faces.verify(1029, fixture('photos/collins-1999.png')), { code: 'multiple_faces', status: 422 });
  await assert.rejects(faces.verify(1029, new Float32Array(3)), { code: 'invalid_descriptor' });
  await assert.rejects(faces.verify(1029, here, { timeoutMs: 1 }), { code: 'unavailable' });
  await assert.rejects(new FaceClient({ mode: 'local', logger: memoryLog().logger }).verify(1029, here), {
    code: 'unavailable',
  });
  assert.equal(await faces.remove(1029), 1);
});

test('what is agreed with a person goes in and out, and two people become one', async () => {
  const { api } = faces;
  assert.ok(api);
  const expiresAt = new Date('2099-01-31T00:00:00Z');
  await faces.enrol({ regNo: 44, name: 'Barack Obama', expiresAt, consent: 'form 44' }, [
    fixture('photos/obama-2010.jpg'),
  ]);
  const { expires_at, consent, photos } = await api.getPerson(44);
  assert.deepEqual([expires_at, consent, photos.length], ['2099-01-31T00:00:00Z', 'form 44', 1]);
  const changed = await api.changePerson(44, { name: 'Obama', expiresAt: null });
  assert.deepEqual([changed.name, changed.expires_at, changed.consent], ['Obama', undefined, 'form 44']);
  const state = new Map<string, string>();
  const biden = { ...person(45, 'Joe Biden', 'biden-2010.jpg'), consent: 'form 45' };
  const obama = { ...person(44, 'Obama', 'obama-2010.jpg'), version: 1 };
  assert.equal((await faces.sync([obama, biden], { state })).added, 2);
  assert.equal((await faces.sync([obama, { ...biden, consent: 'form 46' }], { state })).replaced, 1);
  const { people, next } = await api.listPeople({ search: 'biden' });
  assert.deepEqual([people.map((each) => [each.regNo, each.consent]), next], [[[45, 'form 46']], null]);
  assert.equal((await api.mergePeople(45, 44)).faces_moved, 1);
  assert.equal(await faces.remove(44), 2);
});

test('every endpoint answers as its types say', async () => {
  const { api } = faces;
  assert.ok(api);
  const photo = fixture('photos/obama-2012.jpg');
  assert.equal((await api.detect(photo)).detected, true);
  assert.equal((await api.verifyFace(photo)).face_detected, true);
  assert.equal((await api.extractEmbedding(photo)).embedding.length, 128);
  assert.equal((await api.compare(photo, photo)).same_person, true);
  assert.equal((await api.batchExtract({ images: [photo.toString('base64')] })).successful, 1);
  const { descriptor } = await api.encodeImage(photo, { faces: 'largest' });
  assert.equal((await api.compareFaces({ embedding_a: descriptor, embedding_b: descriptor })).distance, 0);
  const { record } = await api.createRecord({ photo, name: 'Barack Obama', metadata: { a: 1 } });
  assert.equal((await api.getRecord(record.id)).name, 'Barack Obama');
  assert.equal((await api.listRecords({ limit: 5 })).total_count, 1);
  assert.equal((await api.matchRecords(photo, { topK: 1 })).recognized, true);
  assert.equal((await api.deleteRecord(record.id)).success, true);
  await assert.rejects(api.getRecord(record.id), { code: 'not_found', status: 404 });
  assert.equal((await api.rebuildIndex()).success, true);
  assert.match(await api.metrics(), /^# HELP/m);
  assert.ok((await api.ready()).status);
  const prepared = await (await faces.prepare([{ regNo: 1, name: 'n', descriptor }])).list();
  const { body, digest = '' } = prepared;
  assert.equal(await api.hasList(digest), false);
  assert.equal((await api.putList(digest, body)).members, 1);
  assert.equal(await api.hasList(digest), true);
  assert.equal(await api.deleteList(digest), true);
  assert.equal(await api.hasList(digest), false);
});
