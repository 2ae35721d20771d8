import 'reflect-metadata';

import type { AddressInfo } from 'node:net';

import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';

import { FaceModule, type FaceModuleOptions, FaceService, type Member, type Probe, type ProbeParts } from '../../src';

/** What a browser sends: a descriptor, those of several models, a photo in base64, or a photo beside one. */
interface FindRequest extends Omit<ProbeParts, 'image'> {
  readonly photo?: string;
}

let enrolled: readonly Member[] = [];

@Controller('members')
class MembersController {
  constructor(@Inject(FaceService) private readonly faces: FaceService) {}

  @Post('find-by-face')
  @HttpCode(200)
  async find(@Body() { photo, ...face }: FindRequest): Promise<object> {
    const probe: Probe = photo === undefined ? face : { ...face, image: photo };
    return (await this.faces.findMemberByFace(probe, enrolled)) ?? { match: false };
  }
}

export interface Application {
  readonly faces: FaceService;
  /** Other members are enrolled from now on. */
  enrol(members: readonly Member[]): void;
  /** Status and body of the answer. */
  find(request: object): Promise<{ status: number; body: Readonly<Record<string, unknown>> }>;
  close(): Promise<void>;
}

/** A real Nest application over HTTP, with these members. */
export async function start(members: readonly Member[], options: FaceModuleOptions): Promise<Application> {
  enrolled = members;
  const module = { ...FaceModule.forRoot(options), controllers: [MembersController] };
  const application = await NestFactory.create<NestExpressApplication>(module, { logger: ['warn', 'error', 'log'] });
  application.useBodyParser('json', { limit: '20mb' });
  await application.listen(0, '127.0.0.1');
  const { port } = application.getHttpServer().address() as AddressInfo;
  return {
    faces: application.get(FaceService),
    enrol: (members) => {
      enrolled = members;
    },
    async find(request) {
      const response = await fetch(`http://127.0.0.1:${port}/members/find-by-face`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(request),
      });
      return { status: response.status, body: (await response.json()) as Readonly<Record<string, unknown>> };
    },
    close: () => application.close(),
  };
}
