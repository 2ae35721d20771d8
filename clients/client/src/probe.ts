import { type Descriptor, parseDescriptor } from './descriptor.js';
import { FaceError } from './errors.js';
import { dimensionOf, FACE_API } from './models.js';

/**
 * A face to be recognised: face-api.js's descriptor, a photo's bytes, or an object that names its parts.
 *
 * `{ image, descriptor }` works with every model of the service: the service describes the photo, and face-api.js's
 * descriptor is matched locally if there is no service.
 */
export type Probe =
  | Descriptor
  | Uint8Array
  | { readonly descriptor: Descriptor; readonly model: string }
  | { readonly image: Uint8Array; readonly descriptor?: Descriptor | null };

/** A valid descriptor, and the model that made it. */
export interface DescribedFace {
  readonly vector: Float64Array;
  readonly model: string;
}

/** A photo, a described face, or both. */
export type ParsedProbe =
  | { readonly image: Uint8Array; readonly face: DescribedFace | undefined }
  | { readonly image: undefined; readonly face: DescribedFace };

/** Checks the probe. Throws `invalid_descriptor` and `bad_image`. */
export function parseProbe(probe: Probe): ParsedProbe {
  if (probe instanceof Uint8Array) return { image: checkImage(probe), face: undefined };
  const { image, descriptor, model } = parts(probe);
  if (image instanceof Uint8Array) {
    return { image: checkImage(image), face: descriptor == null ? undefined : describedFace(descriptor, FACE_API) };
  }
  if (typeof model === 'string') return { image: undefined, face: describedFace(descriptor, model) };
  return { image: undefined, face: describedFace(probe, FACE_API) };
}

function describedFace(descriptor: unknown, model: string): DescribedFace {
  return { vector: parseDescriptor(descriptor, dimensionOf(model), 'descriptor'), model };
}

/** Returns the image. Throws `bad_image` if it is empty. */
export function checkImage(image: Uint8Array): Uint8Array {
  if (image.length > 0) return image;
  throw new FaceError({ error: 'The image is empty.', code: 'bad_image' }, 400);
}

/** Probes may come from the network unchecked, so the types do not guarantee their values. */
function parts(probe: unknown): Readonly<Record<string, unknown>> {
  return typeof probe === 'object' && probe !== null ? (probe as Readonly<Record<string, unknown>>) : {};
}
