import assert from 'node:assert/strict';
import { test } from 'node:test';

import { candidates, type Member, rows, wireMembers } from '../src/members';
import { DLIB, FACE_API } from '../src/models';
import { at } from './support';

const INSIGHT = 'insightface-buffalo-l';

/** The model and the first number of each descriptor that is compared with a probe of the model. */
function chosen(member: Partial<Member>, model: string): [string, number[]] {
  const [candidate] = candidates([{ regNo: 1, ...member }], model, 128);
  assert.ok(candidate);
  return [candidate.model, candidate.vectors.map((vector) => vector[0] ?? NaN)];
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
  assert.equal(rows(candidates([{ regNo: 1, ...member }], FACE_API, 128)).length, 3);
});

test('a member without a descriptor is skipped, but stays in the list that is sent', () => {
  const members = [{ regNo: 1 }, { regNo: 2, descriptor: null }, { regNo: 3, descriptor: at(0.1) }];
  const known = candidates(members, FACE_API, 128);
  assert.deepEqual(
    rows(known).map(({ member }) => member.regNo),
    [3],
  );
  assert.deepEqual(wireMembers(known.slice(0, 2), FACE_API), [
    { regNo: 1, name: null, descriptor: null },
    { regNo: 2, name: null, descriptor: null },
  ]);
});

test('on the wire a member has a model if it is not that of the probe', () => {
  const known = candidates(
    [
      { regNo: 1, descriptor: at(0.5) },
      { regNo: 2, descriptors: { [DLIB]: at(0.5) } },
    ],
    DLIB,
    128,
  );
  const models = wireMembers(known, DLIB).map((member) => ('model' in member ? member.model : undefined));
  assert.deepEqual(models, [FACE_API, undefined]);
});

test('an invalid member is named by the field that is wrong', () => {
  const fieldOf = (member: object): unknown => {
    try {
      candidates(
        [
          { regNo: 1, descriptor: at(0) },
          { regNo: 'R-2', ...member },
        ],
        DLIB,
        128,
      );
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
  assert.equal(candidates([{ regNo: 1, name: 'Zoë \ud83d' }], DLIB, 128)[0]?.name, 'Zoë \ufffd');
});
