// Without the client's own modules, which the tests of the Nest module cannot compile.
const [DLIB, FACE_API, RETAIL] = ['dlib-resnet-v1', 'faceapi-resnet-v1', 'retail-0095'] as const;

type Row = Readonly<Record<string, unknown>>;

/** A request of /match as a call of the client. */
export interface SeveralQuestion {
  readonly probe: {
    readonly descriptor: readonly number[] | undefined;
    readonly descriptors: Readonly<Record<string, readonly number[]>> | undefined;
    readonly model: string;
  };
  readonly members: readonly { readonly regNo: number | string; readonly model: string }[];
  readonly threshold: Readonly<Record<string, number>> | undefined;
  readonly template: 'nearest' | 'mean' | undefined;
}

const CARDS = {
  [DLIB]: 0.38,
  [FACE_API]: 0.38,
  [RETAIL]: 0.65,
  [`${DLIB}+${RETAIL}`]: 0.66,
  [`${FACE_API}+${RETAIL}`]: 0.66,
};

/**
 * In a request what names no model is dlib's, and here face-api.js's; there a number is a threshold for the probe's own
 * model alone, and an object's are for the models with exactly these names.
 */
export function severalQuestion(request: Row): SeveralQuestion {
  const model = (request['model'] ?? DLIB) as string;
  const { descriptor, descriptors } = request as unknown as SeveralQuestion['probe'];
  const { threshold, template } = request;
  const hasOwn = descriptor != null || !isByModel(descriptors) || model in descriptors;
  const own = hasOwn ? model : (Object.keys(descriptors)[0] ?? model);
  const members = (request['enrolled'] as { regNo: number | string; model?: string }[]).map((member) => {
    return { ...member, model: member.model ?? model };
  });
  return {
    probe: { descriptor, descriptors, model },
    members,
    threshold: typeof threshold === 'number' ? { ...CARDS, [own]: threshold } : exactThresholds(threshold),
    template: (template ?? undefined) as SeveralQuestion['template'],
  };
}

function exactThresholds(threshold: unknown): SeveralQuestion['threshold'] {
  if (!isByModel(threshold) || Object.keys(threshold).length === 0) {
    return (threshold ?? undefined) as SeveralQuestion['threshold'];
  }
  const given = Object.entries(threshold).filter(([, value]) => value !== null);
  return { ...CARDS, ...(Object.fromEntries(given) as Record<string, number>) };
}

function isByModel(descriptors: unknown): descriptors is Row {
  return typeof descriptors === 'object' && descriptors !== null && !Array.isArray(descriptors);
}
