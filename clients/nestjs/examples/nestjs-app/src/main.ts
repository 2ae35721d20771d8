import 'reflect-metadata';

import { NestFactory } from '@nestjs/core';

import { AppModule } from './app.module';

async function main(): Promise<void> {
  const application = await NestFactory.create(AppModule);
  await application.listen(process.env['PORT'] ?? 3000);
}

void main();
