import 'reflect-metadata';

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Controller, Get, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';

import { memoryLog, serve } from '../../client/test/support/helpers';
import { FaceHealthIndicator, FaceModule } from '../src';

@Controller('health')
class HealthController {
  constructor(
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(FaceHealthIndicator) private readonly faces: FaceHealthIndicator,
  ) {}

  @Get()
  check(): Promise<object> {
    return this.health.check([() => this.faces.isHealthy('faces')]);
  }
}

test('the health check of an application shows the service, and fails with it', async () => {
  let key = true;
  const service = await serve((request, response) => {
    if (request.url === '/health') response.end('{"status":"healthy"}');
    else if (key) request.resume().on('end', () => response.end('{"match":false}'));
    else response.writeHead(401).end('{"error":"No.","code":"unauthorized"}');
  });
  const faces = FaceModule.forRoot({ url: service.url, logger: memoryLog().logger });
  @Module({ imports: [faces, TerminusModule.forRoot({ logger: false })], controllers: [HealthController] })
  class Application {}
  const application = await NestFactory.create(Application, { logger: false });
  await application.listen(0, '127.0.0.1');
  const check = async (): Promise<[number, unknown[]]> => {
    const response = await fetch(`${await application.getUrl()}/health`);
    const body = (await response.json()) as { details: { faces: Record<string, unknown> } };
    const { status, service, code } = body.details.faces;
    return [response.status, [status, service, code]];
  };
  assert.deepEqual(await check(), [200, ['up', 'up', undefined]]);
  key = false;
  assert.deepEqual(await check(), [503, ['down', 'misconfigured', 'unauthorized']]);
  await service.close();
  assert.deepEqual(await check(), [503, ['down', 'down', undefined]]);
  await application.close();
});
