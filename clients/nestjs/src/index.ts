export * from '@face128/client';
export { FaceException } from './face.exception';
export { FaceHealthIndicator, type FaceHealthResult } from './face.health';
export { FaceModule, type FaceModuleExtras, type FaceModuleOptions } from './face.module';
export { FaceService } from './face.service';
export { FACE_OPTIONS, faceToken, InjectFace } from './tokens';
