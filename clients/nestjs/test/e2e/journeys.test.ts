import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { DLIB, type FaceException, type FaceModuleOptions, type Member } from '../../src';
import { randomDescriptor, seeded, serve, until } from '../../../client/test/support/helpers';
import { Face128, fixture, KEY } from '../../../client/test/support/face128';
import { type Application, start } from './application';
import { captureLog } from './nest-log';

const OBAMA = { regNo: 1029, name: 'Barack Obama' };
const BIDEN = { regNo: '0042', name: 'Joe Biden' };
const HERE = fixture('photos/obama-2012.jpg');
const TWO = fixture('photos/collins-1999.png');
const STRANGER = fixture('photos/hopper-1984.jpg');

const log = captureLog();
let service: Face128;
let members: Member[];
/** Descriptors of the two probes, as a browser would send them. */
let here: number[];
let stranger: number[];
let application: Application | undefined;

before(async () => {
  service = await Face128.start();
  const { faces } = await begin([]);
  const describe = async (photo: string): Promise<Float32Array> =>
    (await faces.encodeImage(fixture(`photos/${photo}`))).descriptor;
  const random = seeded(3);
  const crowd = Array.from({ length: 498 }, (_, i) => ({
    regNo: i,
    name: `Member ${i}`,
    descriptor: randomDescriptor(random),
  }));
  members = [
    ...crowd,
    { ...BIDEN, descriptors: { [DLIB]: await describe('biden-2010.jpg') } },
    { ...OBAMA, descriptors: { [DLIB]: await describe('obama-2010.jpg') } },
  ];
  here = Array.from(await describe('obama-2012.jpg'));
  stranger = Array.from(await describe('hopper-1984.jpg'));
  await end();
});
after(() => service.kill());

const begin = async (enrolled: Member[], options: FaceModuleOptions = {}): Promise<Application> => {
  application = await start(enrolled, {
    url: service.url,
    apiKey: KEY,
    timeoutMs: 5000,
    retryAfterMs: 200,
    ...options,
  });
  log.length = 0;
  return application;
};
const end = async (): Promise<void> => {
  await application?.close();
  application = undefined;
};
afterEach(end);

const answers = async (application: Application, seen: object, expected: object): Promise<void> => {
  assert.deepEqual(await application.find(seen), { status: 200, body: expected });
};
/** No failure of the service was logged. */
const assertNoFailure = (): void => {
  assert.deepEqual(
    log.filter((line) => line.startsWith('warn')),
    [],
  );
};
const state = async (application: Application): Promise<string | undefined> =>
  (await application.faces.health()).breakers?.match;

test('a member among 500 is found and a stranger is not, by descriptor and by photo', async () => {
  const app = await begin(members, { mode: 'service' });
  await answers(app, { descriptor: here }, OBAMA);
  await answers(app, { descriptor: stranger }, { match: false });
  await answers(app, { photo: HERE.toString('base64') }, OBAMA);
  await answers(app, { photo: STRANGER.toString('base64') }, { match: false });
  assert.equal(app.faces.shadowReport().compared, 0);
  assertNoFailure();
  assert.equal((await app.faces.health()).service, 'up');
});

test('a wrong key is an error of the application: no fallback, and status 500', async () => {
  const app = await begin(members, { apiKey: 'wrong' });
  const { status, body } = await app.find({ descriptor: here });
  assert.deepEqual([status, body['code']], [500, 'unauthorized']);
  assert.ok(log.some((line) => line.startsWith('warn: The face service refuses the API key')));
  assert.equal(await state(app), 'closed');
});

test('two faces, an invalid photo and an invalid descriptor are errors of the request, with the codes of the service', async () => {
  const app = await begin(members);
  const refused = async (seen: object): Promise<unknown[]> => {
    const { status, body } = await app.find(seen);
    return [status, body['code']];
  };
  assert.deepEqual(await refused({ photo: Buffer.from('no image').toString('base64') }), [415, 'unsupported_format']);
  assert.deepEqual(await refused({ photo: TWO.toString('base64'), descriptor: here }), [422, 'multiple_faces']);
  assert.deepEqual(await refused({ photo: '' }), [400, 'bad_image']);
  assert.deepEqual(await refused({ descriptor: here.slice(1) }), [422, 'invalid_descriptor']);
  assertNoFailure();
});

test('killed, members are still found; started again, the service is used again', async () => {
  const app = await begin(members);
  await answers(app, { descriptor: here }, OBAMA);
  await service.kill();
  for (let i = 0; i < 5; i++) {
    await answers(app, { descriptor: here }, OBAMA);
    await answers(app, { descriptor: stranger }, { match: false });
  }
  assert.notEqual(await state(app), 'closed');
  await answers(app, { photo: HERE.toString('base64'), descriptor: here }, OBAMA);
  assert.equal((await app.find({ photo: HERE.toString('base64') })).status, 503);
  await service.restart();
  await until(async () => {
    await answers(app, { descriptor: here }, OBAMA);
    return (await state(app)) === 'closed';
  });
  await answers(app, { photo: HERE.toString('base64') }, OBAMA);
  assert.deepEqual(
    log.filter((line) => line.includes('at /match')).map((line) => line.split(':')[0]),
    ['warn', 'log'],
  );
});

test(
  'frozen, callers wait at most for the timeout, and after three failures not at all',
  { timeout: 30_000 },
  async () => {
    const app = await begin(members, { timeoutMs: 300, retryAfterMs: 60_000 });
    service.freeze();
    try {
      // A timeout while this machine is busy says nothing about the service, and does not count.
      let calls = 0;
      do await answers(app, { descriptor: here }, OBAMA);
      while (++calls < 20 && !log.some((line) => line.startsWith('warn: The face service fails')));
      assert.ok(calls >= 3 && calls < 20, `${calls} calls`);
      assert.equal(await state(app), 'open');
      // If these waited, they would take a minute together, more than the test's limit.
      for (let i = 0; i < 200; i++) await answers(app, { descriptor: here }, OBAMA);
      assert.deepEqual(
        log.filter((line) => line.startsWith('warn: The face service fails')),
        ['warn: The face service fails at /match: no answer within 300 ms. Matching locally.'],
      );
    } finally {
      service.thaw();
    }
  },
);

test('garbage from another server on that port never becomes an answer', async () => {
  const garbage = [
    '',
    '<html>',
    '{}',
    '[]',
    'null',
    '{"regNo":666,"name":"Eve"}',
    `{"regNo":1029,"name":"Eve"}`,
    '{"match":true}',
  ];
  let turn = 0;
  const impostor = await serve((request, response) => {
    request.resume().on('end', () => response.end(garbage[turn++ % garbage.length]));
  });
  const app = await begin(members, { url: impostor.url, retryAfterMs: 1 });
  for (let i = 0; i < 40; i++) await answers(app, { descriptor: here }, OBAMA);
  assert.ok(turn > 20, 'the garbage was read');
  await impostor.close();
});

test('a member of the gallery is verified, and who is not enrolled is 404 and no error of this application', async () => {
  const { faces } = await begin([], { imageTimeoutMs: 60_000 });
  await faces.enrol(OBAMA, [fixture('photos/obama-2010.jpg')]);
  for (const probe of [HERE, { image: HERE }, { descriptor: here, model: DLIB }]) {
    const { verified, userId, name, source } = await faces.verifyMember(OBAMA.regNo, probe);
    assert.deepEqual([verified, userId, name, source], [true, '1029', OBAMA.name, 'service']);
  }
  assert.equal((await faces.verifyMember(OBAMA.regNo, STRANGER)).verified, false);
  await assert.rejects(faces.verifyMember('nobody', HERE), (error: FaceException) => {
    return error.code === 'not_found' && error.getStatus() === 404;
  });
  await assert.rejects(faces.verifyMember(OBAMA.regNo, TWO), { code: 'multiple_faces' });
  await faces.remove(OBAMA.regNo);
  await end();
  const elsewhere = await begin([], { url: `${service.url}/elsewhere` });
  await assert.rejects(elsewhere.faces.verifyMember(OBAMA.regNo, HERE), (error: FaceException) => {
    return error.code === 'not_found' && error.getStatus() === 500;
  });
});
