import { fromBase64, toBase64 } from './base64.js';
import { type FaceError, invalid } from './errors.js';
import { LOCAL_DIMENSION } from './models.js';

/**
 * A descriptor in any form that a browser or a database may hold: typed array, list of numbers, the object that
 * `JSON.stringify(Float32Array)` makes, JSON text of one of these, or base64 of little-endian float32.
 */
export type Descriptor = Float32Array | Float64Array | readonly number[] | Readonly<Record<string, number>> | string;

/** Any form of a descriptor, or a database's BLOB of little-endian float32: a Buffer, Uint8Array or ArrayBuffer. */
export type StoredDescriptor = Descriptor | Uint8Array | ArrayBuffer;

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
  const vector = newVector(numbers.length);
  for (let i = 0; i < vector.length; i++) {
    const number = numbers[i];
    if (typeof number !== 'number' || !Number.isFinite(number)) throw refusal();
    vector[i] = number;
  }
  return vector;
}

const CHUNK_VECTORS = 64;
let chunk = new Float64Array(0);
let used = 0;

/** Cut from a larger array: thousands of small buffers take longer to allocate than to fill. */
function newVector(length: number): Float64Array {
  if (used + length > chunk.length) {
    chunk = new Float64Array(CHUNK_VECTORS * length);
    used = 0;
  }
  used += length;
  return chunk.subarray(used - length, used);
}

/** Whether a member's descriptor is one that says "not enrolled yet", as databases store it: null, or empty. */
export function isAbsent(value: unknown): boolean {
  if (value == null || value === '') return true;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  return value instanceof ArrayBuffer && value.byteLength === 0;
}

/** One of several descriptors, and its place among them. */
export interface Placed {
  readonly place: number;
  readonly vector: Float64Array;
}

/**
 * The descriptors in a value that is one, or a list of them, which may be JSON text; empty places are left out.
 *
 * Throws `invalid_descriptor`, as `parseDescriptor`.
 */
export function parseDescriptors(
  value: unknown,
  dimension: number | undefined,
  field: string,
  context: object = {},
): Placed[] {
  const given = parsedText(value, field, context);
  if (isAbsent(given)) return [];
  if (!isListOfDescriptors(given)) return [{ place: 0, vector: parseDescriptor(given, dimension, field, context) }];
  return given.flatMap((each: unknown, place) =>
    isAbsent(each) ? [] : [{ place, vector: parseDescriptor(each, dimension, `${field}[${place}]`, context) }],
  );
}

/** The value of JSON text, or what is no JSON text as it is. Throws `invalid_descriptor`. */
export function parsedText(value: unknown, field: string, context: object = {}): unknown {
  if (typeof value !== 'string' || !isJsonText(value)) return value;
  const parsed = parseJson(value);
  if (parsed === undefined) throw invalid('invalid_descriptor', 'A text is JSON or base64.', { field, ...context });
  return parsed;
}

/** Not a list of the numbers of one. */
function isListOfDescriptors(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 0 && typeof value[0] !== 'number' && typeof value[0] !== 'boolean';
}

/** Used again for each descriptor, for the same reason. */
let float32 = new Float32Array(LOCAL_DIMENSION);
let listed: number[] = [];
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * The JSON text in which a descriptor is sent: base64 of float32 (a quarter of the bytes) if that is exact, else the
 * numbers. So the service has the same numbers as the local matcher, and both give the same distances bit for bit.
 */
export function wireText(vector: Float64Array): string {
  if (float32.length !== vector.length) float32 = new Float32Array(vector.length);
  float32.set(vector);
  const isExact = IS_LITTLE_ENDIAN && vector.every((number, i) => float32[i] === number);
  if (isExact) return `"${toBase64(new Uint8Array(float32.buffer))}"`;
  // One list for all, without holes, is a quarter faster than a new one for each; a list whose length was set has holes.
  if (listed.length !== vector.length) listed = Array.from(vector);
  for (let i = 0; i < vector.length; i++) listed[i] = vector[i] ?? 0;
  return JSON.stringify(listed);
}

type Numbers = Float32Array | Float64Array | readonly unknown[];

function numbersOf(value: unknown): Numbers | undefined {
  if (value instanceof Float32Array || value instanceof Float64Array || Array.isArray(value)) return value;
  if (value instanceof Uint8Array) return float32Of(value);
  if (value instanceof ArrayBuffer) return float32Of(new Uint8Array(value));
  if (typeof value === 'string') return isJsonText(value) ? numbersOf(parseJson(value)) : fromText(value);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const numbers = Array.from({ length: Object.keys(fields).length }, (_, i) => fields[i]);
  return numbers.includes(undefined) ? undefined : numbers;
}

/** Whether a text is JSON of a list or an object, and not base64. */
export function isJsonText(text: string): boolean {
  return /^\s*[[{]/.test(text);
}

/** The value of a JSON text; undefined if it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function fromText(text: string): Float32Array | undefined {
  const bytes = fromBase64(text);
  return bytes && float32Of(bytes);
}

function float32Of(bytes: Uint8Array): Float32Array | undefined {
  if (bytes.length % 4 !== 0) return undefined;
  const numbers = new Float32Array(bytes.length / 4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(4 * i, true);
  return numbers;
}
