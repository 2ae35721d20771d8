import { Logger } from '@nestjs/common';

/** Collects Nest's log lines ("level: message") instead of printing them. */
export function captureLog(): string[] {
  const lines: string[] = [];
  const keep = (level: string) => (message: unknown) => lines.push(`${level}: ${String(message)}`);
  Logger.overrideLogger({ log: keep('log'), warn: keep('warn'), error: keep('error') });
  return lines;
}
