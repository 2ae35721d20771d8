import type { CallOptions } from './call.js';
import type { MemberId } from './matcher.js';
import type { Photo } from './photo.js';
import type { Thresholds } from './thresholds.js';

export interface PhotoOptions extends CallOptions {
  /** One of the service's loaded engines. */
  readonly engine?: string | undefined;
}
/** Of calls that describe a photo, or look for whose face it is. */
export interface CompanionOptions {
  /** Also by the service's other networks; without it, where FACE128_DECISION_MODELS needs them to decide. */
  readonly companions?: boolean | undefined;
}
export interface MatchFaceOptions extends PhotoOptions, CompanionOptions {}
export interface OneFaceOptions extends PhotoOptions {
  /** Of several faces, instead of an error: the largest, or the one with the highest confidence ('best'). */
  readonly faces?: 'one' | 'largest' | 'best' | undefined;
}
export interface ExtractOptions extends OneFaceOptions, CompanionOptions {}
export interface EncodeOptions extends ExtractOptions {
  readonly numJitters?: number | undefined;
  /** 'mirror': the mean of the face and its mirror image. */
  readonly passes?: 'one' | 'mirror' | undefined;
  /** Also judge the photo. */
  readonly quality?: boolean | undefined;
}
export interface DetectOptions extends PhotoOptions {
  /** Also judge the photo, for each face. */
  readonly quality?: boolean | undefined;
}
export interface VerifyOptions extends MatchFaceOptions {
  readonly threshold?: Thresholds | undefined;
}
export interface EnrolOptions extends PhotoOptions {
  /** Also a face within the threshold of another person's. */
  readonly force?: boolean | undefined;
}
export interface ReplaceOptions extends EnrolOptions {
  /** First erase the faces that the person has. */
  readonly replace?: boolean | undefined;
}
export interface RecordMatchOptions extends MatchFaceOptions {
  readonly topK?: number | undefined;
  readonly threshold?: Thresholds | undefined;
}
/** What is agreed with a person who is enrolled. */
export interface PersonTerms {
  /** When they are to be erased: a Date, or a time in ISO 8601 with its zone. */
  readonly expiresAt?: Date | string | undefined;
  /** A reference to their consent, up to 500 characters. */
  readonly consent?: string | undefined;
}
/** What is changed about a person; null removes what is known. */
export interface PersonChanges {
  readonly name?: string | undefined;
  readonly expiresAt?: Date | string | null | undefined;
  readonly consent?: string | null | undefined;
}
export interface NewRecord extends PersonTerms {
  readonly photo: Photo;
  readonly name: string;
  readonly metadata?: object | undefined;
}
export interface NewPerson extends PersonTerms {
  readonly name: string;
  /** One to four. */
  readonly photos: readonly Photo[];
}
export interface PeopleOptions extends CallOptions {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  /** Only people with this text in their id or name. */
  readonly search?: string | undefined;
}
/** Which of the kept decisions are listed. */
export interface DecisionOptions extends CallOptions {
  /** `next` of the page before. */
  readonly before?: number | undefined;
  readonly limit?: number | undefined;
  readonly verdict?: 'yes' | 'look_again' | 'no' | undefined;
  /** A search among all, or a comparison with one person. */
  readonly kind?: 'search' | 'verify' | undefined;
  readonly userId?: MemberId | undefined;
  readonly since?: Date | string | undefined;
  readonly until?: Date | string | undefined;
}
/** How far a job is that enrols people from elsewhere. */
export interface JobReport {
  readonly state: 'running' | 'done' | 'failed' | 'interrupted';
  /** What the numbers count: photos that are encoded, people that are enrolled. */
  readonly stage: 'encoding' | 'enrolling';
  readonly total: number;
  readonly done: number;
  readonly failed?: number | undefined;
  /** How many failed, by the code of the error. */
  readonly errors?: Readonly<Record<string, number>> | undefined;
}
/** A list that the service keeps. */
export interface StoredList {
  readonly digest: string;
  readonly members: number;
  readonly descriptors: number;
  readonly skipped: readonly object[];
  readonly expires_in: number;
}
