export type { Adjusted, EncodedFace, Quality, QualityMeasure, QualityReason } from './answers.js';
export type { Answer, FaceApi, Question } from './api.js';
export type {
  CompanionOptions,
  DecisionOptions,
  DetectOptions,
  EncodeOptions,
  EnrolOptions,
  ExtractOptions,
  JobReport,
  MatchFaceOptions,
  NewPerson,
  NewRecord,
  OneFaceOptions,
  PeopleOptions,
  PersonChanges,
  PersonTerms,
  PhotoOptions,
  RecordMatchOptions,
  ReplaceOptions,
  StoredList,
  VerifyOptions,
} from './api-options.js';
export type { BreakerState, StateChange } from './breaker.js';
export type { CallOptions } from './call.js';
export type { Descriptor, StoredDescriptor } from './descriptor.js';
export type { Emitter } from './emitter.js';
export {
  FACE_ERROR_CODES,
  FaceError,
  type FaceErrorBody,
  type FaceErrorCode,
  type FailureReason,
  ServiceFailure,
} from './errors.js';
export { type EncodeCallOptions, FaceClient, type MatchCallOptions, type VerifyCallOptions } from './face-client.js';
export type { Version } from './list-cache.js';
export {
  decide,
  distance,
  type Match,
  type MatchAnswer,
  type MemberId,
  type VectorRows,
  type Verdict,
} from './matcher.js';
export type { AnyMember, Member, StoredByModel } from './members.js';
export { DLIB, FACE_API, RETAIL } from './models.js';
export type { components, paths } from './openapi.js';
export type { FaceLogger, FaceMode, FaceOptions } from './options.js';
export { type IdOf, type Members, prepare, PreparedMembers, type PrepareOptions } from './prepare.js';
export type { OnInvalid, PreparedList, SkippedMember } from './prepared-list.js';
export type { Photo } from './photo.js';
export type { DescriptorsByModel, Probe, ProbeParts } from './probe.js';
export type { Task } from './remote-service.js';
export type { FaceCounters, FaceEvents, FaceHealth, LocalReason, MatchResult, Verification } from './results.js';
export type { ShadowComparison, ShadowReport } from './shadow.js';
export type { DecisionModels } from './spaces.js';
export type { GalleryMember, SyncOptions, SyncReport } from './sync.js';
export type { Template } from './templates.js';
export type { Thresholds } from './thresholds.js';
