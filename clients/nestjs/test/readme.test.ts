import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { REPOSITORY } from '../../client/test/support/helpers';

/** Where the packages of the workspace and Nest are found. */
const FOLDER = join(process.cwd(), 'build/readme');
const PAGES = ['README.md', 'clients/client/README.md', 'clients/nestjs/README.md', 'docs/from/nestjs.md'];
/** A new strict project; `isolatedModules` with decorator metadata refuses some imports of types (TS1272). */
const OPTIONS = {
  ...{ strict: true, noEmit: true, isolatedModules: true, experimentalDecorators: true, emitDecoratorMetadata: true },
  ...{ module: 'node20', target: 'es2022', lib: ['es2023'], types: ['node'] },
};

test('the code of the READMEs compiles as it stands in a strict project', () => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  let blocks = 0;
  for (const [page, path] of PAGES.entries()) {
    const text = readFileSync(join(REPOSITORY, path), 'utf8');
    for (const [, code = ''] of text.matchAll(/```ts\n([^]*?)```/g)) {
      // Code with a top-level await is a module.
      const extension = code.includes('\nconst ') ? 'mts' : 'ts';
      writeFileSync(join(FOLDER, `page-${page}-block-${blocks++}.${extension}`), code);
    }
  }
  assert.ok(blocks >= 7, `${blocks} blocks`);
  writeFileSync(join(FOLDER, 'tsconfig.json'), JSON.stringify({ compilerOptions: OPTIONS }));
  try {
    execFileSync('npx', ['tsc', '-p', FOLDER], { encoding: 'utf8' });
  } catch (error) {
    assert.fail((error as { stdout?: string }).stdout ?? String(error));
  }
});
