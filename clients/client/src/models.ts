/** face-api.js's own descriptors, made in a browser: what `Member.descriptor` holds. */
export const FACE_API = 'faceapi-resnet-v1';
/** dlib's descriptors, made by the service. */
export const DLIB = 'dlib-resnet-v1';
/** Descriptors of the service's second network. */
export const RETAIL = 'retail-0095';

/** A model that the local rule knows, or the pairs of two; the numbers are those of the service's model cards. */
export interface LocalModel {
  readonly dimension: number;
  readonly metric: 'euclidean' | 'cosine';
  /** The greatest distance at which two descriptors count as one person, inclusive. */
  readonly threshold: number;
  /** Descriptors further apart than this are not of one person. */
  readonly cap: number;
}

/** The threshold of the original service; face_recognition itself suggests 0.6, which is far looser. */
export const DEFAULT_THRESHOLD = 0.38;
export const LOCAL_DIMENSION = 128;

const DLIB_RULE: LocalModel = {
  dimension: LOCAL_DIMENSION,
  metric: 'euclidean',
  threshold: DEFAULT_THRESHOLD,
  cap: 0.6,
};
const RETAIL_RULE: LocalModel = { dimension: 256, metric: 'cosine', threshold: 0.65, cap: 0.73 };
const PAIR_RULE: LocalModel = { dimension: 384, metric: 'euclidean', threshold: 0.66, cap: 0.855 };

/** face-api.js's network is dlib's: their descriptors are compared with each other. Each model's own come first. */
const DLIB_MODELS: ReadonlyMap<string, readonly string[]> = new Map([
  [FACE_API, [FACE_API, DLIB]],
  [DLIB, [DLIB, FACE_API]],
]);
const RETAIL_MODEL = /^retail-(0095|[0-9a-f]{8})$/;
const INSIGHTFACE_MODEL = /^insightface-\w{1,40}-[0-9a-f]{8}$/;

export function isDlib(model: string): boolean {
  return DLIB_MODELS.has(model);
}

export function isRetail(model: string): boolean {
  return RETAIL_MODEL.test(model);
}

/** Whether the service knows a single model of this name. */
export function isKnownModel(model: string): boolean {
  return isDlib(model) || isRetail(model) || INSIGHTFACE_MODEL.test(model);
}

/** The name of the pairs of two models: descriptors of one photo by both networks. */
export function pairName(first: string, second: string): string {
  return `${first}+${second}`;
}

/** Whether this is the name of a pair of models that the service compares. */
export function isPair(model: string): boolean {
  const [first = '', second = '', ...others] = model.split('+');
  return isDlib(first) && isRetail(second) && others.length === 0;
}

/** The local rule for a model or a pair; undefined where only the service has one. */
export function localModel(model: string): LocalModel | undefined {
  if (isDlib(model)) return DLIB_RULE;
  if (isRetail(model)) return RETAIL_RULE;
  return isPair(model) ? PAIR_RULE : undefined;
}

/** The models whose descriptors are compared with this model's, its own first. */
export function comparableModels(model: string): readonly string[] {
  return DLIB_MODELS.get(model) ?? [model];
}

/** Whether distances between the two models' descriptors are meaningful. */
export function isComparable(a: unknown, b: string): boolean {
  return a === b || (typeof a === 'string' && isDlib(a) && isDlib(b));
}

/** Whether descriptors of the two models may be of one pair. */
export function areInOnePair(a: unknown, b: string): boolean {
  return typeof a === 'string' && ((isDlib(a) && isRetail(b)) || (isRetail(a) && isDlib(b)));
}

/** The length of the model's descriptors; undefined for a model that only the service knows. */
export function dimensionOf(model: string): number | undefined {
  return localModel(model)?.dimension ?? (INSIGHTFACE_MODEL.test(model) ? 512 : undefined);
}
