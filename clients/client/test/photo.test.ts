import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { buffer } from 'node:stream/consumers';

import { FaceClient, type FaceApi, type Photo } from '../src/index.js';
import { memoryLog, serve } from './support/helpers.js';

const BYTES = Buffer.from([0xff, 0xd8, 0xff, 0, 250, 62, 63, 255, 128, 1]);
/** Part of a larger memory, as drivers of databases make them. */
const PART = Buffer.concat([Buffer.alloc(5), BYTES, Buffer.alloc(3)]).subarray(5, 5 + BYTES.length);
const ARRAY_BUFFER = Uint8Array.from(BYTES).buffer;
const BASE64 = BYTES.toString('base64');

const FORMS: Readonly<Record<string, Photo>> = {
  Buffer: PART,
  Uint8Array: new Uint8Array(PART.buffer, PART.byteOffset, PART.length),
  'shared memory': new Uint8Array(new SharedArrayBuffer(BYTES.length)).map((_, i) => BYTES[i] ?? 0),
  ArrayBuffer: ARRAY_BUFFER,
  Blob: new Blob([ARRAY_BUFFER]),
  File: new File([ARRAY_BUFFER], 'vicky.jpg', { type: 'image/jpeg' }),
  base64: BASE64,
  'URL-safe base64': BYTES.toString('base64url'),
  'data URL': `data:image/jpeg;base64,${BASE64}`,
};

/** The photos that arrived, all in one. */
let arrived: Buffer[] = [];
const server = serve((request, response) => {
  void buffer(request).then(async (body) => {
    const headers = { 'content-type': request.headers['content-type'] ?? '' };
    const form = await new Response(body, { headers }).formData();
    for (const value of form.values()) {
      if (typeof value !== 'string') arrived.push(Buffer.from(await value.arrayBuffer()));
    }
    const face = { descriptor: new Array(128).fill(0), model: 'dlib-resnet-v1' };
    const verified = { verified: true, user_id: '1', name: null, distance: 0.1, threshold: 0.38 };
    response.end(JSON.stringify({ match: false, faces_stored: 1, ...verified, ...face }));
  });
});
after(async () => (await server).close());

type Ask = (faces: FaceClient, photo: Photo, api: FaceApi) => Promise<unknown>;
const CALLS: Readonly<Record<string, Ask>> = {
  encodeImage: (faces, photo) => faces.encodeImage(photo),
  enrol: (faces, photo) => faces.enrol({ regNo: 1, name: 'Vicky T' }, [photo]),
  verify: (faces, photo) => faces.verify(1, { image: photo }),
  sync: (faces, photo) => faces.sync([{ regNo: 1, name: 'Vicky T', photos: [photo] }], { state: new Map() }),
  'api.encodeImage': (_, photo, api) => api.encodeImage(photo),
  'api.detect': (_, photo, api) => api.detect(photo),
  'api.verifyFace': (_, photo, api) => api.verifyFace(photo),
  'api.extractEmbedding': (_, photo, api) => api.extractEmbedding(photo),
  'api.compare': (_, photo, api) => api.compare(photo, photo),
  'api.createRecord': (_, photo, api) => api.createRecord({ photo, name: 'n' }),
  'api.matchRecords': (_, photo, api) => api.matchRecords(photo),
  'api.enrolFaces': (_, photo, api) => api.enrolFaces(1, { name: 'n', photos: [photo] }),
  'api.matchFace': (_, photo, api) => api.matchFace(photo),
  'api.verifyPerson': (_, photo, api) => api.verifyPerson(1, photo),
};

const client = async (): Promise<FaceClient> =>
  new FaceClient({ url: (await server).url, timeoutMs: 5000, logger: memoryLog().logger });

for (const [call, ask] of Object.entries(CALLS)) {
  test(`${call} takes a photo in every form`, async () => {
    const faces = await client();
    assert.ok(faces.api);
    for (const [form, photo] of Object.entries(FORMS)) {
      arrived = [];
      await ask(faces, photo, faces.api);
      const expected = call === 'api.compare' ? [BYTES, BYTES] : [BYTES];
      assert.deepEqual(arrived, expected, form);
    }
  });
}

test('a probe may be a photo in every form of bytes', async () => {
  const faces = await client();
  for (const photo of Object.values(FORMS).filter((form) => typeof form !== 'string')) {
    arrived = [];
    await faces.verify(1, photo);
    assert.deepEqual(arrived, [BYTES]);
  }
});

test('what is no photo is refused before it is sent, by its place among others', async () => {
  const faces = await client();
  const none = ['', 'data:image/jpeg;base64,', 'no base64!', Buffer.alloc(0), new ArrayBuffer(0), new Blob([]), 5, {}];
  arrived = [];
  for (const photo of [...none, null, [1, 2], new Date()] as Photo[]) {
    await assert.rejects(faces.encodeImage(photo), { code: 'bad_image', status: 400 });
    await assert.rejects(faces.enrol({ regNo: 1, name: 'n' }, [BYTES, photo]), (error: { body?: object }) => {
      const { code, index } = error.body as Record<string, unknown>;
      return code === 'bad_image' && index === 1;
    });
  }
  assert.deepEqual(arrived, []);
});
