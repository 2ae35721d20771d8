/** Node's Buffer, where there is one: it is many times faster than btoa. */
interface NodeBuffer {
  from(text: string, encoding: 'base64'): Uint8Array;
  from(bytes: ArrayBufferLike, offset: number, length: number): { toString(encoding: 'base64'): string };
}
const nodeBuffer = (globalThis as { Buffer?: NodeBuffer }).Buffer;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

export function toBase64(bytes: Uint8Array): string {
  if (nodeBuffer) return nodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
  return btoa(String.fromCharCode(...bytes));
}

/** The bytes of base64; undefined for any other text. In the URL-safe alphabet the padding may be missing. */
export function fromBase64(text: string): Uint8Array | undefined {
  let standard = text.replaceAll('-', '+').replaceAll('_', '/');
  if (standard !== text) standard = standard.padEnd(Math.ceil(text.length / 4) * 4, '=');
  // Buffer ignores invalid characters; the service refuses them.
  if (standard.length % 4 !== 0 || !BASE64.test(standard)) return undefined;
  if (nodeBuffer) return nodeBuffer.from(standard, 'base64');
  return Uint8Array.from(atob(standard), (character) => character.charCodeAt(0));
}
