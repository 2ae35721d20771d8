import { type AnyMember, DLIB, FACE_API, type ProbeParts, RETAIL, type Template } from '../../src/index.js';
import { type Form, form, idOf, pick, type Random, type Row } from './cases.js';
import { randomDescriptor } from './helpers.js';

/** A question in which the probe and the members have descriptors of one model, of another, of both, or of none. */
export interface Mixture {
  readonly probe: ProbeParts;
  /** The models of the probe, its own first. */
  readonly models: readonly string[];
  /** The same probe in the body of a client that sends `/match` itself. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly rows: readonly Row[];
  readonly template: Template | undefined;
}

const NETWORKS = ['dlib', 'retail'] as const;
type Network = (typeof NETWORKS)[number];
type Face = Readonly<Record<Network, readonly number[]>>;

const isOf = (random: Random, share: number): boolean => random() < share;

/** A face at about the thresholds from another one. */
function nearby(random: Random, { dlib, retail }: Face): Face {
  const round = pick(random, Math.fround, (x: number) => x);
  const [by, share] = [0.05 + random() * 0.12, 0.5 + random() * 3];
  return {
    dlib: dlib.map((x) => round(x + (random() - 0.5) * by)),
    retail: retail.map((x) => round(x + (random() - 0.5) * share)),
  };
}

interface Several {
  readonly stored: object;
  readonly json: object;
}

/** The descriptors of some photos by their models, in a random form: `{model: D}`, `{model: [D, null]}`, JSON text. */
function byModel(random: Random, photos: readonly Partial<Face>[], dlib: string): Several {
  const stored: Record<string, unknown> = {};
  const json: Record<string, unknown> = {};
  for (const network of pick<readonly Network[]>(random, NETWORKS, NETWORKS.toReversed())) {
    const numbers = photos.map((photo) => photo[network]);
    if (numbers.every((each) => each === undefined)) continue;
    const model = network === 'dlib' ? dlib : RETAIL;
    if (isOf(random, 0.2)) {
      const text = JSON.stringify(numbers.map((each) => each ?? null));
      [stored[model], json[model]] = [text, text];
      continue;
    }
    const empty = pick<Form>(random, { stored: '', json: '' }, { stored: null as never, json: null });
    const forms = numbers.map((each) => (each ? form(random, each) : empty));
    // A list of numbers that stands alone is one descriptor.
    const single = forms.length === 1 && isOf(random, 0.7) ? forms[0] : undefined;
    stored[model] = single ? single.stored : forms.map((each) => each.stored);
    json[model] = single ? single.json : forms.map((each) => each.json);
  }
  const text = JSON.stringify(json);
  return isOf(random, 0.1)
    ? { stored: { descriptors: text }, json: { descriptors: text } }
    : { stored: { descriptors: stored }, json: { descriptors: json } };
}

/** Some photos, of which each has been described by one network, or by both; `only` is the list's only network. */
function photosOf(random: Random, face: Face, only: Network | undefined): Partial<Face>[] {
  return Array.from({ length: Math.ceil(random() * pick(random, 1, 4)) }, () => {
    const { dlib, retail } = nearby(random, face);
    if (only) return { [only]: only === 'dlib' ? dlib : retail };
    return pick<Partial<Face>>(random, { dlib, retail }, { dlib, retail }, { dlib }, { retail });
  });
}

function member(random: Random, i: number, face: Face, probeModels: readonly string[], only: Network | undefined): Row {
  const { regNo, json: id } = idOf(random, pick(random, i, i, 1));
  const name = pick<string | null>(random, `n${i}`, null);
  const row = (fields: object, json: object): Row => ({
    row: { regNo, name, ...fields },
    json: { regNo: id, name, ...json },
  });
  const dlib = pick(random, DLIB, FACE_API);
  const photos = photosOf(random, face, only);
  const [first = {}] = photos;
  switch (Math.floor(random() * (only === 'retail' ? 2 : 7))) {
    case 0:
      return row({ descriptors: { [RETAIL]: null, [dlib]: [] } }, { descriptor: null });
    case 1: {
      // One descriptor, of either network; the second network's only where the probe's model makes pairs with it.
      const network = first.dlib ? 'dlib' : 'retail';
      const { stored, json } = form(random, first[network] ?? []);
      const model = network === 'dlib' ? dlib : RETAIL;
      return row({ descriptor: stored, model }, { descriptor: json, model });
    }
    case 2:
    case 3: {
      // `descriptor` is of the first photo, of another one, or the only one of its model.
      const { stored, json } = byModel(random, pick(random, photos, [nearby(random, face)]), dlib);
      const other = form(random, pick(random, first.dlib, face.dlib) ?? face.dlib);
      return row(
        { descriptor: other.stored, model: dlib, ...stored },
        { descriptor: other.json, model: dlib, ...json },
      );
    }
    default: {
      const { stored, json } = byModel(random, photos, dlib);
      const fields = (stored as { descriptors: object }).descriptors;
      // Where the member has descriptors of the probe's own model, face-api.js's are not compared.
      const isExtra = typeof fields === 'object' && dlib === DLIB && DLIB in fields && probeModels.includes(DLIB);
      const extra = isExtra && photos.some((photo) => photo.dlib) ? { [FACE_API]: randomDescriptor(random) } : {};
      return row(typeof fields === 'object' ? { descriptors: { ...fields, ...extra } } : stored, json);
    }
  }
}

/** A random question. */
export function randomMixture(random: Random): Mixture {
  const face = nearby(random, {
    dlib: randomDescriptor(random),
    retail: Array.from({ length: 256 }, () => random() - 0.5),
  });
  const dlib = pick(random, DLIB, DLIB, FACE_API);
  const photos = pick<Partial<Face>[]>(random, [face], [face], [{ dlib: face.dlib }], [{ retail: face.retail }]).concat(
    isOf(random, 0.2) ? [nearby(random, face)] : [],
  );
  const { stored, json } = byModel(random, photos, dlib);
  const beside = isOf(random, 0.3) ? form(random, face.dlib) : undefined;
  const hasDlib = beside !== undefined || photos.some((photo) => photo.dlib);
  const named = pick(random, dlib, photos.some((photo) => photo.retail) && !beside ? RETAIL : dlib);
  const found = [...(hasDlib ? [dlib] : []), ...(photos.some((photo) => photo.retail) ? [RETAIL] : [])];
  const models = found.toSorted((a, b) => Number(a !== named) - Number(b !== named));
  const only = isOf(random, 0.2) ? pick(random, ...NETWORKS) : undefined;
  const rows = Array.from({ length: Math.floor(random() * 7) }, (_, i) => {
    const away = { dlib: face.dlib.map((x) => x + 1), retail: face.retail.map((x) => -x) };
    return member(random, i, isOf(random, 0.9) ? face : away, models, only);
  });
  const template = pick<Template | undefined>(random, undefined, 'nearest', 'mean');
  return {
    probe: { ...(beside && { descriptor: beside.stored as never }), ...stored, model: named },
    models,
    json: { ...(beside && { descriptor: beside.json }), ...json, model: named },
    rows,
    template,
  };
}

/** A row whose descriptor of this model cannot be read. */
export function badMixture(random: Random, model: string, dimension: number): Row {
  const good = Array.from({ length: dimension }, () => random() - 0.5);
  const bad = pick<unknown>(
    random,
    ...([good.slice(1), [...good, 0], [good.slice(1)], [good, good.with(3, 'x' as never)], { a: 1 }] as const),
    ...([5, true, 'no base64!', '[1', '[[1]]', [null, [good]], [[good]], Object.assign({}, good.slice(1))] as const),
  );
  const row = { regNo: pick<number | string>(random, 7, 'R-9'), name: 'bad', descriptors: { [model]: bad } };
  return { row: row as unknown as AnyMember, json: row };
}
