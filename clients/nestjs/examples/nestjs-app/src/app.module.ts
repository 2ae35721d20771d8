import { FaceModule } from '@face128/nestjs';
import { Module } from '@nestjs/common';

import { MembersController } from './members.controller';

@Module({
  // The service's address comes from FACE_SERVICE_URL; without it, matching is local.
  imports: [FaceModule.forRoot({ apiKey: process.env['FACE_SERVICE_API_KEY'] })],
  controllers: [MembersController],
})
export class AppModule {}
