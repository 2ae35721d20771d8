import type { PersonChanges, PersonTerms } from './api-options.js';
import type { MemberId } from './matcher.js';
import { type Photo, photoBlob } from './photo.js';

/** The texts of an enrolment: `/match` then answers with the type of `regNo` that is given here. */
export function enrolmentFields(regNo: MemberId, name: string): Readonly<Record<string, string | undefined>> {
  return { name, reg_no_type: typeof regNo === 'string' ? undefined : 'number' };
}

/** What is agreed with a person, as the service calls it. */
export function termFields(terms: PersonTerms | PersonChanges): Readonly<Record<string, string | null | undefined>> {
  const { expiresAt, consent } = terms;
  return { expires_at: expiresAt instanceof Date ? expiresAt.toISOString() : expiresAt, consent };
}

/** A multipart body: photos by the name of their field, and texts. */
export function form(
  photos: Readonly<Record<string, readonly Photo[]>>,
  fields: Readonly<Record<string, string | number | object | null | undefined>> = {},
): FormData {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    body.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  for (const [name, images] of Object.entries(photos)) {
    images.forEach((image, i) => {
      body.append(name, photoBlob(image), `image-${i}`);
    });
  }
  return body;
}
