import { type Descriptor, parseDescriptor, wireForm } from './descriptor';
import { invalid } from './errors';
import type { Match, Row } from './matcher';
import { DLIB, FACE_API, hasLocalRule } from './models';

/** A person who may be recognised. A member without a descriptor is not enrolled yet, and is skipped. */
export interface Member {
  readonly regNo: number | string;
  readonly name?: string | null;
  /** face-api.js's descriptor. */
  readonly descriptor?: Descriptor | null;
  /** A list of more face-api.js descriptors, or one descriptor per model under the model's name. */
  readonly descriptors?: readonly Descriptor[] | Readonly<Record<string, Descriptor | null>> | null;
}

/** A member with the descriptors that are compared with a probe. */
export interface Candidate extends Match {
  readonly model: string;
  readonly vectors: readonly Float64Array[];
}

/**
 * The members with what is compared with a probe of `model`, in the same order: the descriptor of that model, else one
 * of a comparable model (face-api.js's first), else none.
 *
 * Throws `invalid_descriptor` and `invalid_request` like the service, with the same `field` and `regNo`.
 */
export function candidates(members: readonly Member[], model: string, dimension: number): Candidate[] {
  if (!Array.isArray(members)) throw invalid('invalid_request', 'The members are a list.', { field: 'enrolled' });
  return members.map((member: Member, i) => {
    checkMember(member, `enrolled[${i}]`);
    const { regNo, name } = member;
    const chosen = choose(member, model);
    const vectors = Array.from(chosen.fields).map(([field, value]) =>
      parseDescriptor(value, dimension, `enrolled[${i}].${field}`, { regNo }),
    );
    // A name that was cut within an emoji has half a surrogate pair, which JSON text cannot have.
    return { regNo, name: name?.toWellFormed() ?? null, model: chosen.model, vectors };
  });
}

/** Members come from databases, so the types do not guarantee their values. */
function checkMember(member: unknown, field: string): void {
  if (typeof member !== 'object' || member === null || Array.isArray(member)) {
    throw invalid('invalid_request', 'A member is an object with regNo, name and descriptor.', { field });
  }
  const { regNo, name, descriptors } = member as Readonly<Record<string, unknown>>;
  if (typeof regNo !== 'string' && !Number.isFinite(regNo)) {
    throw invalid('invalid_request', "A member's regNo is a number or a string.", { field: `${field}.regNo` });
  }
  if (name != null && typeof name !== 'string') {
    throw invalid('invalid_request', "A member's name is a string.", { field: `${field}.name`, regNo });
  }
  if (descriptors != null && typeof descriptors !== 'object') {
    const sentence = "A member's descriptors are a list, or an object with a descriptor for each model.";
    throw invalid('invalid_descriptor', sentence, { field: `${field}.descriptors`, regNo });
  }
}

/** One row per descriptor, for the local matcher. */
export function rows(enrolled: readonly Candidate[]): Row[] {
  return enrolled.flatMap((member) => member.vectors.map((vector) => ({ member, vector })));
}

/** The body's `enrolled`. Members without a descriptor stay in it, because errors of the service have an index into it. */
export function wireMembers(enrolled: readonly Candidate[], model: string): object[] {
  return enrolled.map(({ regNo, name, vectors, model: own }) => {
    const [first = null, ...more] = vectors.map(wireForm);
    const descriptors = more.length === 0 ? { descriptor: first } : { descriptors: [first, ...more] };
    return { regNo, name, ...descriptors, ...(own === model ? {} : { model: own }) };
  });
}

/** The comparable descriptors by the names of their fields, and their model. */
function choose(member: Member, model: string): { model: string; fields: Map<string, unknown> } {
  const fields = new Map<string, unknown>();
  for (const candidate of hasLocalRule(model) ? new Set([model, FACE_API, DLIB]) : [model]) {
    collect(member, candidate, fields);
    if (fields.size > 0) return { model: candidate, fields };
  }
  return { model, fields };
}

function collect({ descriptor, descriptors }: Member, model: string, fields: Map<string, unknown>): void {
  if (model === FACE_API && descriptor != null) fields.set('descriptor', descriptor);
  if (Array.isArray(descriptors)) {
    if (model === FACE_API) descriptors.forEach((value, j) => fields.set(`descriptors[${j}]`, value));
  } else {
    const own = (descriptors as Readonly<Record<string, unknown>> | null | undefined)?.[model];
    if (own != null) fields.set(`descriptors.${model}`, own);
  }
}
