import assert from 'node:assert/strict';
import type { IncomingHttpHeaders, RequestListener, ServerResponse } from 'node:http';
import { after, beforeEach, test } from 'node:test';

import { FaceError } from '../src/errors.js';
import { FaceClient } from '../src/face-client.js';
import { FACE_API } from '../src/models.js';
import type { FaceOptions } from '../src/options.js';
import { at, memoryLog, pause, serve, until } from './support/helpers.js';

const ENROLLED = [
  { regNo: 1029, name: 'Vicky T', descriptor: at(0) },
  { regNo: '0042', name: 'John Doe', descriptor: at(1) },
];
const PROBE = at(0.1);
const VICKY = { regNo: 1029, name: 'Vicky T' };
const JOHN = { regNo: '0042', name: 'John Doe' };
const PHOTO = Buffer.from('not looked at');

/** How the server answers; each test sets it. */
let behave: RequestListener;
const server = serve((request, response) => {
  behave(request, response);
});
const answer =
  (body: unknown, status = 200): RequestListener =>
  (request, response) => {
    request
      .resume()
      .on('end', () => response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body)));
  };

let log: ReturnType<typeof memoryLog>;
beforeEach(async () => {
  log = memoryLog();
  (await server).requests.length = 0;
});
after(async () => (await server).close());

const service = async (options: FaceOptions = {}): Promise<FaceClient> =>
  new FaceClient({
    ...{ url: (await server).url, timeoutMs: 5000, imageTimeoutMs: 5000, retryAfterMs: 1000, logger: log.logger },
    ...options,
  });

test("the service's answer is returned, match or not", async () => {
  const faces = await service();
  behave = answer(JOHN);
  assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), JOHN);
  behave = answer({ match: false });
  assert.equal(await faces.findMemberByFace(PROBE, ENROLLED), null);
});

const FAILURES: Record<string, RequestListener> = {
  'no JSON': answer('<html>welcome</html>'),
  'another shape': answer({ hello: 'world' }),
  'a list': answer([VICKY]),
  nothing: answer(''),
  'a stranger': answer({ regNo: 7, name: 'Nobody' }),
  'a member under another name': answer({ regNo: 1029, name: 'John Doe' }),
  'a regNo of another type': answer({ regNo: '1029', name: 'Vicky T' }),
  'an error of its own': answer({ error: 'Oh.', code: 'internal' }, 500),
  overload: answer({ error: 'Busy.', code: 'overloaded' }, 503),
  'overload, by 429': answer({ error: 'Busy.', code: 'overloaded' }, 429),
  'wrong keys from this address, by 429': answer({ error: 'Wait.', code: 'throttled', retry_after: 6 }, 429),
  "somebody else's 404": answer('Not Found', 404),
  "somebody else's 401": answer({ message: 'Unauthorized' }, 401),
  'a redirect': (_, response) => response.writeHead(307, { location: '/elsewhere' }).end(),
  'half a body': (_, response) => {
    response.writeHead(200, { 'content-length': 99 }).write('{"match":', () => response.destroy());
  },
  'a closed connection': (request) => request.socket.destroy(),
  silence: () => undefined,
  'headers, then silence': (_, response) => {
    response.writeHead(200).flushHeaders();
  },
  'an endless answer': (_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(' '.repeat(65536)));
    };
    response.on('drain', more);
    more();
  },
};

for (const [name, behaviour] of Object.entries(FAILURES)) {
  test(`matching is local within the same call where the service gives: ${name}`, async () => {
    behave = behaviour;
    const faces = await service({ timeoutMs: 200 });
    assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY);
    const { requests } = await server;
    // A connection that is closed before the answer may have been an old one.
    assert.deepEqual(requests, new Array(name === 'a closed connection' ? 2 : 1).fill('POST /match'));
  });
}

test('a 4xx with an error body of the service is an error, not a fallback', async () => {
  const faces = await service();
  for (const [status, code] of [
    [422, 'no_face'],
    [413, 'too_large'],
    [409, 'model_mismatch'],
    [401, 'unauthorized'],
    [403, 'forbidden'],
  ] as const) {
    behave = answer({ error: 'A sentence.', code, field: 'x' }, status);
    await assert.rejects(faces.findMemberByFace(PROBE, ENROLLED), (error) => {
      assert.ok(error instanceof FaceError);
      assert.deepEqual(error.body, { error: 'A sentence.', code, field: 'x' });
      return error.code === code && error.status === status;
    });
  }
  assert.deepEqual((await faces.health()).breakers, { match: 'closed', image: 'closed' });
});

test('a request that is wrong is refused without asking, in every mode', async () => {
  for (const mode of ['service', 'local', 'shadow'] as const) {
    const faces = await service({ mode, onInvalid: 'throw' });
    await assert.rejects(faces.findMemberByFace([1, 2], ENROLLED), { code: 'invalid_descriptor' });
    await assert.rejects(faces.findMemberByFace(null as never, ENROLLED), { code: 'invalid_descriptor' });
    await assert.rejects(faces.findMemberByFace(PROBE, [{ regNo: 1, descriptor: [1] }]), {
      code: 'invalid_descriptor',
    });
    await assert.rejects(faces.findMemberByFace(Buffer.alloc(0), ENROLLED), { code: 'bad_image' });
  }
  assert.deepEqual((await server).requests, []);
});

test('a dead service is left alone, tried again, and used again, with one line of log for each change', async () => {
  const faces = await service();
  log.lines.length = 0;
  behave = answer('no', 502);
  for (let i = 0; i < 10; i++) assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY);
  assert.equal((await server).requests.length, 3);
  assert.equal((await faces.health()).breakers?.match, 'open');
  behave = answer(JOHN);
  await pause(1000);
  assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY, 'the trial costs its caller nothing');
  await until(async () => (await faces.health()).breakers?.match === 'closed');
  assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), JOHN);
  const [first, down, up, ...more] = log.lines;
  assert.equal(first, 'warn: The face service did not answer a call: it answered with status 502. Matching locally.');
  assert.equal(down, 'warn: The face service fails at /match: it answered with status 502. Matching locally.');
  assert.match(up ?? '', /^info: The face service is back at \/match after \d+\.\d s\.$/);
  assert.deepEqual(more, []);
});

test('without a URL, and in mode local, nothing is asked', async () => {
  for (const options of [{ url: '' }, { mode: 'local' } as const]) {
    const faces = await service(options);
    assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY);
    assert.deepEqual(await faces.health(), { service: 'none' });
    await assert.rejects(faces.encodeImage(PHOTO), { code: 'unavailable' });
  }
  assert.deepEqual((await server).requests, []);
});

test('a photo that the service cannot describe is answered by the descriptor beside it, or by unavailable', async () => {
  behave = answer('no', 502);
  const faces = await service();
  assert.deepEqual(await faces.findMemberByFace({ image: PHOTO, descriptor: PROBE }, ENROLLED), VICKY);
  await assert.rejects(faces.findMemberByFace(PHOTO, ENROLLED), (error) => {
    assert.ok(error instanceof FaceError);
    return (
      error.code === 'unavailable' && error.status === 503 && error.body['reason'] === 'it answered with status 502'
    );
  });
});

/** Answers /encode-image with this model, and keeps the bodies of /match in `asked`. */
const encoder =
  (model: string, asked: Record<string, unknown>[], match: unknown = { match: false }): RequestListener =>
  (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/match') asked.push(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
      response.end(JSON.stringify(request.url === '/match' ? match : { descriptor: at(1), model }));
    });
  };

test('a described photo is matched locally where only /match fails', async () => {
  behave = encoder('dlib-resnet-v1', [], 'nonsense');
  assert.deepEqual(await (await service()).findMemberByFace({ image: PHOTO, descriptor: PROBE }, ENROLLED), JOHN);
});

test("the response's model decides which descriptors are sent, and which threshold applies", async () => {
  const asked: Record<string, unknown>[] = [];
  const faces = await service({ threshold: 0.5 });
  behave = encoder('dlib-resnet-v1', asked);
  await faces.findMemberByFace({ image: PHOTO, descriptor: PROBE }, ENROLLED);
  behave = encoder('insight-512', asked);
  await faces.findMemberByFace({ image: PHOTO, descriptor: PROBE }, [
    { ...ENROLLED[0], regNo: 1, descriptors: { 'insight-512': at(2) } },
  ]);
  assert.deepEqual(
    asked.map(({ model, threshold }) => [model, threshold]),
    [
      ['dlib-resnet-v1', 0.5],
      ['insight-512', undefined],
    ],
  );
});

test('a descriptor of a model that only the service knows is never matched locally', async () => {
  behave = answer('no', 502);
  const probe = { descriptor: PROBE, model: 'insight-512' };
  const enrolled = [{ regNo: 1, descriptors: { 'insight-512': PROBE } }];
  await assert.rejects((await service()).findMemberByFace(probe, enrolled), { code: 'unavailable' });
});

test("before any member has the new model's descriptor, face-api.js's is asked instead", async () => {
  const asked: Record<string, unknown>[] = [];
  behave = encoder('insight-512', asked, VICKY);
  assert.deepEqual(await (await service()).findMemberByFace({ image: PHOTO, descriptor: PROBE }, ENROLLED), VICKY);
  assert.deepEqual(
    asked.map(({ model }) => model),
    [FACE_API],
  );
});

test('the members stay here where the gallery of the service holds them, and are still the fallback', async () => {
  const asked: Record<string, unknown>[] = [];
  const faces = await service({ gallery: true });
  behave = encoder('', asked, { regNo: 'only-in-the-gallery', name: 'Eve' });
  assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), { regNo: 'only-in-the-gallery', name: 'Eve' });
  assert.deepEqual(await faces.findMemberByFace(PROBE), { regNo: 'only-in-the-gallery', name: 'Eve' });
  assert.deepEqual(
    asked.map((body) => 'enrolled' in body),
    [false, false],
  );
  behave = answer('no', 502);
  assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY);
  await assert.rejects(faces.findMemberByFace(PROBE), { code: 'unavailable' });
});

test('the key, the collection, the ids and the user agent are sent', async () => {
  let headers: IncomingHttpHeaders = {};
  behave = (request, response) => {
    headers = request.headers;
    response.setHeader('x-request-id', 'the-one-in-the-log');
    answer({ match: false })(request, response);
  };
  const faces = await service({ apiKey: 'secret', collection: 'site-a', userAgent: 'door/1' });
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const result = await faces.matchDetailed(PROBE, ENROLLED, { requestId: 'door-7', traceparent });
  assert.equal(headers.authorization, 'Bearer secret');
  assert.equal(headers['x-face-collection'], 'site-a');
  assert.equal(headers['x-request-id'], 'door-7');
  assert.equal(headers['traceparent'], traceparent);
  assert.match(headers['user-agent'] ?? '', /^door\/1 face128-client\/\d+\.\d+\.\d+$/);
  assert.equal(result.requestId, 'the-one-in-the-log');
});

test('every result says where it comes from, and the counters agree', async () => {
  const faces = await service();
  const fallbacks: unknown[] = [];
  faces.events.on('fallback', ({ reason, detail }) => fallbacks.push([reason, detail]));
  behave = answer(VICKY);
  const served = await faces.matchDetailed(PROBE, ENROLLED);
  assert.deepEqual([served.match, served.source, served.reason], [VICKY, 'service', null]);
  behave = answer('no', 502);
  const local = await faces.matchDetailed(PROBE, ENROLLED);
  assert.deepEqual([local.match, local.source, local.reason], [VICKY, 'local', 'server_error']);
  assert.ok(local.durationMs > 0 && local.requestId.length > 0);
  assert.ok(Math.abs((local.distance ?? 1) - 0.1) < 1e-7);
  assert.deepEqual(fallbacks, [['server_error', 'it answered with status 502']]);
  assert.deepEqual(faces.counters(), { service: 1, local: { server_error: 1 }, failed: 0, skipped: 0, uploads: 0 });
  const none = await (await service({ url: '' })).matchDetailed(PROBE, ENROLLED);
  assert.deepEqual([none.source, none.reason], ['local', 'not_configured']);
  const shadow = await (await service({ mode: 'shadow' })).matchDetailed(PROBE, ENROLLED);
  assert.deepEqual([shadow.source, shadow.reason], ['local', 'shadow_mode']);
});

test('a wrong key is logged at once, is an error, and shows in health', async () => {
  const faces = await service({ apiKey: 'wrong' });
  behave = (request, response) => {
    if (request.url === '/health') answer({ status: 'healthy' })(request, response);
    else answer({ error: 'No.', code: 'unauthorized' }, 401)(request, response);
  };
  for (let i = 0; i < 5; i++) {
    await assert.rejects(faces.findMemberByFace(PROBE, ENROLLED), { code: 'unauthorized' });
  }
  const line = 'warn: The face service refuses the API key (unauthorized), and nobody is recognised: No.';
  assert.deepEqual(log.lines, [line]);
  // After some wrong keys the service does not look at them any more.
  behave = answer({ error: 'Wait.', code: 'throttled' }, 429);
  await assert.rejects(faces.findMemberByFace(PROBE, ENROLLED), { code: 'throttled' });
  behave = (request, response) => {
    if (request.url === '/health') answer({ status: 'healthy' })(request, response);
    else answer({ error: 'No.', code: 'unauthorized' }, 401)(request, response);
  };
  const { service: state, code } = await faces.health();
  assert.deepEqual([state, code], ['misconfigured', 'unauthorized']);
});

test('a call ends when its caller aborts it, and the breaker does not care', async () => {
  behave = () => undefined;
  const faces = await service();
  for (let i = 0; i < 5; i++) {
    const signal = AbortSignal.timeout(20);
    await assert.rejects(faces.findMemberByFace(PROBE, ENROLLED, { signal }), { name: 'TimeoutError' });
  }
  assert.equal((await faces.health({ timeoutMs: 50 })).breakers?.match, 'closed');
  await assert.rejects(faces.findMemberByFace(PROBE, ENROLLED, { signal: AbortSignal.abort(new Error('left')) }), {
    message: 'left',
  });
});

test('the deadline bounds the whole call: photo, match and retries', async () => {
  const encode = encoder('dlib-resnet-v1', []);
  behave = (request, response) => {
    if (request.url !== '/match')
      setTimeout(() => {
        encode(request, response);
      }, 200);
  };
  const faces = await service();
  const began = performance.now();
  const result = await faces.matchDetailed({ image: PHOTO, descriptor: PROBE }, ENROLLED, { timeoutMs: 400 });
  assert.deepEqual([result.source, result.reason], ['local', 'timeout']);
  assert.ok(performance.now() - began < 2000);
  behave = (_, response) => response.writeHead(503, { 'retry-after': '1' }).end('busy');
  await assert.rejects(faces.encodeImage(PHOTO, { timeoutMs: 300 }), { code: 'unavailable' });
  assert.equal((await server).requests.filter((each) => each.includes('encode')).length, 2);
});

test('a service that is busy is asked again where there is no local answer', async () => {
  let turn = 0;
  behave = (request, response) => {
    if (turn++ === 0) response.writeHead(503, { 'retry-after': '1' }).end('busy');
    else answer({ descriptor: at(0.1), model: 'dlib-resnet-v1' })(request, response);
  };
  assert.equal((await (await service()).encodeImage(PHOTO)).model, 'dlib-resnet-v1');
});

test('a timeout while this process was busy itself says nothing about the service', async () => {
  const pending: ServerResponse[] = [];
  behave = (_, response) => {
    pending.push(response);
  };
  const faces = await service({ timeoutMs: 300 });
  const calls = Array.from({ length: 5 }, () => faces.matchDetailed(PROBE, ENROLLED));
  await until(() => pending.length === 5);
  const end = performance.now() + 350;
  while (performance.now() < end);
  for (const { source, reason } of await Promise.all(calls)) assert.deepEqual([source, reason], ['local', 'timeout']);
  behave = answer(VICKY);
  assert.equal((await faces.matchDetailed(PROBE, ENROLLED)).source, 'service');
});

test('an own fetch and dispatcher are used', async () => {
  const seen: unknown[] = [];
  const dispatcher = {};
  const faces = await service({
    dispatcher,
    fetch: (_, init) => {
      seen.push((init as { dispatcher?: object }).dispatcher);
      return Promise.resolve(Response.json(VICKY));
    },
  });
  assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY);
  assert.deepEqual(seen, [dispatcher]);
});

test('an error of a listener does not reach the caller', async () => {
  const faces = await service();
  behave = answer('no', 502);
  faces.events.on('fallback', () => {
    throw new Error('broken listener');
  });
  assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY);
});

test('a closed client answers locally at once', async () => {
  behave = () => undefined;
  const faces = await service();
  const waiting = faces.matchDetailed(PROBE, ENROLLED);
  faces.close();
  assert.equal((await waiting).reason, 'closed');
  assert.equal((await faces.matchDetailed(PROBE, ENROLLED)).reason, 'closed');
});

const answered = (faces: FaceClient): number => faces.shadowReport().compared + faces.shadowReport().unanswered;

test('shadow mode answers locally at once and counts agreed, differing and missing answers of the service', async () => {
  const faces = await service({ mode: 'shadow' });
  const differed: unknown[] = [];
  faces.events.on('shadow', (comparison) => differed.push(comparison.agreed));
  const replies: RequestListener[] = [
    answer({ ...VICKY, distance: 0.1 }),
    answer({ match: false, distance: 0.5 }),
    answer({ ...JOHN, distance: 0.3 }),
    answer({ error: 'Too many.', code: 'too_large' }, 413),
    answer('no', 502),
  ];
  for (const reply of replies) {
    behave = reply;
    const before = answered(faces);
    assert.deepEqual(await faces.findMemberByFace(PROBE, ENROLLED), VICKY);
    await until(() => answered(faces) > before);
  }
  const { since, differences, distanceGap, ...counts } = faces.shadowReport();
  assert.ok(since <= new Date());
  assert.deepEqual(counts, { compared: 4, agreed: 1, differed: 3, unanswered: 1 });
  assert.deepEqual(differed, [true, false, false, false]);
  assert.deepEqual(
    differences.map(({ service }) => service),
    [{ match: null, distance: 0.5 }, { match: JOHN, distance: 0.3 }, { code: 'too_large' }],
  );
  assert.equal(distanceGap?.max, 0.4);
});

test('the report keeps the last hundred differences', async () => {
  const faces = await service({ mode: 'shadow' });
  behave = answer({ match: false });
  for (let i = 0; i < 102; i++) {
    await faces.findMemberByFace(at(i / 1000), ENROLLED);
    await until(() => faces.shadowReport().differed > i);
  }
  const { differences, differed } = faces.shadowReport();
  assert.equal(differed, 102);
  assert.deepEqual([differences.length, differences[0]?.local.distance], [100, 0.002]);
});

test('enrolling sends the name and every photo, and gives the number of faces stored', async () => {
  const chunks: Buffer[] = [];
  let type = '';
  behave = (request, response) => {
    type = request.headers['content-type'] ?? '';
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => response.end(JSON.stringify({ status: 'success', faces_stored: 2 })));
  };
  const faces = await service();
  assert.equal(await faces.enrol({ regNo: 'a/b?', name: 'Zoë' }, [PHOTO, Buffer.from([0, 255])], { replace: true }), 2);
  assert.deepEqual((await server).requests, ['POST /enroll_faces/a%2Fb%3F?replace=true']);

  const sent = await new Response(Buffer.concat(chunks), { headers: { 'content-type': type } }).formData();
  assert.equal(sent.get('name'), 'Zoë');
  const photos = await Promise.all(sent.getAll('images').map((photo) => new Response(photo).arrayBuffer()));
  assert.deepEqual(
    photos.map((photo) => Buffer.from(photo)),
    [PHOTO, Buffer.from([0, 255])],
  );
});

test('the quality of a photo is asked for with an option and passed on, and what is not understood is left out', async () => {
  const face = { descriptor: at(0.1), model: 'dlib-resnet-v1' };
  const measures = { eye_distance: 41.5, sharpness: 0.1, brightness: 0.5, contrast: 0.2, yaw: -3, pitch: 2, roll: 0 };
  const quality = { verdict: 'poor', reasons: ['blurred'], measures: { ...measures, margin: null } };
  const { eye_distance: eyeDistance, ...others } = quality.measures;
  const known = { ...quality, measures: { eyeDistance, ...others } };
  for (const [sent, read] of [
    [quality, known],
    [{ verdict: 'superb', reasons: [], measures: {} }, undefined],
    ['poor', undefined],
  ] as const) {
    const faces = await service();
    const paths: (string | undefined)[] = [];
    behave = (request, response) => {
      paths.push(request.url);
      answer({ ...face, quality: sent })(request, response);
    };
    assert.deepEqual((await faces.encodeImage(PHOTO, { quality: true })).quality, read);
    await faces.encodeImage(PHOTO);
    assert.deepEqual(paths, ['/encode-image?quality=true', '/encode-image']);
  }
});

test('an invalid descriptor is a failure of the service, and a valid one comes as float32', async () => {
  const good = { descriptor: at(0.1), model: 'dlib-resnet-v1' };
  for (const wrong of [
    { ...good, model: 7 },
    { ...good, descriptor: at(0).slice(1) },
    { ...good, descriptor: ['x'] },
    { descriptor: [], model: 'x' },
    { ...good, descriptor: at(1e39) },
  ]) {
    const faces = await service();
    behave = answer(wrong);
    await assert.rejects(faces.encodeImage(PHOTO), { code: 'unavailable' });
    behave = answer(good);
    assert.deepEqual(await faces.encodeImage(PHOTO), { ...good, descriptor: Float32Array.from(at(0.1)) });
  }
});

test('what was done to a photo is passed on, and nonsense about it is left out', async () => {
  const good = { descriptor: at(0.1), model: 'dlib-resnet-v1' };
  const faces = await service();
  for (const [adjusted, expected] of [
    [
      { turned: 270, margin_added: true, lightened: true },
      { turned: 270, marginAdded: true, lightened: true },
    ],
    [{ turned: 90, blurred: 3 }, { turned: 90 }],
    [{ turned: 45, lightened: 'yes' }, undefined],
    [{}, undefined],
    [null, undefined],
    ['turned', undefined],
  ]) {
    behave = answer({ ...good, adjusted });
    const face = await faces.encodeImage(PHOTO);
    assert.deepEqual(face.adjusted, expected);
    assert.equal('adjusted' in face, expected !== undefined);
  }
});
