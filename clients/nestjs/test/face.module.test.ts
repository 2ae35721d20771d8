import 'reflect-metadata';

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

import { FaceModule, FaceService } from '../src';
import { settingsFrom } from '../src/options';

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
  assert.equal(settingsFrom({}).url, 'http://127.0.0.1:1/faces');
  assert.equal(settingsFrom({ url: 'https://faces.example' }).url, 'https://faces.example');
  assert.equal(settingsFrom({ url: '' }).url, undefined);
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
  ]) {
    await assert.rejects(serviceOf(FaceModule.forRoot(wrong)), JSON.stringify(wrong));
  }
});
