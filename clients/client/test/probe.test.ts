import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DLIB, FACE_API, type Probe, RETAIL } from '../src/index.js';
import { parseProbe } from '../src/probe.js';
import { at } from './support/helpers.js';

const second = (x: number, y = 0): number[] => [x, y, ...new Array<number>(254).fill(0)];
const INSIGHT = 'insightface-buffalo_l-0123abcd';

/** The models of a probe, its own first, and the first numbers of their descriptors. */
function described(probe: Probe): [string, number][] {
  const { face } = parseProbe(probe);
  assert.ok(face);
  return [face, ...face.companions].map(({ model, vector }) => [model, vector[0] ?? NaN]);
}

test('a probe may have descriptors of several models, and its own comes first', () => {
  const both = { [RETAIL]: second(0.3), [DLIB]: at(0.1) };
  const expected = [
    [DLIB, 0.1],
    [RETAIL, 0.3],
  ];
  for (const probe of [
    { descriptors: both, model: DLIB },
    { descriptor: at(0.1), model: DLIB, descriptors: { [RETAIL]: second(0.3) } },
    // As encodeImage gives it.
    { descriptor: Float64Array.from(at(0.1)), model: DLIB, companions: { [RETAIL]: Float64Array.from(second(0.3)) } },
    { descriptor: null, descriptors: JSON.stringify(both), model: DLIB },
    { image: null, descriptor: at(0.1), descriptors: both, model: DLIB },
  ]) {
    assert.deepEqual(described(probe), expected);
  }
  assert.deepEqual(described({ descriptors: both }), [
    [RETAIL, 0.3],
    [DLIB, 0.1],
  ]);
  assert.deepEqual(described({ descriptor: at(0.5), descriptors: { [INSIGHT]: new Array<number>(512).fill(1) } }), [
    [FACE_API, 0.5],
    [INSIGHT, 1],
  ]);
  assert.deepEqual(described({ image: Buffer.from('photo'), ...{ descriptors: both } }).length, 2);
});

test("of dlib's and face-api.js's descriptors one is compared", () => {
  assert.deepEqual(described({ descriptor: at(0.1), descriptors: { [DLIB]: at(0.2), [RETAIL]: second(1) } }), [
    [FACE_API, 0.1],
    [RETAIL, 1],
  ]);
});

test('several descriptors of one model are averaged, those by cosines at length 1', () => {
  const several = { [DLIB]: [at(0.1), null, at(0.3)], [RETAIL]: [second(3), second(0, 5)] };
  assert.deepEqual(described({ descriptors: several, model: DLIB }), [
    [DLIB, 0.2],
    [RETAIL, 0.5],
  ]);
  assert.deepEqual(described({ descriptors: [at(0.1), at(0.3)] }), [[FACE_API, 0.2]]);
  // The descriptor beside them may be the first of them.
  const beside = (x: number): number | undefined =>
    described({ descriptor: at(x), model: DLIB, descriptors: { [DLIB]: [at(0.25), at(0.75)] } })[0]?.[1];
  assert.deepEqual([beside(0.25), beside(0.5)], [0.5, 0.5]);
  assert.equal(beside(1.25), 0.75);
  assert.deepEqual(described({ descriptors: { [RETAIL]: second(7) } }), [[RETAIL, 7]]);
});

test('a probe that is wrong is refused with the field that is wrong', () => {
  const refused = (probe: unknown): unknown[] => {
    try {
      parseProbe(probe as Probe);
    } catch (error) {
      const { code, field } = (error as { body: Record<string, unknown> }).body;
      return [code, field];
    }
    return [];
  };
  assert.deepEqual(refused({ descriptor: [1] }), ['invalid_descriptor', 'descriptor']);
  assert.deepEqual(refused({ descriptors: { [RETAIL]: [second(1), [1]] } }), [
    'invalid_descriptor',
    `descriptors.${RETAIL}[1]`,
  ]);
  assert.deepEqual(refused({ descriptor: at(0), companions: { [RETAIL]: at(0) } }), [
    'invalid_descriptor',
    `companions.${RETAIL}`,
  ]);
  for (const none of [{}, { [DLIB]: null }, [], '', '{}']) {
    assert.deepEqual(refused({ descriptors: none }), ['invalid_descriptor', 'descriptors'], JSON.stringify(none));
  }
  for (const wrong of [5, true, at(0).map(String), '[1', Object.assign({}, at(0))]) {
    assert.equal(refused({ descriptors: wrong })[0], 'invalid_descriptor', JSON.stringify(wrong));
  }
  assert.deepEqual(refused({ descriptors: { 'retail-95': second(1) } }), ['invalid_request', 'descriptors']);
  assert.deepEqual(refused({ image: '', descriptor: at(0) }), ['bad_image', undefined]);
});
