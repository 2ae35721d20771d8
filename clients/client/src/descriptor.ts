import { type FaceError, invalid } from './errors';

/**
 * A descriptor in any form that a database may hold: typed array, list of numbers, the object that
 * `JSON.stringify(Float32Array)` makes, or base64 of little-endian float32.
 */
export type Descriptor = Float32Array | Float64Array | readonly number[] | Readonly<Record<string, number>> | string;

/**
 * Any form of a descriptor as doubles, exactly.
 *
 * Throws `invalid_descriptor`, naming `field`, unless it is `dimension` finite numbers; without a dimension any count
 * is valid.
 */
export function parseDescriptor(
  value: unknown,
  dimension: number | undefined,
  field: string,
  context: object = {},
): Float64Array {
  const refusal = (): FaceError =>
    invalid('invalid_descriptor', `A descriptor is ${dimension ?? 'a list of'} finite numbers.`, { field, ...context });
  const numbers = numbersOf(value);
  if (!numbers?.length || (dimension !== undefined && numbers.length !== dimension)) throw refusal();
  const vector = new Float64Array(numbers.length);
  for (let i = 0; i < vector.length; i++) {
    const number = numbers[i];
    if (typeof number !== 'number' || !Number.isFinite(number)) throw refusal();
    vector[i] = number;
  }
  return vector;
}

/**
 * The form in which a descriptor is sent: base64 of float32 (a quarter of the bytes) if that is exact, else the numbers.
 * So the service has the same numbers as the local matcher, and both give the same distances bit for bit.
 */
export function wireForm(vector: Float64Array): string | number[] {
  const bytes = Buffer.allocUnsafe(4 * vector.length);
  const view = viewOf(bytes);
  for (let i = 0; i < vector.length; i++) {
    const number = vector[i] ?? NaN;
    if (Math.fround(number) !== number) return Array.from(vector);
    view.setFloat32(4 * i, number, true);
  }
  return bytes.toString('base64');
}

function numbersOf(value: unknown): Float32Array | Float64Array | readonly unknown[] | undefined {
  if (value instanceof Float32Array || value instanceof Float64Array || Array.isArray(value)) return value;
  if (typeof value === 'string') return fromBase64(value);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const numbers = Array.from({ length: Object.keys(fields).length }, (_, i) => fields[i]);
  return numbers.includes(undefined) ? undefined : numbers;
}

function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  // Buffer ignores invalid characters; the service refuses them.
  if (bytes.length % 4 !== 0 || bytes.toString('base64') !== text) return undefined;
  const numbers = new Float32Array(bytes.length / 4);
  const view = viewOf(bytes);
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(4 * i, true);
  return numbers;
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
