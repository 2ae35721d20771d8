import {
  type AnyMember,
  DLIB,
  distance,
  FACE_API,
  type Probe,
  type StoredDescriptor,
  type Template,
} from '../../src/index.js';
import { randomDescriptor } from './helpers.js';

/** A member as the row of a database, and as the JSON of a client that sends `/match` itself. */
export interface Row {
  readonly row: AnyMember;
  readonly json: unknown;
}

/** A question to both matchers. */
export interface Case {
  readonly probe: Probe;
  readonly model: string;
  readonly rows: readonly Row[];
  readonly threshold: number;
  readonly template: Template | undefined;
  /** Several descriptors have the smallest distance. */
  readonly tie?: boolean;
}

export type Random = () => number;

export const pick = <T>(random: Random, ...choices: readonly [T, ...T[]]): T =>
  choices[Math.floor(random() * choices.length)] ?? choices[0];

const DOUBLE = new Float64Array(1);
const BITS = new BigInt64Array(DOUBLE.buffer);

/** The double that is `step` doubles above a positive one. */
export function nextDouble(x: number, step: bigint): number {
  DOUBLE[0] = x;
  BITS[0] = (BITS[0] ?? 0n) + step;
  return DOUBLE[0];
}

export interface Form {
  readonly stored: StoredDescriptor;
  readonly json: unknown;
}

/** A descriptor in a random form. Only float32 numbers are put into forms that would round others. */
export function form(random: Random, numbers: readonly number[]): Form {
  const list = [...numbers];
  const double = Float64Array.from(numbers);
  const text = JSON.stringify(list);
  const exact: [Form, ...Form[]] = [
    { stored: list, json: list },
    { stored: Object.assign({}, list), json: double },
    { stored: double, json: list },
    { stored: ` ${text}`, json: text },
    { stored: JSON.stringify(double), json: JSON.stringify(double) },
  ];
  if (!numbers.every((x) => Math.fround(x) === x)) return pick(random, ...exact);
  const single = Float32Array.from(numbers);
  const bytes = Buffer.from(single.buffer);
  const base64 = bytes.toString('base64');
  const urlSafe = bytes.toString('base64url');
  const unaligned = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
  return pick<Form>(
    random,
    ...exact,
    { stored: single, json: single },
    { stored: base64, json: base64 },
    // Without padding it is valid only if it shows that its alphabet is the URL's.
    /[-_]/.test(urlSafe) ? { stored: urlSafe, json: urlSafe } : { stored: base64, json: base64 },
    { stored: bytes, json: base64 },
    { stored: single.buffer, json: base64 },
    { stored: new Uint8Array(unaligned.buffer, unaligned.byteOffset, unaligned.length), json: base64 },
  );
}

/** A random kind of member: near, far, exactly or nearly tied with another, extreme, not enrolled. */
function descriptorOf(random: Random, probe: readonly number[], others: readonly number[][]): number[] | null {
  const round = pick(random, Math.fround, (x: number) => x);
  const moved = (by: number): number[] => probe.map((x) => round(x + (random() - 0.5) * by));
  const other = others[Math.floor(random() * others.length)] ?? moved(0.1);
  switch (Math.floor(random() * 8)) {
    case 0:
      return null;
    case 1:
      return [...other];
    case 2:
      // The mirror image: the same distance, except for rounding.
      return probe.map((x, i) => 2 * x - (other[i] ?? 0));
    case 3: {
      // The same differences in another order: the sum may differ in the last bits.
      const differences = other.map((x, i) => x - (probe[i] ?? 0)).reverse();
      return probe.map((x, i) => x + (differences[i] ?? 0));
    }
    case 4:
      return pick(
        random,
        probe.map(() => 1e160),
        probe.map(() => -5e-324),
        probe.map(() => -0),
        [...probe],
        randomDescriptor(random),
      );
    default:
      // Distances around the threshold: 128 * by^2 / 12 = 0.38^2 at by = 0.116.
      return moved(0.05 + random() * 0.12);
  }
}

/** An id that no other row has, or one that several rows have. */
export function idOf(random: Random, i: number): { readonly regNo: number | string | bigint; readonly json: unknown } {
  const regNo = pick<number | string>(
    random,
    0,
    'R',
    i,
    -i - 1,
    i + 0.5,
    1e21 * (i + 1),
    `R-${i}`,
    `0${i}`,
    `${i} "ü\n🙂`,
  );
  const big = pick(random, 2n ** 62n, -(2n ** 62n), 10n ** 30n) + BigInt(i);
  return random() < 0.2 ? { regNo: big, json: rawNumber(big) } : { regNo, json: regNo };
}

/** A random member: with one descriptor, several, those of several models, or none, in all the ways to say so. */
function member(
  random: Random,
  i: number,
  vector: readonly number[] | null,
  far: readonly number[],
  model: string,
): Row {
  const { regNo, json: id } = idOf(random, i);
  const name = pick<string | null>(random, `n${i}`, `n${i} Zoë "🙂"\t`, null);
  const row = (fields: object, json: object): Row => ({
    row: { regNo, name, ...fields },
    json: { regNo: id, name, ...json },
  });
  const other = model === DLIB ? FACE_API : DLIB;
  if (!vector) {
    const absent = pick<object>(
      random,
      ...[{ descriptor: null }, {}, { descriptor: [] }, { descriptor: '' }, { descriptors: [] }, { descriptors: '' }],
    );
    return pick(random, row(absent, absent), row({ descriptor: Buffer.alloc(0) }, { descriptor: null }));
  }
  const near = form(random, vector);
  const away = form(random, far);
  const several = [near, away].sort(() => random() - 0.5);
  const list = { descriptors: several.map(({ json }) => json), model };
  return pick<Row>(
    random,
    row({ descriptor: near.stored, model }, { descriptor: near.json, model }),
    row({ descriptors: { [model]: near.stored, [other]: away.stored } }, { descriptor: near.json }),
    row({ descriptors: { [other]: near.stored, [model]: null } }, { descriptor: near.json, model: other }),
    row({ descriptors: several.map(({ stored }) => stored), model }, list),
    row({ descriptors: JSON.stringify([vector, far]), model }, { descriptors: JSON.stringify([vector, far]), model }),
    row({ descriptor: far, descriptors: [near.stored], model }, { descriptor: far, descriptors: [near.json], model }),
    // Of the probe's model without saying so.
    model === FACE_API
      ? row({ descriptor: near.stored }, { descriptor: near.json })
      : row({ descriptor: near.stored }, { descriptor: near.json, model: FACE_API }),
  );
}

/** A random question; in half of them the threshold is the smallest distance, or a double next to it. */
export function randomCase(random: Random): Case {
  const numbers = randomDescriptor(random).map(pick(random, Math.fround, (x: number) => x));
  const model = pick(random, FACE_API, FACE_API, DLIB);
  const far = numbers.map((x) => x + 1);
  const vectors: (number[] | null)[] = [];
  // A few lists are long: they are sent by reference, and searched in blocks.
  const size = Math.floor(random() * (random() < 0.02 ? 300 : 9));
  const given: number[][] = [];
  for (let i = 0; i < size; i++) {
    const vector = descriptorOf(random, numbers, given);
    vectors.push(vector);
    if (vector) given.push(vector);
  }
  const distances = given.map((vector) => distance(Float64Array.from(numbers), Float64Array.from(vector)));
  const nearest = Math.min(...distances);
  const possible = nearest > 1e-9 && nearest < 1.9;
  const threshold =
    possible && random() < 0.5 ? nextDouble(nearest, pick(random, 0n, 0n, 1n, -1n)) : pick(random, 0.38, 0.38, 0.1, 2);
  const rows = vectors.map((vector, i) => member(random, i, vector, far, model));
  const descriptor = form(random, numbers).stored;
  // A probe's bytes would be a photo.
  const described = descriptor instanceof Uint8Array || descriptor instanceof ArrayBuffer ? numbers : descriptor;
  const probe = model === FACE_API && random() < 0.5 ? described : { descriptor: described, model };
  const template = pick<Template | undefined>(random, undefined, undefined, 'nearest', 'mean');
  return { probe, model, rows, threshold, template, tie: distances.filter((d) => d === nearest).length > 1 };
}

/** A row of a list that cannot be read, as a faulty import leaves it in a database. */
export function badRow(random: Random): Row {
  const descriptor = randomDescriptor(random);
  const base64 = (numbers: number[]): string => Buffer.from(Float32Array.from(numbers).buffer).toString('base64');
  const bytes = Buffer.alloc(4 * 128 - 1);
  const notDescriptors = [
    ...[descriptor.slice(1), [...descriptor, 0], [0], [descriptor], descriptor.map((x) => [x])],
    ...[null, NaN, Infinity, 'x', '0.1', true, {}, undefined].map((x) => descriptor.with(5, x as never)),
    ...[Object.assign({}, descriptor.slice(1)), { a: 1 }, {}, Object.assign({ extra: 1 }, descriptor)],
    ...['no base64!', ' ', 'null', '"', '[', '{}', '[]', '[1', base64(descriptor).slice(1), `${base64(descriptor)}=`],
    ...[JSON.stringify(descriptor).slice(0, -9), JSON.stringify(descriptor.slice(1)), JSON.stringify([descriptor])],
    ...[base64(descriptor.slice(1)), base64(descriptor.with(9, NaN)), base64(descriptor.with(9, -Infinity))],
    ...[5, true, false, bytes, Buffer.alloc(4 * 128).fill(0xff)],
  ];
  const bad = pick<unknown>(random, notDescriptors[0], ...notDescriptors);
  const regNo = pick<number | string>(random, 3, 'R-2', -1.5);
  const row = pick<unknown>(
    random,
    ...([
      ...[
        { regNo, descriptor: bad },
        { regNo, name: null, descriptor: bad },
        { regNo, name: 'x', descriptor: bad },
      ],
      ...[
        { regNo, descriptors: [bad] },
        { regNo, name: 'y', descriptor, descriptors: [descriptor, bad] },
      ],
      ...[
        { regNo, descriptors: [null] },
        { regNo, descriptors: [descriptor, []] },
        { regNo, descriptors: [''] },
      ],
      ...[5, true, 'x', 'no JSON ['].map((descriptors) => ({ regNo, descriptor, descriptors })),
      ...[6, true, [], {}].map((name) => ({ regNo, name, descriptor })),
      ...[null, true, false, [], {}, [1], NaN, -Infinity, undefined].map((id) => ({
        regNo: id,
        name: 'id',
        descriptor,
      })),
      ...['x', 5, '', 'insightface-x-0123abcd'].map((model) => ({ regNo, name: 'model', descriptor, model })),
      ...[null, [], 'text', 5, true, [{}]],
    ] as [unknown, ...unknown[]]),
  );
  return { row: row as AnyMember, json: row };
}

const RAW_NUMBER = '\u0000number ';

/** A whole number that JSON.stringify cannot write; `jsonText` does. */
function rawNumber(value: bigint): string {
  return RAW_NUMBER + String(value);
}

/** The JSON text of a body with ids of any size. */
export function jsonText(body: object): string {
  return JSON.stringify(body).replaceAll(/"\\u0000number (-?\d+)"/g, '$1');
}
