import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { DLIB, FaceClient, type Member, type ShadowComparison } from '../../src/index.js';
import { memoryLog, randomDescriptor, seeded, until } from '../support/helpers.js';
import { Face128, fixture, KEY } from '../support/face128.js';

const PEOPLE = ['obama-2010.jpg', 'biden-2010.jpg', 'hopper-1984.jpg'];

const { lines: log, logger } = memoryLog();
let service: Face128;
before(async () => {
  service = await Face128.start();
});
after(() => service.kill());

/** Wait until the service's answers to this many calls have come. */
async function settled(faces: FaceClient, calls: number): Promise<void> {
  const done = (): number => faces.shadowReport().compared + faces.shadowReport().unanswered;
  await until(() => done() >= calls);
}

test('shadow mode reports the planted disagreements and no others', async () => {
  const options = { url: service.url, apiKey: KEY, threshold: 0.5, timeoutMs: 5000, logger };
  const describer = new FaceClient(options);
  const photos = PEOPLE.map((name) => fixture(`photos/${name}`));
  const descriptors = await Promise.all(photos.map(async (photo) => (await describer.encodeImage(photo)).descriptor));
  const random = seeded(4);
  const crowd = Array.from({ length: 50 }, (_, i): Member => ({
    regNo: `crowd ${i}`,
    descriptor: randomDescriptor(random),
  }));
  const members = descriptors.map((descriptor, i): Member => ({
    regNo: i,
    name: PEOPLE[i] ?? '',
    descriptors: { [DLIB]: descriptor },
  }));

  const faces = new FaceClient({ ...options, mode: 'shadow' });
  const differed: ShadowComparison[] = [];
  faces.events.on('shadow', (comparison) => {
    if (!comparison.agreed) differed.push(comparison);
  });
  // The browser's descriptor is that of the person in the photo, except in planted disagreements: that of the next person.
  const planted = [3, 7, 8, 17];
  const expected: (number | undefined)[][] = [];
  for (let call = 0; call < 24; call++) {
    const person = call % PEOPLE.length;
    const seen = planted.includes(call) ? (person + 1) % PEOPLE.length : person;
    const probe = { image: photos[person] ?? Buffer.alloc(0), descriptor: descriptors[seen] ?? null };
    assert.equal((await faces.findMemberByFace(probe, [...crowd, ...members]))?.regNo, seen, 'the local answer counts');
    await settled(faces, call + 1);
    if (seen !== person) expected.push([seen, person]);
  }
  const matches = ({ local, service: remote }: ShadowComparison): unknown[] => [
    local.match?.regNo,
    'match' in remote ? remote.match?.regNo : remote.code,
  ];
  const report = faces.shadowReport();
  assert.deepEqual([report.agreed, report.differed, report.unanswered], [20, 4, 0]);
  assert.deepEqual(report.differences.map(matches), expected);
  assert.deepEqual(differed.map(matches), expected);
  assert.deepEqual(
    report.distanceGap,
    { mean: 0, max: 0 },
    'each person is at distance 0 from their own descriptor in both answers',
  );
});

test('without the service, shadow mode still answers locally', async () => {
  const faces = new FaceClient({ url: service.url, apiKey: KEY, mode: 'shadow', logger });
  const members: Member[] = [{ regNo: 1, name: 'x', descriptor: new Float32Array(128) }];
  log.length = 0;
  await service.kill();
  for (let i = 0; i < 20; i++) assert.equal((await faces.findMemberByFace(new Float32Array(128), members))?.regNo, 1);
  await settled(faces, 20);
  const { compared, unanswered, differences } = faces.shadowReport();
  assert.deepEqual([compared, unanswered, differences], [0, 20, []]);
  assert.equal(log.length, 1);
});
