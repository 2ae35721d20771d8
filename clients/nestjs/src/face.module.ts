import { ConfigurableModuleBuilder, type ConfigurableModuleCls, Global, Module } from '@nestjs/common';

import { FACE_OPTIONS, FaceService } from './face.service';
import type { FaceModuleOptions } from './options';

const builder = new ConfigurableModuleBuilder<FaceModuleOptions>({ optionsInjectionToken: FACE_OPTIONS });
const WithOptions: ConfigurableModuleCls<FaceModuleOptions, 'forRoot'> = builder
  .setClassMethodName('forRoot')
  .build().ConfigurableModuleClass;

/** Provides the FaceService to the whole application: import `forRoot(options)` or `forRootAsync({ useFactory })` once. */
@Global()
@Module({ providers: [FaceService], exports: [FaceService] })
export class FaceModule extends WithOptions {}
