import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FaceClient, type Member } from '../src/index.js';
import { templateRows } from '../src/templates.js';
import { at, memoryLog, randomDescriptor, seeded } from './support/helpers.js';

const { logger } = memoryLog();
const RULE = { dimension: 128, metric: 'euclidean', threshold: 0.38, cap: 0.6 } as const;
const faces = new FaceClient({ mode: 'local', template: 'mean', logger });

test('entries with ids that the service does not tell apart are one person', async () => {
  for (const [a, b] of [
    [7, 7n],
    [1e21, 10n ** 21n],
    [0, -0],
  ] as const) {
    const members = [
      { regNo: a, name: 'first', descriptor: at(0.1) },
      { regNo: b, name: 'second', descriptor: at(0.3) },
    ];
    const { match, distance } = await faces.matchDetailed(new Float32Array(128), members);
    assert.deepEqual([match?.name, distance], ['first', 0.2]);
  }
  const two = [
    { regNo: 7, descriptor: at(0.1) },
    { regNo: '7', descriptor: at(0.3) },
  ];
  assert.equal((await faces.matchDetailed(new Float32Array(128), two)).distance, 0.1);
});

test("a person's descriptors of another model make another template", async () => {
  const dlib = { regNo: 1, model: 'dlib-resnet-v1', descriptor: at(0.2) };
  const own = { regNo: 1, descriptors: [at(0.25), at(0.35)] };
  assert.equal((await faces.matchDetailed(new Float32Array(128), [own, dlib])).distance, 0.2);
  assert.equal((await faces.matchDetailed(new Float32Array(128), [own])).distance, 0.3);
});

test('members with one photo are decided as by nearest, and their rows are not copied', async () => {
  const random = seeded(5);
  const members = Array.from({ length: 50 }, (_, regNo): Member => ({ regNo, descriptor: randomDescriptor(random) }));
  const prepared = await faces.prepare(members);
  const list = await prepared.list();
  assert.equal(await templateRows(list, RULE), list);
  const nearest = new FaceClient({ mode: 'local', logger });
  for (let i = 0; i < 20; i++) {
    const probe = randomDescriptor(random);
    const { distance } = await nearest.matchDetailed(probe, prepared);
    assert.equal((await faces.matchDetailed(probe, prepared)).distance, distance);
  }
});

test('the templates of a list are made once, in slices', async () => {
  const random = seeded(6);
  const rows = Array.from({ length: 10_000 }, (_, regNo) => {
    const first = randomDescriptor(random);
    return { regNo, descriptors: [first, first.map((x) => x + 0.001), first.map((x) => x - 0.001)] };
  });
  const list = await (await faces.prepare(rows)).list();
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const templates = await templateRows(list, RULE);
  clearInterval(timer);
  assert.ok(turns > 1);
  assert.equal(templates.owners.length, 10_000);
  assert.equal(await templateRows(list, RULE), templates);
});
