import assert from 'node:assert/strict';
import { test } from 'node:test';

import { candidate, type Member } from '../src/members.js';
import { DLIB, FACE_API, RETAIL } from '../src/models.js';
import { memberText } from '../src/wire.js';
import { at } from './support/helpers.js';

const INSIGHT = 'insightface-buffalo-l';
/** A descriptor of the second network. */
const second = (x: number): number[] => [x, ...new Array<number>(255).fill(0)];

/** The model, the places and the first numbers of what is compared with a probe of both networks. */
function ofBoth(member: Partial<Member>): [string, number, number][] {
  const { ofModels } = candidate({ regNo: 1, ...member }, 0, [DLIB, RETAIL]);
  return ofModels.flatMap(({ model, photos }) =>
    photos.map(({ place, vector }): [string, number, number] => [model, place, vector[0] ?? NaN]),
  );
}

/** The model and the first number of each descriptor that is compared with a probe of the model. */
function chosen(member: Partial<Member>, model: string): [string, number[]] {
  const { ofModels } = candidate({ regNo: 1, ...member }, 0, [model], 128);
  const [first] = ofModels;
  return [first?.model ?? model, first?.photos.map(({ vector }) => vector[0] ?? NaN) ?? []];
}

test("the descriptor of the probe's model is taken, else face-api.js's, else dlib's", () => {
  const both = { descriptor: at(0.1), descriptors: { [DLIB]: at(0.2) } };
  assert.deepEqual(chosen(both, DLIB), [DLIB, [0.2]]);
  assert.deepEqual(chosen(both, FACE_API), [FACE_API, [0.1]]);
  assert.deepEqual(chosen({ descriptor: at(0.1), descriptors: { [DLIB]: null } }, DLIB), [FACE_API, [0.1]]);
  assert.deepEqual(chosen({ descriptors: { [FACE_API]: at(0.3) } }, DLIB), [FACE_API, [0.3]]);
  assert.deepEqual(chosen({ descriptors: { [DLIB]: at(0.2) } }, FACE_API), [DLIB, [0.2]]);
});

test('a model that is not comparable with others uses its own descriptors only', () => {
  const member = { descriptor: at(0.1), descriptors: { [DLIB]: at(0.2) } };
  assert.deepEqual(chosen(member, INSIGHT), [INSIGHT, []]);
  assert.deepEqual(chosen({ ...member, descriptors: { [INSIGHT]: at(0.4) } }, INSIGHT), [INSIGHT, [0.4]]);
});

test("a list of descriptors is face-api.js's, each of them a row", () => {
  const member = { descriptor: at(0.1), descriptors: [at(0.2), at(0.3)] };
  assert.deepEqual(chosen(member, FACE_API), [FACE_API, [0.1, 0.2, 0.3]]);
});

test('a member without a descriptor has none, however the database says so', () => {
  for (const absent of [undefined, null, '', [], Buffer.alloc(0)]) {
    const member = { regNo: 1, descriptor: absent ?? null, descriptors: { [DLIB]: absent ?? null } };
    assert.deepEqual(chosen(member, DLIB), [DLIB, []]);
  }
  assert.equal(
    memberText(candidate({ regNo: 2 }, 0, [FACE_API]), FACE_API),
    '{"regNo":2,"name":null,"descriptor":null}',
  );
});

test('descriptors may be JSON text', () => {
  assert.deepEqual(chosen({ descriptors: JSON.stringify({ [DLIB]: at(0.2) }) }, DLIB), [DLIB, [0.2]]);
  assert.deepEqual(chosen({ descriptors: JSON.stringify([at(0.2), at(0.3)]) }, FACE_API), [FACE_API, [0.2, 0.3]]);
});

test('on the wire a member has a model if it is not that of the probe', () => {
  const models = [{ descriptor: at(0.5) }, { descriptors: { [DLIB]: at(0.5) } }].map((member) => {
    const text = memberText(candidate({ regNo: 1, ...member }, 0, [DLIB]), DLIB);
    return (JSON.parse(text) as { model?: string }).model;
  });
  assert.deepEqual(models, [FACE_API, undefined]);
});

test('on the wire a BigInt is a whole number of any size, and a text remains a text', () => {
  const text = (regNo: number | string | bigint): string =>
    memberText(candidate({ regNo, name: 'A "b"' }, 0, [DLIB]), DLIB);
  assert.match(text(9007199254740993n), /^\{"regNo":9007199254740993,"name":"A \\"b\\"",/);
  assert.match(text('0042'), /^\{"regNo":"0042",/);
});

test('an invalid member is named by the field that is wrong', () => {
  const fieldOf = (member: object): unknown => {
    try {
      candidate({ regNo: 'R-2', ...member }, 1, [DLIB]);
    } catch (error) {
      return (error as { body?: { field?: unknown } }).body?.field;
    }
    return undefined;
  };
  assert.equal(fieldOf({ descriptor: [1] }), 'enrolled[1].descriptor');
  assert.equal(fieldOf({ descriptors: [at(0), at(NaN)] }), 'enrolled[1].descriptors[1]');
  assert.equal(fieldOf({ descriptors: { [DLIB]: 'x' } }), `enrolled[1].descriptors.${DLIB}`);
  assert.equal(fieldOf({ regNo: NaN }), 'enrolled[1].regNo');
  assert.equal(fieldOf({ regNo: null }), 'enrolled[1].regNo');
  assert.equal(fieldOf({ name: 7 }), 'enrolled[1].name');
});

test('half an emoji at the end of a name is replaced, because JSON cannot encode it', () => {
  assert.equal(candidate({ regNo: 1, name: 'Zoë \ud83d' }, 0, [DLIB]).name, 'Zoë \ufffd');
});

test('descriptors of two models at one place of their lists are of one photo', () => {
  const both = { [DLIB]: [at(0.1), null, at(0.2)], [RETAIL]: ['', second(0.3), JSON.stringify(second(0.4))] };
  const expected = [
    [DLIB, 0, 0.1],
    [DLIB, 2, 0.2],
    [RETAIL, 1, 0.3],
    [RETAIL, 2, 0.4],
  ];
  assert.deepEqual(ofBoth({ descriptors: both }), expected);
  assert.deepEqual(ofBoth({ descriptors: JSON.stringify(both) }), expected);
  assert.deepEqual(ofBoth({ descriptors: { [DLIB]: at(0.1), [RETAIL]: second(0.3) } }), [
    [DLIB, 0, 0.1],
    [RETAIL, 0, 0.3],
  ]);
});

test("a descriptor beside other models' is of their first photo; beside those of its own model, that or another", () => {
  const others = { [RETAIL]: second(0.3) };
  const beside = (descriptors: object): [string, number, number][] =>
    ofBoth({ descriptor: at(0.1), model: DLIB, descriptors: { ...others, ...descriptors } });
  assert.deepEqual(beside({}), [
    [DLIB, 0, 0.1],
    [RETAIL, 0, 0.3],
  ]);
  assert.deepEqual(beside({ [DLIB]: [at(0.1), at(0.2)] }), [
    [DLIB, 0, 0.1],
    [DLIB, 1, 0.2],
    [RETAIL, 0, 0.3],
  ]);
  assert.deepEqual(beside({ [DLIB]: at(0.2) }), [
    [DLIB, -1, 0.1],
    [DLIB, 0, 0.2],
    [RETAIL, 0, 0.3],
  ]);
});

test('on the wire a member of two models has an object of them, and one of the own model alone is as ever', () => {
  const text = (member: Partial<Member>): unknown => {
    const { ofModels, ...others } = candidate({ regNo: 1, ...member }, 0, [DLIB, RETAIL]);
    const { regNo, name, ...fields } = JSON.parse(memberText({ ofModels, ...others }, DLIB)) as Record<string, unknown>;
    return [regNo, name, fields];
  };
  const [a, b] = [at(0.1), second(0.3)];
  assert.deepEqual(text({ descriptors: { [DLIB]: a } }), [1, null, { descriptor: a }]);
  assert.deepEqual(text({ descriptor: a }), [1, null, { descriptor: a, model: FACE_API }]);
  assert.deepEqual(text({ descriptors: { [RETAIL]: [null, b] } }), [1, null, { descriptors: { [RETAIL]: [null, b] } }]);
  // A list in which every place is empty says that the descriptor beside it is of no other photo.
  for (const own of [[null], [null, at(0.2)]]) {
    const member = { descriptor: a, model: DLIB, descriptors: { [DLIB]: own, [RETAIL]: b } };
    assert.deepEqual(text(member), [1, null, { descriptor: a, descriptors: { [DLIB]: own, [RETAIL]: b } }]);
  }
});
