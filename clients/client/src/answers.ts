import { badAnswer } from './errors.js';
import type { Json } from './http.js';
import { isVerdict, type Match, type MatchAnswer, type MemberId } from './matcher.js';
import { dimensionOf } from './models.js';
import type { PreparedList } from './prepared-list.js';
import type { Verification } from './results.js';

/** A face as the service describes it. Keep the model with the descriptor. */
export interface EncodedFace {
  readonly descriptor: Float32Array;
  readonly model: string;
  /** With the option `companions`: the descriptors by the service's other networks. Keep them with the descriptor. */
  readonly companions?: Readonly<Record<string, Float32Array>>;
  /** What was done to the photo first; absent where nothing was. A photo that was turned, for one, should be kept so. */
  readonly adjusted?: Adjusted;
  /** With the option `quality`. */
  readonly quality?: Quality;
}

/** How good a photo is, and why it is not better. An enrolment may be refused for it: `poor_quality`. */
export interface Quality {
  readonly verdict: 'good' | 'fair' | 'poor';
  /** A newer service may send a reason that is not listed here. */
  readonly reasons: readonly QualityReason[];
  /** Null where the engine cannot tell. Angles in degrees, the eye distance in pixels, the margin in eye distances. */
  readonly measures: Readonly<Record<QualityMeasure, number | null>>;
}

export type QualityReason =
  'too_small' | 'blurred' | 'too_dark' | 'too_bright' | 'low_contrast' | 'turned_away' | 'tilted' | 'cut_off';

const QUALITY_MEASURES = {
  eyeDistance: 'eye_distance',
  sharpness: 'sharpness',
  brightness: 'brightness',
  contrast: 'contrast',
  yaw: 'yaw',
  pitch: 'pitch',
  roll: 'roll',
  margin: 'margin',
} as const;
export type QualityMeasure = keyof typeof QUALITY_MEASURES;

/** What the service did to a photo so that its face was found, or could be described. */
export interface Adjusted {
  /** Degrees clockwise. */
  readonly turned?: 90 | 180 | 270;
  /** The face fills the photo: a photo with some space around it is better. */
  readonly marginAdded?: true;
  readonly lightened?: true;
}

/** The digits of a whole number, which JSON.parse rounds beyond 2^53. A quote within a JSON text is escaped. */
const WHOLE_REG_NO = /"regNo":\s*(-?\d+)\s*[,}]/g;

/** A match with what the service says about it if it is asked to explain. */
export interface ExplainedMatch<Id extends MemberId> extends MatchAnswer<Id> {
  readonly model?: string;
  readonly models?: readonly string[];
}

/** The answer of `/match`. Throws a ServiceFailure unless it is none, or a member of the list. */
export function readMatch<Id extends MemberId>(
  answer: Json,
  text: string,
  list: PreparedList<Id> | undefined,
): ExplainedMatch<Id> {
  const distance = typeof answer['distance'] === 'number' ? answer['distance'] : null;
  const { verdict, model, models } = answer;
  const said = {
    ...(isVerdict(verdict) && { verdict }),
    ...(typeof model === 'string' && { model }),
    ...(Array.isArray(models) && { models: models.map(String) }),
  };
  if (answer['match'] === false) return { match: null, distance, ...said };
  const { name } = answer;
  const regNo = exactRegNo(answer['regNo'], text);
  if (regNo === undefined || (typeof name !== 'string' && name != null)) throw badAnswer();
  // The gallery's members are not known here.
  const match = list ? list.find(regNo, name ?? null) : ({ regNo, name: name ?? null } as Match<Id>);
  if (!match) throw badAnswer();
  return { match, distance, ...said };
}

/** The answer of `/encode-image`. Throws a ServiceFailure unless it has a descriptor of its model. */
export function readFace({ descriptor, model, companions, adjusted, quality }: Json): EncodedFace {
  if (typeof model !== 'string') throw badAnswer();
  const known = { adjusted: readAdjusted(adjusted), quality: readQuality(quality) };
  return {
    descriptor: readDescriptor(descriptor, model),
    model,
    ...(companions !== undefined && { companions: readCompanions(companions) }),
    ...(known.adjusted && { adjusted: known.adjusted }),
    ...(known.quality && { quality: known.quality }),
  };
}

function readDescriptor(descriptor: unknown, model: string): Float32Array {
  if (!Array.isArray(descriptor) || descriptor.length === 0) throw badAnswer();
  if (descriptor.length !== (dimensionOf(model) ?? descriptor.length)) throw badAnswer();
  if (!descriptor.every((x) => typeof x === 'number' && Number.isFinite(Math.fround(x)))) throw badAnswer();
  return Float32Array.from(descriptor as number[]);
}

function readCompanions(companions: unknown): Record<string, Float32Array> {
  if (typeof companions !== 'object' || companions === null || Array.isArray(companions)) throw badAnswer();
  const read = Object.entries(companions).map(([model, each]) => [model, readDescriptor(each, model)] as const);
  return Object.fromEntries(read);
}

/** For information, as `adjusted`. */
function readQuality(answer: unknown): Quality | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { verdict, reasons, measures } = answer as Json;
  if (verdict !== 'good' && verdict !== 'fair' && verdict !== 'poor') return undefined;
  const values = (typeof measures === 'object' && measures !== null ? measures : {}) as Json;
  const named = Object.entries(QUALITY_MEASURES).map(([name, field]) => {
    const value = values[field];
    return [name, typeof value === 'number' ? value : null];
  });
  return {
    verdict,
    reasons: Array.isArray(reasons) ? (reasons as QualityReason[]) : [],
    measures: Object.fromEntries(named) as Quality['measures'],
  };
}

/** For information: what a later service may say in another form is left out. */
function readAdjusted(answer: unknown): Adjusted | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { turned, margin_added: marginAdded, lightened } = answer as Json;
  const adjusted: Adjusted = {
    ...(turned === 90 || turned === 180 || turned === 270 ? { turned } : {}),
    ...(marginAdded === true ? { marginAdded } : {}),
    ...(lightened === true ? { lightened } : {}),
  };
  return Object.keys(adjusted).length ? adjusted : undefined;
}

/** The answer of `/verify/{user_id}`. Throws a ServiceFailure unless it is one. */
export function readVerification(answer: Json): Omit<Verification, 'verified' | 'source' | 'requestId'> {
  const { user_id: userId, name, distance, threshold, model } = answer;
  if (typeof answer['verified'] !== 'boolean' || typeof userId !== 'string' || typeof model !== 'string')
    throw badAnswer();
  if (typeof distance !== 'number' || typeof threshold !== 'number') throw badAnswer();
  if (typeof name !== 'string' && name !== null) throw badAnswer();
  return { userId, name, distance, threshold, model };
}

function exactRegNo(regNo: unknown, text: string): MemberId | undefined {
  if (typeof regNo === 'string') return regNo;
  if (typeof regNo !== 'number') return undefined;
  if (Number.isSafeInteger(regNo) || !Number.isInteger(regNo)) return regNo;
  // The runner-up has a regNo too, which may be rounded to the same number: the member's own is the first.
  const digits = Array.from(text.matchAll(WHOLE_REG_NO), (match) => match[1] ?? '').find(
    (each) => Number(each) === regNo,
  );
  return digits === undefined ? regNo : BigInt(digits);
}
