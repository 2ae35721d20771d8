import { type Descriptor, isAbsent, parseDescriptor, parseDescriptors, parsedText } from './descriptor.js';
import { FaceError, invalid } from './errors.js';
import { dimensionOf, FACE_API, isDlib, isKnownModel, localModel } from './models.js';
import { isBytes, type Photo, photoBlob } from './photo.js';
import { areEqual, meanDescriptor } from './vectors.js';

/** Descriptors of one face by their models; several of one model are averaged. */
export type DescriptorsByModel = Readonly<Record<string, Descriptor | readonly (Descriptor | null)[] | null>>;

/**
 * A face to be recognised: face-api.js's descriptor, a photo's bytes, or an object that names its parts.
 *
 * `{ image, descriptor }` works with every model of the service: the service describes the photo, and face-api.js's
 * descriptor is matched locally if there is no service.
 */
export type Probe = Descriptor | Exclude<Photo, string> | ProbeParts;

export interface ProbeParts {
  /** The service describes it; the descriptors are for when it cannot. */
  readonly image?: Photo | null | undefined;
  /** Of `model`. */
  readonly descriptor?: Descriptor | null | undefined;
  /** face-api.js's if there is none. */
  readonly model?: string | null | undefined;
  /** Those of several models, or several of `model`. */
  readonly descriptors?: DescriptorsByModel | readonly (Descriptor | null)[] | string | null | undefined;
  /** Those of further models, as `encodeImage` gives them. */
  readonly companions?: DescriptorsByModel | null | undefined;
}

/** A valid descriptor, and the model that made it. */
export interface Described {
  readonly vector: Float64Array;
  readonly model: string;
}

/** A described face: its own model's descriptor, and those of further models. */
export interface DescribedFace extends Described {
  readonly companions: readonly Described[];
}

/** A photo, a described face, or both. */
export type ParsedProbe =
  | { readonly image: Blob; readonly face: DescribedFace | undefined }
  | { readonly image: undefined; readonly face: DescribedFace };

/** Checks the probe. Throws `invalid_descriptor`, `invalid_request` and `bad_image`. */
export function parseProbe(probe: Probe): ParsedProbe {
  if (isBytes(probe)) return { image: photoBlob(probe), face: undefined };
  const { image, descriptor, descriptors, model, companions } = parts(probe);
  const isFace = [descriptor, descriptors, companions].some((value) => value != null);
  if (image != null) {
    const face = isFace ? describedFace(descriptor, descriptors, companions, model) : undefined;
    return { image: photoBlob(image as Photo), face };
  }
  if (!isFace && model == null) return { image: undefined, face: describedFace(probe) };
  return { image: undefined, face: describedFace(descriptor, descriptors, companions, model) };
}

/** As the service reads its fields `descriptor`, `descriptors` and `model`. */
function describedFace(descriptor: unknown, several?: unknown, companions?: unknown, model?: unknown): DescribedFace {
  const named = typeof model === 'string' ? model : FACE_API;
  if (several == null && companions == null) {
    return { vector: parseDescriptor(descriptor, dimensionOf(named), 'descriptor'), model: named, companions: [] };
  }
  const photos = new Map<string, Float64Array[]>();
  if (!isAbsent(descriptor)) photos.set(named, [parseDescriptor(descriptor, dimensionOf(named), 'descriptor')]);
  const given = parsedText(several ?? {}, 'descriptors');
  if (Array.isArray(given)) add(photos, named, given, 'descriptors');
  else if (given !== '') addByModel(photos, given, 'descriptors');
  if (companions != null) addByModel(photos, companions, 'companions');
  return faceOf(photos, named);
}

function addByModel(photos: Map<string, Float64Array[]>, given: unknown, field: string): void {
  if (typeof given !== 'object' || given === null || ArrayBuffer.isView(given)) throw noDescriptors(field);
  for (const model of Object.keys(given)) {
    if (/^\d+$/.test(model)) throw noDescriptors(field);
    if (!isKnownModel(model)) throw invalid('invalid_request', `There is no model ${model}.`, { field });
  }
  for (const [model, value] of Object.entries(given)) add(photos, model, value, `${field}.${model}`);
}

function noDescriptors(field: string): FaceError {
  const sentence = 'The descriptors of a probe are a list of them, or an object with those of each model.';
  return invalid('invalid_descriptor', sentence, { field });
}

function add(photos: Map<string, Float64Array[]>, model: string, value: unknown, field: string): void {
  const known = photos.get(model) ?? [];
  const added = parseDescriptors(value, dimensionOf(model), field).map(({ vector }) => vector);
  // The descriptor beside an object may be the first that the object has.
  const [first] = known;
  const isSame = field !== 'descriptors' && first && added[0] && areEqual(first, added[0]);
  photos.set(model, [...known, ...(isSame ? added.slice(1) : added)]);
}

function faceOf(photos: ReadonlyMap<string, Float64Array[]>, named: string): DescribedFace {
  const described = Array.from(photos, ([model, vectors]) => ({ model, vectors })).filter(
    ({ vectors }) => vectors.length > 0,
  );
  described.sort((a, b) => Number(a.model !== named) - Number(b.model !== named));
  const [own, ...companions] = described.map(({ model, vectors }) => {
    // The models without a local rule are InsightFace's, which are compared by cosines.
    return { model, vector: meanDescriptor(vectors, localModel(model)?.metric ?? 'cosine') };
  });
  if (!own) throw invalid('invalid_descriptor', 'The probe has no descriptor.', { field: 'descriptors' });
  return withCompanions(own, companions);
}

/** Of dlib's and face-api.js's descriptors the first counts: who can be compared with one can be with the other. */
export function withCompanions(own: Described, companions: readonly Described[]): DescribedFace {
  const dlib = [own, ...companions].find(({ model }) => isDlib(model));
  return { ...own, companions: companions.filter((each) => each === dlib || !isDlib(each.model)) };
}

/** Probes may come from the network unchecked, so the types do not guarantee their values. */
function parts(probe: unknown): Readonly<Record<string, unknown>> {
  return typeof probe === 'object' && probe !== null ? (probe as Readonly<Record<string, unknown>>) : {};
}
