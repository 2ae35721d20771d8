import { type Descriptor, distance, type Member } from '../../src/index.js';
import { randomDescriptor } from './helpers.js';

/** A question to both matchers. */
export interface Case {
  readonly probe: Descriptor;
  readonly enrolled: readonly Member[];
  readonly threshold: number;
  /** Several descriptors have the smallest distance. */
  readonly tie?: boolean;
}

type Random = () => number;

const pick = <T>(random: Random, ...choices: readonly [T, ...T[]]): T =>
  choices[Math.floor(random() * choices.length)] ?? choices[0];

const DOUBLE = new Float64Array(1);
const BITS = new BigInt64Array(DOUBLE.buffer);

/** The double that is `step` doubles above a positive one. */
function nextDouble(x: number, step: bigint): number {
  DOUBLE[0] = x;
  BITS[0] = (BITS[0] ?? 0n) + step;
  return DOUBLE[0];
}

/** A descriptor in a random form. Only float32 numbers are put into a Float32Array or base64, which would round others. */
function form(random: Random, numbers: number[]): Descriptor {
  if (!numbers.every((x) => Math.fround(x) === x)) return pick<Descriptor>(random, numbers, Object.assign({}, numbers));
  const single = Float32Array.from(numbers);
  const object = JSON.parse(JSON.stringify(single)) as Record<string, number>;
  return pick<Descriptor>(random, numbers, single, object, Buffer.from(single.buffer).toString('base64'));
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

/** A random question; in half of them the threshold is the smallest distance, or a double next to it. */
export function randomCase(random: Random): Case {
  const probe = randomDescriptor(random).map(pick(random, Math.fround, (x: number) => x));
  const vectors: (number[] | null)[] = [];
  for (let size = Math.floor(random() * 9); size > 0; size--) {
    vectors.push(
      descriptorOf(
        random,
        probe,
        vectors.filter((vector) => vector !== null),
      ),
    );
  }
  const distances = vectors.flatMap((v) => (v ? [distance(Float64Array.from(probe), Float64Array.from(v))] : []));
  const nearest = Math.min(...distances);
  const possible = nearest > 1e-9 && nearest < 1.9;
  const threshold = possible && random() < 0.5 ? nextDouble(nearest, pick(random, 0n, 0n, 1n, -1n)) : 0.38;
  const enrolled = vectors.map((vector, i): Member => {
    const regNo = pick<number | string>(random, i, `R-${i}`, 0, 1.5);
    const descriptor = vector && form(random, vector);
    return descriptor && random() < 0.2
      ? {
          regNo,
          name: `n${i}`,
          descriptors: [
            descriptor,
            form(
              random,
              probe.map((x) => x + 1),
            ),
          ],
        }
      : { regNo, name: `n${i}`, descriptor };
  });
  return { probe: form(random, probe), enrolled, threshold, tie: distances.filter((d) => d === nearest).length > 1 };
}

/** A row of a list that cannot be read, as a faulty import leaves it in a database. */
export function badRow(random: Random): Member {
  const descriptor = randomDescriptor(random);
  return pick<unknown>(
    random,
    { regNo: 1, name: 'short', descriptor: descriptor.slice(1) },
    { regNo: 'R-2', name: 'a gap', descriptor: descriptor.with(5, null as never) },
    { regNo: 3, name: 'cut off', descriptor: JSON.stringify(descriptor).slice(0, -9) },
    { regNo: 4, name: 'no base64', descriptor: 'no base64!' },
    { regNo: 5, name: 6, descriptor },
    { regNo: 7, name: 'second', descriptors: [descriptor, []] },
    { regNo: null, name: 'no id', descriptor },
    { name: 'no id', descriptor },
    null,
    [],
    'text',
  ) as Member;
}
