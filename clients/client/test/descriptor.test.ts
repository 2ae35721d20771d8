import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseDescriptor, wireText } from '../src/descriptor.js';
import { FaceError } from '../src/errors.js';
import { randomDescriptor, seeded } from './support/helpers.js';

const float32 = Float32Array.from(randomDescriptor(seeded(1)));
const doubles = Array.from(float32);

test('every form of a descriptor gives the same numbers', () => {
  const base64 = Buffer.from(float32.buffer).toString('base64');
  const object: unknown = JSON.parse(JSON.stringify(float32));
  const bytes = Buffer.concat([Buffer.from('x'), Buffer.from(float32.buffer)]).subarray(1);
  const texts = [
    JSON.stringify(doubles),
    ` ${JSON.stringify(float32)}`,
    base64.replaceAll('+', '-').replaceAll('/', '_'),
    Buffer.from(float32.buffer).toString('base64url'),
  ];
  for (const form of [
    float32,
    Float64Array.from(float32),
    doubles,
    object,
    base64,
    bytes,
    new Uint8Array(bytes),
    ...texts,
  ]) {
    assert.deepEqual(Array.from(parseDescriptor(form, 128, 'descriptor')), doubles);
  }
});

test('anything but 128 finite numbers is refused, and the error names the field', () => {
  const hole = [...doubles];
  // eslint-disable-next-line @typescript-eslint/no-array-delete -- the test needs a list with a hole
  delete hole[5];
  const wrong: unknown[] = [
    null, undefined, 7, true, '', 'no base64!', [], {}, doubles.slice(1), [...doubles, 0], hole,
    doubles.with(3, NaN), doubles.with(3, -Infinity), [...doubles.slice(1), '1'], [...doubles.slice(1), true],
    [...doubles.slice(1), null], [...doubles.slice(1), [1]], Object.assign({}, doubles.slice(1), { 200: 1 }), Object.assign({}, doubles, { extra: 1 }),
    Buffer.from(float32.buffer).subarray(4), Buffer.from(float32.buffer).subarray(1), new Int8Array(128), '[0.1, 0.2', '{}', '[]', Buffer.from(float32.buffer).toString('base64').replace('=', ''),
    Buffer.from(Float32Array.from(doubles.with(0, NaN)).buffer).toString('base64'),
  ]; // prettier-ignore
  for (const value of wrong) {
    assert.throws(
      () => parseDescriptor(value, 128, 'enrolled[17].descriptor', { regNo: 1029 }),
      (error) =>
        error instanceof FaceError &&
        error.code === 'invalid_descriptor' &&
        error.status === 422 &&
        error.body['field'] === 'enrolled[17].descriptor' &&
        error.body['regNo'] === 1029,
      JSON.stringify(value),
    );
  }
});

test('a descriptor of float32 is sent as base64, any other as numbers, and both arrive bit for bit', () => {
  const withTenth = doubles.with(0, 0.1);
  assert.match(wireText(Float64Array.from(doubles)), /^"[^[]*"$/);
  assert.match(wireText(Float64Array.from(withTenth)), /^\[0\.1,/);
  for (const sent of [
    doubles,
    withTenth,
    doubles.with(0, 1e300),
    doubles.with(0, 5e-324),
    doubles.with(0, 2 ** -149),
  ]) {
    const arrived: unknown = JSON.parse(wireText(Float64Array.from(sent)));
    assert.deepEqual(Array.from(parseDescriptor(arrived, 128, 'descriptor')), sent);
  }
});
