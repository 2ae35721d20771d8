import { FaceService } from '@face128/nestjs';
import type { Descriptor, FaceHealth, Match, Member } from '@face128/nestjs';
import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';

/** Enrols members with face-api.js's descriptors, and finds them by face. */
@Controller('members')
export class MembersController {
  /** In memory; a real application has a database. */
  private readonly members: Member[] = [];

  constructor(private readonly faces: FaceService) {}

  @Post()
  enrol(@Body() member: Member): { enrolled: number } {
    return { enrolled: this.members.push(member) };
  }

  @Post('find-by-face')
  @HttpCode(200)
  async findByFace(@Body('descriptor') descriptor: Descriptor): Promise<Match | { match: false }> {
    return (await this.faces.findMemberByFace(descriptor, this.members)) ?? { match: false };
  }

  @Get('face-service')
  faceService(): Promise<FaceHealth> {
    return this.faces.health();
  }
}
