/** Measures what a call costs the application: `npm run bench` in clients/, with the Python of FACE128_PYTHON. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

import { decide, FaceClient, type Member, prepare } from '../src/index.js';
import { Face128, KEY } from '../test/support/face128.js';
import { randomDescriptor, seeded } from '../test/support/helpers.js';

const random = seeded(1);
const float32 = (): number[] => randomDescriptor(random).map(Math.fround);
const FORMS: Readonly<Record<string, () => Member['descriptor']>> = {
  'lists of float32 numbers': float32,
  'lists of doubles': () => randomDescriptor(random),
  Float32Array: () => Float32Array.from(float32()),
  'JSON text': () => JSON.stringify(float32()),
  Buffer: () => Buffer.from(Float32Array.from(float32()).buffer),
};
const members = (count: number, form = float32 as () => Member['descriptor']): Member[] =>
  Array.from({ length: count }, (_, regNo) => ({ regNo, name: `Member ${regNo}`, descriptor: form() ?? null }));
const ms = (value: number): string => `${value.toFixed(2)} ms`;
/** The median, and the best: what the machine's other work did not disturb. */
function summary(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return `${ms(sorted[Math.floor(sorted.length / 2)] ?? NaN)} (best ${ms(sorted[0] ?? NaN)})`;
}

const CALLS_A_ROUND = 50;

interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
  /** The longest time that other tasks had to wait. */
  readonly delayMs: number;
}

async function cost(work: () => Promise<unknown>): Promise<Cost> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await pause(20);
  delay.reset();
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  const wallMs = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  await pause(5);
  delay.disable();
  return { wallMs, cpuMs: (user + system) / 1000, delayMs: delay.max / 1e6 - 1 };
}

async function preparing(): Promise<void> {
  for (const [form, make] of Object.entries(FORMS)) {
    const list = members(10_000, make);
    const costs: Cost[] = [];
    for (let i = 0; i < 7; i++) {
      globalThis.gc?.();
      costs.push(await cost(() => prepare(list)));
    }
    const of = (key: keyof Cost): string => summary(costs.map((each) => each[key]));
    console.log(`prepare 10,000 members, ${form}: ${of('wallMs')}, CPU ${of('cpuMs')}, longest wait ${of('delayMs')}`);
  }
}

async function matchingLocally(): Promise<void> {
  const list = await (await prepare(members(10_000))).list();
  const probe = Float64Array.from(float32());
  const times = Array.from({ length: 200 }, () => {
    const began = performance.now();
    decide(probe, list, 0.38);
    return performance.now() - began;
  });
  console.log(`local match, 10,000 members: ${summary(times)}`);
}

/** Rounds with a short list and a long one take turns. */
async function matchingByReference(faces: FaceClient): Promise<void> {
  const probe = float32();
  const measured = new Map([1, 10_000].map((count) => [count, { cpu: [] as number[], walls: [] as number[] }]));
  const lists = new Map(await Promise.all([1, 10_000].map(async (n) => [n, await faces.prepare(members(n))] as const)));
  for (let round = 0; round < 11; round++) {
    for (const [count, { cpu, walls }] of measured) {
      const list = lists.get(count);
      const { cpuMs, wallMs } = await cost(async () => {
        for (let i = 0; i < CALLS_A_ROUND; i++) await faces.findMemberByFace(probe, list);
      });
      // The first round warms up.
      if (round > 0) cpu.push(cpuMs / CALLS_A_ROUND);
      if (round > 0) walls.push(wallMs / CALLS_A_ROUND);
    }
  }
  for (const [count, { cpu, walls }] of measured) {
    console.log(`by reference, ${count} members: CPU ${summary(cpu)} a call, ${summary(walls)} end to end`);
  }
}

async function atOnce(faces: FaceClient, calls: number, count: number, shared: boolean): Promise<void> {
  const one = members(count);
  const lists = Array.from({ length: calls }, () => (shared ? one : members(count)));
  const probe = float32();
  const results = await Promise.all(lists.map((list) => faces.matchDetailed(probe, list)));
  const served = results.filter(({ source }) => source === 'service').length;
  const slowest = Math.max(...results.map(({ durationMs }) => durationMs));
  const { breakers } = await faces.health();
  const what = `${calls} calls at once, ${count} members, ${shared ? 'one array' : 'an array each'}`;
  console.log(`${what}: ${served} by the service, slowest ${ms(slowest)}, breaker ${breakers?.match ?? ''}`);
}

const service = await Face128.start();
try {
  await preparing();
  await matchingLocally();
  const client = (): FaceClient => new FaceClient({ url: service.url, apiKey: KEY });
  await matchingByReference(client());
  for (const [calls, count] of [
    [8, 10_000],
    [50, 300],
  ] as const) {
    for (const shared of [true, false]) await atOnce(client(), calls, count, shared);
  }
} finally {
  await service.kill();
}
