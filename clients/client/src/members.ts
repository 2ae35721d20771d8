import { isAbsent, isJsonText, parseDescriptor, parseJson, type StoredDescriptor } from './descriptor.js';
import { FaceError, invalid } from './errors.js';
import type { Match, MemberId } from './matcher.js';
import { DLIB, FACE_API, hasLocalRule, isComparable } from './models.js';

/** A person who may be recognised. A member without a descriptor is not enrolled yet, and is passed over. */
export interface Member<Id extends MemberId = number | string> {
  readonly regNo: Id;
  readonly name?: string | null;
  /** face-api.js's descriptor, or one of `model`. */
  readonly descriptor?: StoredDescriptor | null;
  /** A list of more such descriptors, or one descriptor per model under the model's name; or JSON text of it. */
  readonly descriptors?:
    readonly StoredDescriptor[] | Readonly<Record<string, StoredDescriptor | null>> | string | null;
  /** The model of `descriptor`, and of a list in `descriptors`; face-api.js's if there is none. */
  readonly model?: string | null;
}

/** A member with ids of any type. */
export type AnyMember = Member<MemberId>;

/** A member with the descriptors that are compared with a probe. */
export interface Candidate<Id extends MemberId> extends Match<Id> {
  readonly model: string;
  readonly vectors: readonly Float64Array[];
}

/**
 * The member at this index of a list, with what is compared with a probe of `model`: the descriptor of that model, else
 * one of a comparable model (face-api.js's first), else none.
 *
 * Throws `invalid_descriptor`, `invalid_request` and `model_mismatch` like the service, with the same `field` and `regNo`.
 */
export function candidate<Id extends MemberId>(
  member: Member<Id>,
  index: number,
  model: string,
  dimension: number | undefined,
): Candidate<Id> {
  const place = `enrolled[${index}]`;
  checkMember(member, place, model);
  const { regNo, name } = member;
  const chosen = choose(member, model);
  const vectors = chosen.fields.map(([field, value]) =>
    parseDescriptor(value, dimension, `${place}.${field}`, { regNo }),
  );
  // A name that was cut within an emoji has half a surrogate pair, which JSON text cannot have.
  return { regNo, name: name?.toWellFormed() ?? null, model: chosen.model, vectors };
}

/** Members come from databases, so the types do not guarantee their values. */
function checkMember(member: unknown, field: string, probeModel: string): void {
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
  if (model != null && !(descriptor == null && descriptors == null) && !isComparable(model, probeModel)) {
    const error = "The member's descriptor is of a model that cannot be compared with the probe's.";
    throw new FaceError({ error, code: 'model_mismatch', field: `${field}.model`, regNo }, 409);
  }
  if (!isAbsent(descriptors) && typeof parsed(descriptors) !== 'object') {
    const sentence = "A member's descriptors are a list, or an object with a descriptor for each model.";
    throw invalid('invalid_descriptor', sentence, { field: `${field}.descriptors`, regNo });
  }
}

/** A list or an object; databases hand it out as JSON text. */
function parsed(descriptors: unknown): unknown {
  return typeof descriptors === 'string' && isJsonText(descriptors) ? parseJson(descriptors) : descriptors;
}

type Fields = [name: string, value: unknown][];

/** The comparable descriptors with the names of their fields, and their model. */
function choose(member: Member<MemberId>, model: string): { model: string; fields: Fields } {
  const descriptors = isAbsent(member.descriptors) ? undefined : parsed(member.descriptors);
  for (const comparable of hasLocalRule(model) ? new Set([model, FACE_API, DLIB]) : [model]) {
    const fields = fieldsOf(member, descriptors, comparable);
    if (fields.length > 0) return { model: comparable, fields };
  }
  return { model, fields: [] };
}

function fieldsOf({ descriptor, model: own }: Member<MemberId>, descriptors: unknown, model: string): Fields {
  const isOwn = model === (own ?? FACE_API);
  const fields: Fields = isOwn && !isAbsent(descriptor) ? [['descriptor', descriptor]] : [];
  if (Array.isArray(descriptors)) {
    if (isOwn) descriptors.forEach((value, j) => fields.push([`descriptors[${j}]`, value]));
    return fields;
  }
  const value = (descriptors as Readonly<Record<string, unknown>> | undefined)?.[model];
  if (!isAbsent(value)) fields.push([`descriptors.${model}`, value]);
  return fields;
}
