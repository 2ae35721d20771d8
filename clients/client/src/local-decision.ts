import { decideAmong, type MatchAnswer, type MemberId, type Search } from './matcher.js';
import { localModel } from './models.js';
import type { FaceSettings } from './options.js';
import type { PreparedList } from './prepared-list.js';
import type { DescribedFace } from './probe.js';
import { localSpaces, type Space } from './spaces.js';
import { templateRows } from './templates.js';
import { thresholdFor } from './thresholds.js';
import { fuse } from './vectors.js';

interface LocalSearch<Id extends MemberId> extends Search<Id> {
  readonly model: string;
}

interface LocalAnswer<Id extends MemberId> extends MatchAnswer<Id> {
  /** That decided. */
  readonly model: string;
  /** Where the face has descriptors of several. */
  readonly models?: readonly string[];
}

/** Whether the local rule knows a model of this face. */
export function hasLocalRule({ model, companions }: DescribedFace): boolean {
  return [model, ...companions.map((each) => each.model)].some((name) => localModel(name) !== undefined);
}

/** The decision of the local rule, which is the service's, about a face and a list for its models. */
export async function decideLocally<Id extends MemberId>(
  list: PreparedList<Id>,
  face: DescribedFace,
  { decisionModels, review, ...settings }: FaceSettings,
): Promise<LocalAnswer<Id>> {
  const search = async (space: Space<Id>): Promise<LocalSearch<Id>> => {
    const { model } = space;
    const rule = localModel(model);
    if (!rule) throw new Error(`there is no local rule for ${model}`);
    const rows = settings.template === 'mean' ? await templateRows(space, rule) : space;
    const threshold = thresholdFor(settings.threshold, model) ?? rule.threshold;
    return { model, rows, metric: rule.metric, threshold, probe: probeOf(face, model) };
  };
  const spaces = await localSpaces(list, decisionModels);
  const searches = await Promise.all(spaces.map(search));
  const { answer, search: best = searches[0] } = decideAmong<Id, LocalSearch<Id>>(searches, review);
  const model = best?.model ?? list.model;
  return { ...answer, model, ...(face.companions.length > 0 && { models: model.split('+') }) };
}

/** The face's descriptor of this model, or its pair of two. */
function probeOf(face: DescribedFace, model: string): Float64Array {
  const vectors = model
    .split('+')
    .map((name) => [face, ...face.companions].find((each) => each.model === name)?.vector);
  const [first, second] = vectors;
  if (!first) throw new Error(`the face has no descriptor of ${model}`);
  return second ? fuse(first, second) : first;
}
