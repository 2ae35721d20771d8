import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { after, beforeEach, test } from 'node:test';

import { DLIB, FACE_API, FaceClient, type FaceOptions, RETAIL } from '../src/index.js';
import { at, memoryLog, serve } from './support/helpers.js';

const PHOTO = Buffer.from('not looked at');
const PAIR = `${DLIB}+${RETAIL}`;
const second = (x: number): number[] => [x, 1, ...new Array<number>(254).fill(0)];
const numbers = (vector: readonly number[]): string => Buffer.from(Float32Array.from(vector).buffer).toString('base64');

type Row = Readonly<Record<string, unknown>>;

/** What was asked, and the answers by path. */
let asked: { url: string; body: Row }[] = [];
let answers: Record<string, Row> = {};
const server = serve((request, response) => {
  void buffer(request).then((body) => {
    const url = request.url ?? '';
    const isJson = request.headers['content-type'] === 'application/json';
    asked.push({ url, body: isJson ? (JSON.parse(body.toString()) as Row) : {} });
    const answer = answers[url.replace(/\?.*/, '')];
    response.writeHead(answer ? 200 : 502).end(JSON.stringify(answer ?? {}));
  });
});
after(async () => (await server).close());
beforeEach(() => {
  asked = [];
  answers = {};
});

const client = async (options: FaceOptions = {}): Promise<FaceClient> =>
  new FaceClient({ url: (await server).url, timeoutMs: 5000, logger: memoryLog().logger, ...options });

const ENCODED = { descriptor: at(0.5), model: DLIB, companions: { [RETAIL]: second(1) } };
const MEMBERS = [
  { regNo: 1, descriptors: { [DLIB]: at(0.5), [RETAIL]: second(1) } },
  { regNo: 2, descriptor: at(0.5), model: DLIB },
  { regNo: 3, descriptors: { [RETAIL]: second(-1) } },
];

test('a photo is described by the other networks too if it is asked for', async () => {
  answers['/encode-image'] = ENCODED;
  const faces = await client();
  const { descriptor, companions } = await faces.encodeImage(PHOTO, { companions: true });
  assert.deepEqual(descriptor, Float32Array.from(at(0.5)));
  assert.deepEqual(companions, { [RETAIL]: Float32Array.from(second(1)) });
  await faces.api?.encodeImage(PHOTO, { companions: true });
  await faces.encodeImage(PHOTO);
  const encode = '/encode-image?companions=true';
  assert.deepEqual(
    asked.map(({ url }) => url),
    [encode, encode, '/encode-image'],
  );
  for (const wrong of [{ [RETAIL]: at(0) }, { [RETAIL]: null }, [], 'x', { [RETAIL]: second(NaN) }]) {
    answers['/encode-image'] = { ...ENCODED, companions: wrong };
    await assert.rejects(faces.encodeImage(PHOTO, { companions: true }), { code: 'unavailable' });
  }
});

test('where both networks decide, both describe the photo, and the question has the descriptors of both', async () => {
  answers['/encode-image'] = ENCODED;
  answers['/match'] = { regNo: 1, name: null, distance: 0.25, model: PAIR, models: [DLIB, RETAIL] };
  const faces = await client({ decisionModels: 'dlib+retail' });
  const { match, model, models, distance } = await faces.matchDetailed(PHOTO, MEMBERS, { explain: true });
  assert.deepEqual([match?.regNo, model, models, distance], [1, PAIR, [DLIB, RETAIL], 0.25]);
  assert.deepEqual(
    asked.map(({ url }) => url),
    ['/encode-image?companions=true', '/match?explain=true'],
  );
  assert.deepEqual(asked[1]?.body, {
    ...{ descriptor: numbers(at(0.5)), model: DLIB, descriptors: { [RETAIL]: numbers(second(1)) }, threshold: 0.38 },
    enrolled: [
      { regNo: 1, name: null, descriptors: { [DLIB]: numbers(at(0.5)), [RETAIL]: numbers(second(1)) } },
      { regNo: 2, name: null, descriptor: numbers(at(0.5)) },
      { regNo: 3, name: null, descriptors: { [RETAIL]: numbers(second(-1)) } },
    ],
  });
});

test('where dlib decides, one network describes the photo, and the question is as ever', async () => {
  answers['/encode-image'] = { descriptor: at(0.5), model: DLIB };
  answers['/match'] = { match: false };
  const faces = await client();
  const { model, models } = await faces.matchDetailed(PHOTO, MEMBERS);
  assert.deepEqual([model, models, asked[0]?.url], [DLIB, undefined, '/encode-image']);
  assert.deepEqual(asked[1]?.body, {
    ...{ descriptor: numbers(at(0.5)), model: DLIB, threshold: 0.38 },
    enrolled: [
      { regNo: 1, name: null, descriptor: numbers(at(0.5)) },
      { regNo: 2, name: null, descriptor: numbers(at(0.5)) },
      { regNo: 3, name: null, descriptor: null },
    ],
  });
});

test('a photo that both networks have described is matched locally where only /match fails', async () => {
  answers['/encode-image'] = ENCODED;
  const faces = await client({ decisionModels: 'dlib+retail' });
  const { match, source, model, models } = await faces.matchDetailed(PHOTO, MEMBERS);
  assert.deepEqual([match?.regNo, source, model, models], [1, 'local', PAIR, [DLIB, RETAIL]]);
});

test('what encodeImage gives is a probe, and what the services say of a member are their descriptors', async () => {
  answers['/encode-image'] = ENCODED;
  const face = await (await client()).encodeImage(PHOTO, { companions: true });
  const offline = await client({ mode: 'local', decisionModels: 'dlib+retail' });
  const member = { regNo: 7, descriptors: { [face.model]: face.descriptor, ...face.companions } };
  const { match, distance, model } = await offline.matchDetailed(face, [member]);
  assert.deepEqual([match?.regNo, distance, model], [7, 0, PAIR]);
});

test('each order decides by its own network, and by what there is for the members without it', async () => {
  const probe = { descriptors: { [DLIB]: at(0.5), [RETAIL]: second(1) }, model: DLIB };
  const decided = async (decisionModels: FaceOptions['decisionModels'], regNo: number): Promise<unknown[]> => {
    const faces = await client({ mode: 'local', decisionModels });
    const members = MEMBERS.filter((member) => member.regNo === regNo);
    const { match, model, models } = await faces.matchDetailed(probe, members);
    return [match?.regNo ?? null, model, models];
  };
  assert.deepEqual(await decided('dlib', 1), [1, DLIB, [DLIB]]);
  assert.deepEqual(await decided('retail', 1), [1, RETAIL, [RETAIL]]);
  assert.deepEqual(await decided('dlib+retail', 1), [1, PAIR, [DLIB, RETAIL]]);
  for (const order of ['dlib', 'retail', 'dlib+retail'] as const) {
    assert.deepEqual(await decided(order, 2), [2, DLIB, [DLIB]]);
    assert.deepEqual(await decided(order, 3), [null, RETAIL, [RETAIL]]);
  }
});

test("a list that shares no model with the probe is an error, and not nobody's face", async () => {
  answers['/match'] = { match: false };
  const probe = { descriptor: second(1), model: RETAIL };
  for (const faces of [await client({ mode: 'local' }), await client()]) {
    const expected = { code: 'model_mismatch', status: 409 };
    await assert.rejects(faces.findMemberByFace(probe, MEMBERS.slice(1, 2)), expected);
    assert.equal(await faces.findMemberByFace(probe, [{ regNo: 1, descriptor: null }]), null);
    // With a descriptor of the members' own model beside it, that is compared.
    const both = { descriptors: { [RETAIL]: second(1), [FACE_API]: at(0.5) } };
    assert.ok(await faces.matchDetailed(both, MEMBERS.slice(1, 2)));
  }
});

test('a threshold is for the models and pairs that it names, and a number for the networks of dlib', async () => {
  answers['/match'] = { match: false };
  const both = { descriptors: { [DLIB]: at(0), [RETAIL]: second(1) }, model: DLIB };
  const sent = async (threshold: FaceOptions['threshold'], probe: object = both): Promise<unknown> => {
    const faces = await client({ threshold, decisionModels: 'dlib+retail' });
    await faces.findMemberByFace(probe, []);
    return asked.at(-1)?.body['threshold'];
  };
  assert.equal(await sent(0.5), 0.5);
  assert.deepEqual(await sent({ [PAIR]: 0.6, [RETAIL]: 0.5 }), { [PAIR]: 0.6, [RETAIL]: 0.5 });
  assert.deepEqual(await sent({ [PAIR]: 0.6, [DLIB]: 0.4 }), { [PAIR]: 0.6, [DLIB]: 0.4 });
  // face-api.js's network is dlib's.
  assert.equal(await sent({ [PAIR]: 0.6, [DLIB]: 0.4 }, { descriptor: at(0) }), 0.4);
  assert.equal(await sent(0.5, { descriptors: { [RETAIL]: second(1) } }), undefined);
  assert.deepEqual(await sent(0.5, { descriptors: { [RETAIL]: second(1), [DLIB]: at(0) } }), { [DLIB]: 0.5 });
  for (const [wrong, field] of [
    [{}, 'threshold'],
    [{ 'retail-95': 0.5 }, 'threshold'],
    [{ [`${RETAIL}+${DLIB}`]: 0.5 }, 'threshold'],
    [{ [RETAIL]: 0 }, `threshold.${RETAIL}`],
  ] as const) {
    assert.throws(
      () => new FaceClient({ threshold: wrong }),
      (error: { body?: Row }) => error.body?.['field'] === field,
    );
  }
});

test('one member of the gallery is verified by the descriptors of both networks', async () => {
  answers['/verify/1'] = { verified: true, user_id: '1', name: null, distance: 0.5, threshold: 0.66, model: PAIR };
  const faces = await client({ threshold: { [DLIB]: 0.3 } });
  const probe = { descriptors: { [DLIB]: at(0), [RETAIL]: second(1) }, model: DLIB };
  const { verified, threshold, model } = await faces.verify(1, probe);
  assert.deepEqual([verified, threshold, model], [true, 0.66, PAIR]);
  assert.deepEqual(asked[0]?.body, {
    ...{ descriptor: numbers(at(0)), model: DLIB, descriptors: { [RETAIL]: numbers(second(1)) } },
  });
  const strict = await client({ threshold: { [PAIR]: 0.4 } });
  assert.deepEqual((await strict.verify(1, probe)).verified, false);
});
