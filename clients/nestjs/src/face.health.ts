import * as common from '@nestjs/common';

import type { FaceHealth } from '@face128/client';

import { FaceService } from './face.service';

/** What @nestjs/terminus takes as the result of a health indicator. */
export type FaceHealthResult<Key extends string> = Record<Key, { status: 'up' | 'down' } & FaceHealth>;

/**
 * For @nestjs/terminus: `() => indicator.isHealthy()`. Up if the service is up and accepts the key.
 *
 * While it is down, members with descriptors are still recognised locally: use it for alarms, and not to take the
 * application out of service.
 */
@common.Injectable()
export class FaceHealthIndicator {
  constructor(@common.Inject(FaceService) private readonly faces: Pick<FaceService, 'health'>) {}

  /** `faces` is the service to ask, if it is not the unnamed one. */
  async isHealthy<Key extends string = 'face128'>(
    key: Key = 'face128' as Key,
    faces: Pick<FaceService, 'health'> = this.faces,
  ): Promise<FaceHealthResult<Key>> {
    const health = await faces.health();
    const status = health.service === 'up' || health.service === 'none' ? 'up' : 'down';
    const result = { [key]: { status, ...health } } as FaceHealthResult<Key>;
    // Terminus 10, for Nest 10, expects its HealthCheckError, and knows it by these fields.
    if (status === 'down' && !('IntrinsicException' in common)) {
      throw Object.assign(new Error('The face service is down.'), { isHealthCheckError: true, causes: result });
    }
    return result;
  }
}
