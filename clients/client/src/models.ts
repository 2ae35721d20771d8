/** face-api.js's own descriptors, made in a browser: what `Member.descriptor` holds. */
export const FACE_API = 'faceapi-resnet-v1';
/** dlib's descriptors, made by the service. */
export const DLIB = 'dlib-resnet-v1';

/** Models of one network: their descriptors are compared by Euclidean distance, with one threshold. */
const LOCAL_MODELS: ReadonlySet<string> = new Set([FACE_API, DLIB]);
export const LOCAL_DIMENSION = 128;

/** Whether the local rule (Euclidean distance, configured threshold) applies to this model's descriptors. */
export function hasLocalRule(model: string): boolean {
  return LOCAL_MODELS.has(model);
}

/** Whether distances between the two models' descriptors are meaningful. */
export function isComparable(a: unknown, b: string): boolean {
  return a === b || (typeof a === 'string' && hasLocalRule(a) && hasLocalRule(b));
}

/** The length of the model's descriptors; undefined for a model that only the service knows. */
export function dimensionOf(model: string): number | undefined {
  return hasLocalRule(model) ? LOCAL_DIMENSION : undefined;
}
