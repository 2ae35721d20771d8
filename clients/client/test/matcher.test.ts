import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decide, distance, type MatchAnswer } from '../src/matcher.js';
import { checkThresholds } from '../src/thresholds.js';
import { at, randomDescriptor, seeded } from './support/helpers.js';

const ZERO = new Float64Array(128);
interface Row {
  readonly regNo: number;
  readonly numbers: number[];
}
const row = (regNo: number, numbers: number[]): Row => ({ regNo, numbers });
const nearest = (probe: Float64Array, rows: readonly Row[], threshold: number, review = false): MatchAnswer =>
  decide(
    probe,
    {
      dimension: 128,
      vectors: Float64Array.from(rows.flatMap(({ numbers }) => numbers)),
      owners: Uint32Array.from(rows.keys()),
      members: rows.map(({ regNo }) => ({ regNo, name: null })),
    },
    threshold,
    review,
  );

test('the squares are added in index order', () => {
  // Each small square is lost when added to the 1; added up before it, they change the sum.
  assert.equal(distance(ZERO, Float64Array.from([1, ...new Array<number>(127).fill(2 ** -27)])), 1);
  assert.ok(distance(ZERO, Float64Array.from([...new Array<number>(127).fill(2 ** -27), 1])) > 1);
});

test('a distance equal to the threshold matches, the next double above does not', () => {
  const above = 0.38 + 2 ** -54;
  assert.ok(above > 0.38);
  assert.equal(nearest(ZERO, [row(1, at(0.38))], 0.38).match?.regNo, 1);
  assert.deepEqual(nearest(ZERO, [row(1, at(above))], 0.38), { match: null, distance: above });
});

test('of equal distances the first in the list wins, also where only the squares differ', () => {
  assert.equal(nearest(ZERO, [row(1, at(0.3)), row(2, at(-0.3))], 0.38).match?.regNo, 1);
  const [x, y] = [Float64Array.from([1, 2 ** -26, ...at(0).slice(2)]), Float64Array.from(at(1))];
  const squares = [x, y].map((v) => v.reduce((sum, value) => sum + value * value, 0));
  assert.ok((squares[0] ?? 0) > (squares[1] ?? 0));
  assert.equal(distance(ZERO, x), distance(ZERO, y));
  assert.equal(nearest(ZERO, [row(1, Array.from(x)), row(2, Array.from(y))], 1).match?.regNo, 1);
});

test('the nearest of many wins, at any place in the list', () => {
  const random = seeded(2);
  for (let i = 0; i < 100; i++) {
    const rows = Array.from({ length: 20 }, (_, regNo) => row(regNo, randomDescriptor(random)));
    const probe = Float64Array.from(randomDescriptor(random));
    const distances = rows.map(({ numbers }) => Math.hypot(...numbers.map((x, j) => x - (probe[j] ?? NaN))));
    const expected = distances.indexOf(Math.min(...distances));
    assert.equal(nearest(probe, rows, 2).match?.regNo, expected);
  }
});

test('an empty list, NaN and an infinite distance never match', () => {
  assert.deepEqual(nearest(ZERO, [], 2), { match: null, distance: null });
  assert.deepEqual(nearest(ZERO, [row(1, at(NaN)), row(2, at(1e200))], 2), { match: null, distance: null });
});

test('a threshold is above 0 and at most 2', () => {
  assert.deepEqual([5e-324, 0.38, 2].map(checkThresholds), [5e-324, 0.38, 2]);
  for (const wrong of [0, -1, 2.0000000000000004, NaN, '0.38', null, true]) {
    assert.throws(() => checkThresholds(wrong), { code: 'invalid_request' });
  }
});

test('with review, a match that another member nearly shares is no match, but worth another look', () => {
  const [first, second] = [row(1, at(0.3)), row(2, at(0.3 / 0.85))];
  const farther = row(2, at(0.36));
  const clear = { match: { regNo: 1, name: null }, distance: 0.3 };
  assert.deepEqual(nearest(ZERO, [first, second], 0.38), clear);
  assert.deepEqual(nearest(ZERO, [first, second], 0.38, true), { match: null, distance: 0.3, verdict: 'look_again' });
  assert.deepEqual(nearest(ZERO, [first, farther], 0.38, true), { ...clear, verdict: 'yes' });
  // Another photo of the same member is no other member.
  assert.deepEqual(nearest(ZERO, [first, row(1, at(0.31)), farther], 0.38, true), { ...clear, verdict: 'yes' });
  assert.deepEqual(nearest(ZERO, [first], 0.38, true), { ...clear, verdict: 'yes' });
  assert.deepEqual(nearest(ZERO, [row(1, at(0)), row(2, at(0))], 0.38, true).verdict, 'look_again');
  // Whether the service would look again at a face beyond the threshold is not known here.
  assert.deepEqual(nearest(ZERO, [first, second], 0.2, true), { match: null, distance: 0.3 });
});
