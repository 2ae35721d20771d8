import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { VERSION } from '../src/http.js';
import { FaceClient } from '../src/index.js';
import { memoryLog } from './support/helpers.js';

const { logger } = memoryLog();

test('an option that does not exist or is wrong is refused, and the sentence helps', () => {
  const wrong: [object, RegExp][] = [
    [{ timeoutMS: 5 }, /no option timeoutMS; did you mean timeoutMs\?/],
    [{ retries: 5 }, /no option retries/],
    [{ gallery: 'false' }, /gallery is true or false/],
    [{ timeoutMs: '5' }, /timeoutMs is a whole number/],
    [{ onInvalid: 'ignore' }, /onInvalid is "skip" or "throw"/],
    [{ apiKey: 7 }, /apiKey is a text/],
    [{ collection: 'site a' }, /collection has letters, digits/],
    [{ collection: '' }, /collection has letters, digits/],
    [{ fetch: 'node-fetch' }, /fetch is a function/],
    [{ mode: 'Local' }, /mode is "service" or "local" or "shadow"/],
  ];
  for (const [options, sentence] of wrong) {
    assert.throws(() => new FaceClient(options), { name: 'TypeError', message: sentence });
  }
  assert.throws(() => new FaceClient({ threshold: '0.38' as never }), { code: 'invalid_request' });
  assert.throws(() => new FaceClient({ template: 'median' as never }), { code: 'invalid_request' });
});

test("a call's options are checked as well", async () => {
  const faces = new FaceClient({ mode: 'local', logger });
  const probe = new Float32Array(128);
  for (const options of [{ timeoutMS: 5 }, { timeoutMs: 0 }, { requestId: 'a b' }, { Signal: undefined }]) {
    await assert.rejects(faces.findMemberByFace(probe, [], options), { name: 'TypeError' });
  }
});

test('the version in User-Agent is that of the package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  assert.equal(VERSION, version);
});
