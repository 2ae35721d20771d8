import 'reflect-metadata';

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { type DynamicModule, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

import { FaceClient, FaceException, FaceModule, FaceService, faceToken, InjectFace } from '../src';
import { memoryLog } from '../../client/test/support/helpers';

async function serviceOf(module: DynamicModule): Promise<FaceService> {
  const application = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
  return application.get(FaceService);
}

afterEach(() => delete process.env['FACE_SERVICE_URL']);

test('forRoot and forRootAsync provide the service', async () => {
  for (const module of [
    FaceModule.forRoot({ mode: 'local' }),
    FaceModule.forRootAsync({ useFactory: () => Promise.resolve({ mode: 'local' as const }) }),
  ]) {
    assert.equal(await (await serviceOf(module)).findMemberByFace(new Float32Array(128), []), null);
  }
});

test('FACE_SERVICE_URL is read when the application starts, and the option wins', async () => {
  const module = FaceModule.forRoot({});
  process.env['FACE_SERVICE_URL'] = 'http://127.0.0.1:1/faces/';
  assert.equal((await (await serviceOf(module)).health()).service, 'down');
  assert.equal((await (await serviceOf(FaceModule.forRoot({ url: '' }))).health()).service, 'none');
});

test('a wrong option stops the start', async () => {
  for (const wrong of [
    { url: 'localhost:8000' },
    { url: 'ftp://faces.example' },
    { url: 'http://user@faces.example' },
    { url: 'http://:secret@faces.example' },
    { url: 'http://faces.example/?key=secret' },
    { url: 'http://faces.example', apiKey: 'schlüssel\n€' },
    { threshold: 0 },
    { threshold: 38 },
    { timeoutMs: 0 },
    { imageTimeoutMs: 2 ** 31 },
    { retryAfterMs: NaN },
    { mode: 'remote' as never },
    { timeoutMS: 5 } as never,
  ]) {
    await assert.rejects(serviceOf(FaceModule.forRoot(wrong)), JSON.stringify(wrong));
  }
});

test('several services are injected by their names', async () => {
  @Injectable()
  class Doors {
    constructor(
      @InjectFace('gate') readonly gate: FaceService,
      @InjectFace() readonly main: FaceService,
    ) {}
  }
  const named = FaceModule.forRootAsync({
    name: 'gate',
    useFactory: () => ({ mode: 'local' as const, threshold: 0.1 }),
  });
  @Module({ imports: [FaceModule.forRoot({ mode: 'local' }), named], providers: [Doors] })
  class Application {}
  const application = await NestFactory.createApplicationContext(Application, { logger: false, abortOnError: false });
  const { gate, main } = application.get(Doors);
  assert.equal(application.get(faceToken('gate')), gate);
  assert.equal(application.get(FaceService), main);
  const probe = new Float32Array(128);
  const members = [{ regNo: 1, descriptor: new Float32Array(128).fill(0.02) }];
  assert.deepEqual(
    [await gate.findMemberByFace(probe, members), (await main.findMemberByFace(probe, members))?.regNo],
    [null, 1],
  );
});

test('without isGlobal only the importing module has the service', async () => {
  @Module({ imports: [FaceModule.forRoot({ mode: 'local', isGlobal: false })] })
  class Importing {}
  @Injectable()
  class Outside {
    constructor(@InjectFace() readonly faces: FaceService) {}
  }
  @Module({ imports: [Importing], providers: [Outside] })
  class Application {}
  await assert.rejects(NestFactory.createApplicationContext(Application, { logger: false, abortOnError: false }));
});

test('an error is an HttpException with the code and body of the service; a wrong key is no fault of the caller', async () => {
  const faces = await serviceOf(FaceModule.forRoot({ mode: 'local' }));
  await assert.rejects(faces.findMemberByFace([1, 2], []), (error) => {
    assert.ok(error instanceof FaceException);
    assert.deepEqual([error.getStatus(), error.code, error.getResponse()], [422, 'invalid_descriptor', error.body]);
    return true;
  });
  const fetch = (): Promise<Response> =>
    Promise.resolve(Response.json({ error: 'No.', code: 'unauthorized' }, { status: 401 }));
  const { logger } = memoryLog();
  const refused = new FaceService({ url: 'http://127.0.0.1:1', fetch, logger });
  await assert.rejects(refused.findMemberByFace(new Float32Array(128), []), { code: 'unauthorized', status: 500 });
});

test('the client is closed with the application', async () => {
  const fetch = (_: unknown, init?: RequestInit): Promise<Response> =>
    new Promise((_, reject) =>
      init?.signal?.addEventListener('abort', () => {
        reject(new Error('aborted'));
      }),
    );
  const module = FaceModule.forRoot({
    url: 'http://127.0.0.1:1',
    fetch,
    timeoutMs: 60_000,
    logger: memoryLog().logger,
  });
  const application = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
  const faces = application.get(FaceService);
  assert.ok(faces.client instanceof FaceClient);
  const waiting = faces.matchDetailed(new Float32Array(128), []);
  await application.close();
  assert.equal((await waiting).reason, 'closed');
});
