/** face-api.js's own descriptors, made in a browser: what `Member.descriptor` holds. */
export const FACE_API = 'faceapi-resnet-v1';
/** dlib's, made by the service. */
export const DLIB = 'dlib-resnet-v1';

/** One network: their descriptors may meet, in Euclidean distance, at one threshold. */
const LOCAL_MODELS: ReadonlySet<string> = new Set([FACE_API, DLIB]);
const LOCAL_DIMENSION = 128;

/** Whether the local rule, Euclidean distance with the configured threshold, holds for this model's descriptors. */
export function hasLocalRule(model: string): boolean {
  return LOCAL_MODELS.has(model);
}

/** How many numbers a descriptor of the model has; undefined for a model of which only the service knows. */
export function dimensionOf(model: string): number | undefined {
  return hasLocalRule(model) ? LOCAL_DIMENSION : undefined;
}
