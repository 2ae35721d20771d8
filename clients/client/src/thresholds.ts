import { invalid } from './errors.js';
import { comparableModels, isDlib, isKnownModel, isPair, pairName } from './models.js';

/** A number is for dlib's and face-api.js's descriptors; an object has one for each model or pair that it names. */
export type Thresholds = number | Readonly<Record<string, number | null | undefined>>;

/** Returns the thresholds if they are numbers in (0, 2] for known models. Throws `invalid_request`. */
export function checkThresholds(thresholds: unknown): Thresholds {
  if (typeof thresholds !== 'object' || thresholds === null) return checkThreshold(thresholds);
  const entries = Object.entries(thresholds);
  if (entries.length === 0) checkThreshold(undefined);
  for (const [model, value] of entries) {
    if (!isKnownModel(model) && !isPair(model)) {
      throw invalid('invalid_request', `There is no model ${model} to have a threshold.`, { field: 'threshold' });
    }
    if (value != null) checkThreshold(value, `threshold.${model}`);
  }
  return thresholds as Thresholds;
}

/** Returns the threshold if it is a number in (0, 2]. Throws `invalid_request`. */
export function checkThreshold(threshold: unknown, field = 'threshold'): number {
  if (typeof threshold === 'number' && threshold > 0 && threshold <= 2) return threshold;
  throw invalid('invalid_request', 'A threshold is a number above 0 and at most 2.', { field });
}

/** The threshold for this model or pair, or for one that is comparable with it; undefined if there is none. */
export function thresholdFor(thresholds: Thresholds, model: string): number | undefined {
  if (typeof thresholds === 'number') return isDlib(model) ? thresholds : undefined;
  const [first = '', second] = model.split('+');
  const names = comparableModels(first).map((each) => (second === undefined ? each : pairName(each, second)));
  return names.map((name) => thresholds[name]).find((value) => value != null) ?? undefined;
}
