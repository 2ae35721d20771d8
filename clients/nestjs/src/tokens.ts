import { Inject } from '@nestjs/common';

import { FaceService } from './face.service';

/** The injection token of a module's options. */
export const FACE_OPTIONS = Symbol('FACE_OPTIONS');

/** The injection token of the FaceService that was registered under this name; without a name the class itself. */
export function faceToken(name?: string): string | typeof FaceService {
  return name === undefined ? FaceService : `FaceService:${name}`;
}

/** Injects the FaceService that `FaceModule.forRoot({ name })` registered. */
export function InjectFace(name?: string): ReturnType<typeof Inject> {
  return Inject(faceToken(name));
}
