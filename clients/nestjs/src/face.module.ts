import type { FaceOptions } from '@face128/client';
import { ConfigurableModuleBuilder, Module } from '@nestjs/common';

import { FaceHealthIndicator } from './face.health';
import { FaceService } from './face.service';
import { FACE_OPTIONS, faceToken } from './tokens';

export interface FaceModuleExtras {
  /** For several services in one application: inject each with `@InjectFace(name)`. */
  readonly name?: string | undefined;
  /** Whether every module can inject the service without importing this one; true. */
  readonly isGlobal?: boolean | undefined;
}
export type FaceModuleOptions = FaceOptions & FaceModuleExtras;

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<FaceOptions>({ optionsInjectionToken: FACE_OPTIONS })
  .setClassMethodName('forRoot')
  .setExtras<FaceModuleExtras>({ name: undefined, isGlobal: true }, (definition, { name, isGlobal = true }) => {
    const token = faceToken(name);
    const service = {
      provide: token,
      useFactory: (options: FaceOptions) => new FaceService(options),
      inject: [FACE_OPTIONS],
    };
    const indicator = name === undefined ? [FaceHealthIndicator] : [];
    const providers = [...(definition.providers ?? []), service, ...indicator];
    return { ...definition, global: isGlobal, providers, exports: [token, ...indicator] };
  })
  .build();

/** Provides a FaceService: `forRoot(options)` or `forRootAsync({ useFactory })`, once for each name. */
@Module({})
export class FaceModule extends ConfigurableModuleClass {}
