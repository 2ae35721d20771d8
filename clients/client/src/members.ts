import {
  isAbsent,
  isJsonText,
  parseDescriptor,
  parseDescriptors,
  parseJson,
  type Placed,
  type StoredDescriptor,
} from './descriptor.js';
import { FaceError, invalid } from './errors.js';
import type { Match, MemberId } from './matcher.js';
import { areInOnePair, comparableModels, dimensionOf, FACE_API, isComparable } from './models.js';
import { areEqual } from './vectors.js';

/**
 * One descriptor for each model, under the model's name; or a list of several photos' for each. Those at one place of
 * two models' lists are of one photo: a null keeps a place empty.
 */
export type StoredByModel = Readonly<Record<string, StoredDescriptor | readonly (StoredDescriptor | null)[] | null>>;

/** A person who may be recognised. A member without a descriptor is not enrolled yet, and is passed over. */
export interface Member<Id extends MemberId = number | string> {
  readonly regNo: Id;
  readonly name?: string | null;
  /** face-api.js's descriptor, or one of `model`. */
  readonly descriptor?: StoredDescriptor | null;
  /** A list of more such descriptors, or those of several models; or JSON text of it. */
  readonly descriptors?: readonly StoredDescriptor[] | StoredByModel | string | null;
  /** The model of `descriptor`, and of a list in `descriptors`; face-api.js's if there is none. */
  readonly model?: string | null;
}

/** A member with ids of any type. */
export type AnyMember = Member<MemberId>;

/** The place of a descriptor that is of another photo than those of all other models. */
export const NO_PLACE = -1;

/** A member's descriptors of one model, in the order of their places; those at one place of two models are of one photo. */
export interface OfModel {
  readonly model: string;
  readonly photos: readonly Placed[];
}

/** A member with the descriptors that are compared with a probe: for each of its models at most one entry. */
export interface Candidate<Id extends MemberId> extends Match<Id> {
  readonly ofModels: readonly OfModel[];
  /** There are descriptors, but none that can be compared. */
  readonly isForeign: boolean;
}

/**
 * The member at this index of a list, with what is compared with a probe of `models`, its own first: for each the
 * descriptors of that model, else those of a comparable model (face-api.js's first), else none.
 *
 * Throws `invalid_descriptor`, `invalid_request` and `model_mismatch` like the service, with the same `field` and
 * `regNo`; but what cannot be compared is not looked at. `dimension` is that of a model that only the service knows.
 */
export function candidate<Id extends MemberId>(
  member: Member<Id>,
  index: number,
  models: readonly string[],
  dimension?: number,
): Candidate<Id> {
  const place = `enrolled[${index}]`;
  const descriptors = checkMember(member, place, models[0] ?? FACE_API);
  const { regNo, name } = member;
  const ofModels: OfModel[] = [];
  for (const model of models) {
    for (const comparable of comparableModels(model)) {
      const photos = photosOf(member, descriptors, place, comparable, dimensionOf(comparable) ?? dimension);
      if (photos.length === 0) continue;
      ofModels.push({ model: comparable, photos });
      break;
    }
  }
  const isForeign = ofModels.length === 0 && hasAny(member, descriptors);
  // A name that was cut within an emoji has half a surrogate pair, which JSON text cannot have.
  return { regNo, name: name?.toWellFormed() ?? null, ofModels, isForeign };
}

type Descriptors = readonly unknown[] | Readonly<Record<string, unknown>>;

/** Members come from databases, so the types do not guarantee their values. Returns `descriptors`, if there are any. */
function checkMember(member: unknown, field: string, probeModel: string): Descriptors | undefined {
  if (typeof member !== 'object' || member === null || Array.isArray(member)) {
    throw invalid('invalid_request', 'A member is an object with regNo, name and descriptor.', { field });
  }
  const { regNo, name, descriptor, descriptors, model } = member as Readonly<Record<string, unknown>>;
  if (typeof regNo !== 'string' && typeof regNo !== 'bigint' && !Number.isFinite(regNo)) {
    throw invalid('invalid_request', "A member's regNo is a number or a string.", { field: `${field}.regNo` });
  }
  if (name != null && typeof name !== 'string') {
    throw invalid('invalid_request', "A member's name is a string.", { field: `${field}.name`, regNo });
  }
  const given = isAbsent(descriptors) ? undefined : parsed(descriptors);
  const isByModel = typeof given === 'object' && given !== null && !Array.isArray(given);
  const usesModel = model != null && (descriptor != null || (descriptors != null && !isByModel));
  if (usesModel && !isComparable(model, probeModel) && !areInOnePair(model, probeModel)) {
    const error = "The member's descriptor is of a model that cannot be compared with the probe's.";
    throw new FaceError({ error, code: 'model_mismatch', field: `${field}.model`, regNo }, 409);
  }
  if (given !== undefined && (typeof given !== 'object' || (isByModel && '0' in given))) {
    const sentence = "A member's descriptors are a list, or an object with the descriptors of each model.";
    throw invalid('invalid_descriptor', sentence, { field: `${field}.descriptors`, regNo });
  }
  return given as Descriptors | undefined;
}

/** A list or an object; databases hand it out as JSON text. What is no JSON remains a text. */
function parsed(descriptors: unknown): unknown {
  const value = typeof descriptors === 'string' && isJsonText(descriptors) ? parseJson(descriptors) : undefined;
  return value ?? descriptors;
}

/** The member's descriptors of one model. */
function photosOf(
  { regNo, descriptor, model: own }: Member<MemberId>,
  descriptors: Descriptors | undefined,
  place: string,
  model: string,
  dimension: number | undefined,
): readonly Placed[] {
  const context = { regNo };
  const isOwn = model === (own ?? FACE_API);
  const first =
    isOwn && !isAbsent(descriptor) ? parseDescriptor(descriptor, dimension, `${place}.descriptor`, context) : undefined;
  const beside = first ? [{ place: NO_PLACE, vector: first }] : [];
  if (Array.isArray(descriptors)) {
    if (!isOwn) return [];
    const field = `${place}.descriptors`;
    return beside.concat(
      descriptors.map((value, j) => {
        return { place: j, vector: parseDescriptor(value, dimension, `${field}[${j}]`, context) };
      }),
    );
  }
  const value = (descriptors as Readonly<Record<string, unknown>> | undefined)?.[model];
  // Where the object has no photos of its model, it is of the first photo of the others.
  if (isAbsent(value)) return first ? [{ place: 0, vector: first }] : [];
  const several = parseDescriptors(value, dimension, `${place}.descriptors.${model}`, context);
  const [start] = several;
  const isStart = first && start?.place === 0 && areEqual(first, start.vector);
  return isStart ? several : beside.concat(several);
}

function hasAny({ descriptor }: Member<MemberId>, descriptors: Descriptors | undefined): boolean {
  return !isAbsent(descriptor) || Object.values(descriptors ?? {}).some((value) => !isAbsent(value));
}
