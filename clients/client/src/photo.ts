import { fromBase64 } from './base64.js';
import { FaceError } from './errors.js';

/**
 * A photo's file, as a database, an upload or a browser hands it out: a Buffer or Uint8Array (a BLOB column), an
 * ArrayBuffer, a Blob or File, or base64, also as a `data:` URL.
 */
export type Photo = Uint8Array | ArrayBuffer | Blob | string;

const DATA_URL = /^data:[^,]*;base64,/i;

/** The photo as a part of a form. Throws `bad_image`, with `context`, if it is empty or none. */
export function photoBlob(photo: Photo, context: object = {}): Blob {
  const blob = toBlob(photo);
  if (blob && blob.size > 0) return blob;
  const error = blob ? 'The image is empty.' : 'A photo is a Buffer, Uint8Array, ArrayBuffer or Blob, or base64.';
  throw new FaceError({ error, code: 'bad_image', ...context }, 400);
}

/** Several photos of a person; an error names the `index`, as the service does. */
export function photoBlobs(photos: readonly Photo[]): Blob[] {
  return photos.map((photo, index) => photoBlob(photo, { index }));
}

/** Whether this is a photo by its type; a text may also be a descriptor in base64. */
export function isBytes(value: unknown): value is Exclude<Photo, string> {
  return value instanceof Uint8Array || value instanceof ArrayBuffer || value instanceof Blob;
}

/** The types do not guarantee the value: it may come from the network. */
function toBlob(photo: unknown): Blob | undefined {
  if (photo instanceof Blob) return photo;
  // Copied for the types: a Uint8Array may be in shared memory, a part of a Blob may not.
  if (photo instanceof Uint8Array) return new Blob([Uint8Array.from(photo)]);
  if (photo instanceof ArrayBuffer) return new Blob([photo]);
  if (typeof photo !== 'string') return undefined;
  const bytes = fromBase64(photo.replace(DATA_URL, ''));
  return bytes && new Blob([Uint8Array.from(bytes)]);
}
