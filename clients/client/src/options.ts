import { checkThreshold, DEFAULT_THRESHOLD } from './matcher';

/** 'service': the service, with the local fallback. 'local': this process only. 'shadow': local answers, compared with the service's. */
export type FaceMode = 'service' | 'local' | 'shadow';

export interface FaceModuleOptions {
  /** Where face128 listens; by default the environment's FACE_SERVICE_URL. Without either, matching is local. */
  readonly url?: string | undefined;
  readonly apiKey?: string | undefined;
  /** The greatest Euclidean distance of a match, inclusive; 0.38. */
  readonly threshold?: number | undefined;
  /** How long `/match` and `/health` may take, in milliseconds; 1000. */
  readonly timeoutMs?: number | undefined;
  /** How long an image may take, in milliseconds; 10000. */
  readonly imageTimeoutMs?: number | undefined;
  /** How long a service that failed is not called before it is tried again, in milliseconds; 5000. */
  readonly retryAfterMs?: number | undefined;
  /** 'service'. */
  readonly mode?: FaceMode | undefined;
  /** The service's gallery holds the members: a list of members is used for the fallback only; false. */
  readonly gallery?: boolean | undefined;
}

export interface FaceSettings {
  readonly url: string | undefined;
  readonly apiKey: string | undefined;
  readonly threshold: number;
  readonly timeoutMs: number;
  readonly imageTimeoutMs: number;
  readonly retryAfterMs: number;
  readonly mode: FaceMode;
  readonly gallery: boolean;
}

/** Fills in defaults and checks everything, so that a wrong setting stops the start of the application. */
export function settingsFrom(options: FaceModuleOptions, environment: NodeJS.ProcessEnv = process.env): FaceSettings {
  const url = options.url ?? environment['FACE_SERVICE_URL'];
  return {
    url: url ? baseUrl(url) : undefined,
    apiKey: options.apiKey,
    threshold: checkThreshold(options.threshold ?? DEFAULT_THRESHOLD),
    timeoutMs: milliseconds('timeoutMs', options.timeoutMs ?? 1000),
    imageTimeoutMs: milliseconds('imageTimeoutMs', options.imageTimeoutMs ?? 10_000),
    retryAfterMs: milliseconds('retryAfterMs', options.retryAfterMs ?? 5000),
    mode: checkMode(options.mode ?? 'service'),
    gallery: options.gallery ?? false,
  };
}

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw new Error('FACE_SERVICE_URL is no http(s) URL.');
  if (url.username || url.password || url.search || url.hash) {
    throw new Error('FACE_SERVICE_URL has a user, a query or a fragment; a key belongs in apiKey.');
  }
  return url.href.replace(/\/+$/, '');
}

function milliseconds(name: string, value: number): number {
  // Longer timers than 2^31 - 1 ms do not exist.
  if (Number.isInteger(value) && value > 0 && value < 2 ** 31) return value;
  throw new Error(`${name} is a whole number of milliseconds above 0.`);
}

function checkMode(mode: string): FaceMode {
  if (mode === 'service' || mode === 'local' || mode === 'shadow') return mode;
  throw new Error("mode is 'service', 'local' or 'shadow'.");
}
