import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { FACE_ERROR_CODES, FaceClient } from '../src/index.js';
import { memoryLog, REPOSITORY, serve } from './support/helpers.js';

/** Endpoints that are no API: pages for people. */
const PAGES = new Set(['GET /docs', 'GET /']);

test('the client has every endpoint of the OpenAPI document, and no others', async () => {
  const server = await serve((request, response) => {
    request.resume().on('end', () => response.end('{}'));
  });
  const { api } = new FaceClient({ url: server.url, logger: memoryLog().logger });
  assert.ok(api);
  const photo = Buffer.from('photo');
  const descriptor = new Array<number>(128).fill(0);
  const digest = `sha256-${'0'.repeat(64)}`;
  await Promise.all([
    api.match({ descriptor }, { explain: true }),
    api.encodeImage(photo, { faces: 'largest', numJitters: 2, passes: 'mirror', quality: true }),
    api.detect(photo, { quality: true }),
    api.verifyFace(photo),
    api.extractEmbedding(photo),
    api.compare(photo, photo),
    api.compareFaces({ embedding_a: descriptor, embedding_b: descriptor }),
    api.batchExtract({ images: ['AAAA'] }),
    api.createRecord({ photo, name: 'n', metadata: { a: 1 } }, { force: true }),
    api.listRecords({ skip: 1, limit: 2 }),
    api.getRecord('{record_id}'),
    api.deleteRecord('{record_id}'),
    api.matchRecords(photo, { topK: 1, threshold: 0.5 }),
    api.rebuildIndex(),
    api.enrolFaces('{user_id}', { name: 'n', photos: [photo] }),
    api.eraseFaces('{user_id}'),
    api.listPeople({ after: '1', limit: 2, search: 'n' }),
    api.getPerson('{user_id}'),
    api.changePerson('{user_id}', { name: 'n', expiresAt: null }),
    api.mergePeople('{user_id}', 'other'),
    api.listCollections(),
    api.listDecisions({ limit: 2, verdict: 'yes', kind: 'search', userId: 7, since: new Date(0) }),
    api.listJobs(),
    api.reportJob('{job_id}', { state: 'running', stage: 'enrolling', total: 2, done: 1 }),
    api.matchFace(photo),
    api.verifyPerson('{user_id}', { descriptor }, { threshold: 0.4 }),
    api.putList(digest, '[]'),
    api.hasList(digest),
    api.deleteList(digest),
    api.health(),
    api.ready(),
    api.metrics(),
  ]);
  const asked = server.requests.map((request) =>
    decodeURIComponent(request.replace(/\?.*/, '')).replace(digest, '{digest}'),
  );
  await server.close();
  const documented = endpoints().filter((endpoint) => !PAGES.has(endpoint));
  assert.deepEqual(new Set(asked), new Set(documented));
});

test('the codes are those of the service', () => {
  const table = readFileSync(`${REPOSITORY}/docs/endpoints.md`, 'utf8').matchAll(/^\| `(\w+)` \| \d{3} \|/gm);
  const codes = Array.from(table, (row) => row[1] ?? '');
  assert.ok(codes.length > 20);
  assert.deepEqual(
    codes.filter((code) => !(FACE_ERROR_CODES as readonly string[]).includes(code)),
    [],
  );
});

/** "POST /match" for every operation of the generated types. */
function endpoints(): string[] {
  const [paths = ''] = readFileSync('src/openapi.ts', 'utf8').split('export type webhooks');
  return Array.from(paths.matchAll(/^ {4}"(.+)": \{$([^]*?)^ {4}\};$/gm)).flatMap(([, path = '', part = '']) =>
    Array.from(part.matchAll(/^ {8}(get|put|post|patch|delete|head): operations/gm), (method) => {
      return `${(method[1] ?? '').toUpperCase()} ${path}`;
    }),
  );
}
