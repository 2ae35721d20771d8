import { DEFAULT_THRESHOLD } from './models.js';
import type { OnInvalid } from './prepared-list.js';
import type { DecisionModels } from './spaces.js';
import { checkTemplate, type Template } from './templates.js';
import { checkThresholds, type Thresholds } from './thresholds.js';

/** 'service': the service, with the local fallback. 'local': this process only. 'shadow': local answers, compared with the service's. */
export type FaceMode = 'service' | 'local' | 'shadow';

/** Where log lines go; console by default. */
export interface FaceLogger {
  warn(message: string): void;
  info(message: string): void;
}

export interface FaceOptions {
  /** Where face128 listens; by default the environment's FACE_SERVICE_URL. Without either, matching is local. */
  readonly url?: string | undefined;
  readonly apiKey?: string | undefined;
  /** The site or tenant of the service's gallery, sent as X-Face-Collection; by default the key's, or the default one. */
  readonly collection?: string | undefined;
  /**
   * The greatest Euclidean distance of a match, inclusive; 0.38. A number is for dlib's and face-api.js's descriptors.
   * An object has one for each model, or pair of two, that it names; others keep the model's own.
   */
  readonly threshold?: Thresholds | undefined;
  /**
   * Which networks' descriptors decide where the probe and a member have several: set it as the service's
   * FACE128_DECISION_MODELS. Unless it is 'dlib', both networks of the service describe a probe's photo; 'dlib'.
   */
  readonly decisionModels?: DecisionModels | undefined;
  /**
   * How several photos of a member count: 'nearest', each by itself; 'mean', as the mean of their descriptors. By
   * default each by itself, and in the service's gallery as its FACE128_TEMPLATE says.
   */
  readonly template?: Template | undefined;
  /** The service has a FACE128_REVIEW_ALPHA: a local match that another member nearly shares is none either; false. */
  readonly review?: boolean | undefined;
  /** How long a match may take in all, photo and upload of a list included, and a health check; in milliseconds; 1000. */
  readonly timeoutMs?: number | undefined;
  /** How long a call that describes, enrols or uploads may take in all, in milliseconds; 10000. */
  readonly imageTimeoutMs?: number | undefined;
  /** How long a service that failed is not called before it is tried again, in milliseconds; 5000. */
  readonly retryAfterMs?: number | undefined;
  /** 'service'. */
  readonly mode?: FaceMode | undefined;
  /** The service's gallery holds the members: a list of members is used for the fallback only; false. */
  readonly gallery?: boolean | undefined;
  /** What an invalid row does to a list that is given as an array; 'skip'. */
  readonly onInvalid?: OnInvalid | undefined;
  /** A fetch to use instead of the global one. */
  readonly fetch?: typeof fetch | undefined;
  /** Given to fetch: for Node an Agent of undici, for example with a client certificate. */
  readonly dispatcher?: object | undefined;
  /** Put before the client's own name in User-Agent. */
  readonly userAgent?: string | undefined;
  readonly logger?: FaceLogger | undefined;
}

/** The options with their defaults; `url`, `apiKey`, `collection` and `template` are undefined where there are none. */
export type FaceSettings = Required<FaceOptions> & {
  readonly [
    Name in Exclude<keyof FaceOptions, 'url' | 'apiKey' | 'collection' | 'template' | 'dispatcher'>
  ]-?: NonNullable<FaceOptions[Name]>;
};

const NAMES: Readonly<Record<keyof FaceOptions, true>> = {
  ...{
    url: true,
    apiKey: true,
    collection: true,
    threshold: true,
    decisionModels: true,
    template: true,
    review: true,
    timeoutMs: true,
    imageTimeoutMs: true,
    retryAfterMs: true,
  },
  ...{ mode: true, gallery: true, onInvalid: true, fetch: true, dispatcher: true, userAgent: true, logger: true },
};

/** Fills in defaults and checks everything, so that a wrong setting stops the start of the application. */
export function settingsFrom(options: FaceOptions): FaceSettings {
  checkNames(options, NAMES, 'option');
  const url = options.url ?? environmentVariable('FACE_SERVICE_URL');
  return {
    url: url ? baseUrl(url) : undefined,
    apiKey: options.apiKey === undefined ? undefined : text('apiKey', options.apiKey),
    collection: options.collection === undefined ? undefined : collectionName(options.collection),
    threshold: checkThresholds(options.threshold ?? DEFAULT_THRESHOLD),
    decisionModels: oneOf('decisionModels', options.decisionModels ?? 'dlib', ['dlib', 'retail', 'dlib+retail']),
    template: checkTemplate(options.template),
    review: oneOf('review', options.review ?? false, [true, false]),
    timeoutMs: milliseconds('timeoutMs', options.timeoutMs ?? 1000),
    imageTimeoutMs: milliseconds('imageTimeoutMs', options.imageTimeoutMs ?? 10_000),
    retryAfterMs: milliseconds('retryAfterMs', options.retryAfterMs ?? 5000),
    mode: oneOf('mode', options.mode ?? 'service', ['service', 'local', 'shadow']),
    gallery: oneOf('gallery', options.gallery ?? false, [true, false]),
    onInvalid: oneOf('onInvalid', options.onInvalid ?? 'skip', ['skip', 'throw']),
    // Not bound to the settings: fetch must be called without an owner.
    fetch: callable('fetch', options.fetch ?? ((input, init) => fetch(input, init))),
    dispatcher: options.dispatcher,
    userAgent: text('userAgent', options.userAgent ?? ''),
    logger: options.logger ?? console,
  };
}

/** Throws for a name that does not exist: a misspelt option would silently be the default. */
export function checkNames(options: object, names: Readonly<Record<string, true>>, kind: string): void {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (unknown === undefined) return;
  const similar = Object.keys(names).find((name) => name.toLowerCase() === unknown.toLowerCase());
  throw new TypeError(`There is no ${kind} ${unknown}${similar ? `; did you mean ${similar}?` : '.'}`);
}

export function milliseconds(name: string, value: number): number {
  // Longer timers than 2^31 - 1 ms do not exist.
  if (Number.isInteger(value) && value > 0 && value < 2 ** 31) return value;
  throw new TypeError(`${name} is a whole number of milliseconds above 0.`);
}

function environmentVariable(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Readonly<Record<string, string | undefined>> } };
  return process?.env?.[name];
}

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new TypeError('url (FACE_SERVICE_URL) is no http(s) URL.');
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new TypeError('url (FACE_SERVICE_URL) has a user, a query or a fragment; a key belongs in apiKey.');
  }
  return url.href.replace(/\/+$/, '');
}

function oneOf<T>(name: string, value: T, choices: readonly T[]): T {
  if (choices.includes(value)) return value;
  throw new TypeError(`${name} is ${choices.map((choice) => JSON.stringify(choice)).join(' or ')}.`);
}

function text(name: string, value: string): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`${name} is a text.`);
}

function collectionName(value: string): string {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(text('collection', value))) return value;
  throw new TypeError('collection has letters, digits, dots, dashes and underscores, 64 at most.');
}

function callable<T>(name: string, value: T): T {
  if (typeof value === 'function') return value;
  throw new TypeError(`${name} is a function.`);
}
