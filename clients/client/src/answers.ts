import { badAnswer } from './errors.js';
import type { Json } from './http.js';
import type { Match, MatchAnswer, MemberId } from './matcher.js';
import { dimensionOf } from './models.js';
import type { PreparedList } from './prepared-list.js';

/** A face as the service describes it. Keep the model with the descriptor. */
export interface EncodedFace {
  readonly descriptor: Float32Array;
  readonly model: string;
}

/** The digits of a whole number, which JSON.parse rounds beyond 2^53. A quote within a JSON text is escaped. */
const WHOLE_REG_NO = /"regNo":\s*(-?\d+)\s*[,}]/g;

/** The answer of `/match`. Throws a ServiceFailure unless it is none, or a member of the list. */
export function readMatch<Id extends MemberId>(
  answer: Json,
  text: string,
  list: PreparedList<Id> | undefined,
): MatchAnswer<Id> {
  const distance = typeof answer['distance'] === 'number' ? answer['distance'] : null;
  if (answer['match'] === false) return { match: null, distance };
  const { name } = answer;
  const regNo = exactRegNo(answer['regNo'], text);
  if (regNo === undefined || (typeof name !== 'string' && name != null)) throw badAnswer();
  // The gallery's members are not known here.
  const match = list ? list.find(regNo, name ?? null) : ({ regNo, name: name ?? null } as Match<Id>);
  if (!match) throw badAnswer();
  return { match, distance };
}

/** The answer of `/encode-image`. Throws a ServiceFailure unless it has a descriptor of its model. */
export function readFace({ descriptor, model }: Json): EncodedFace {
  if (typeof model !== 'string' || !Array.isArray(descriptor)) throw badAnswer();
  if (descriptor.length === 0 || descriptor.length !== (dimensionOf(model) ?? descriptor.length)) throw badAnswer();
  if (!descriptor.every((x) => typeof x === 'number' && Number.isFinite(Math.fround(x)))) throw badAnswer();
  return { descriptor: Float32Array.from(descriptor as number[]), model };
}

function exactRegNo(regNo: unknown, text: string): MemberId | undefined {
  if (typeof regNo === 'string') return regNo;
  if (typeof regNo !== 'number') return undefined;
  if (Number.isSafeInteger(regNo) || !Number.isInteger(regNo)) return regNo;
  // The runner-up has a regNo too, which may be rounded to the same number: the member's own is the first.
  const digits = Array.from(text.matchAll(WHOLE_REG_NO), (match) => match[1] ?? '').find(
    (each) => Number(each) === regNo,
  );
  return digits === undefined ? regNo : BigInt(digits);
}
