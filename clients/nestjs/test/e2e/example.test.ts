import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { answering, Face128, freePort, KEY } from '../../../client/test/support/face128';

/** Tests run in the folder of their package. */
const PACKAGE = process.cwd();
const CLIENTS = join(PACKAGE, '..');
const NAMES = ['client', 'nestjs'];

/** The Nest version to test, such as 11; the newest by default. */
const NEST = process.env['NEST'];

// Outside the repository, so that only what the application installed is found.
const folder = mkdtempSync(join(tmpdir(), 'face128-example-'));
const example = join(folder, 'nestjs/examples/nestjs-app');
const shell = (command: string, cwd: string): string => execFileSync('sh', ['-c', command], { cwd, encoding: 'utf8' });

let service: Face128;
const packed: string[] = [];
before(async () => {
  for (const name of NAMES) {
    const output = shell(`npm pack --json --ignore-scripts --pack-destination "${folder}"`, join(CLIENTS, name));
    const [pack] = JSON.parse(output) as [{ files: { path: string }[] }];
    packed.push(...pack.files.map(({ path }) => `${name}/${path}`));
  }
  mkdirSync(example, { recursive: true });
  for (const part of ['package.json', 'tsconfig.json', 'src'])
    cpSync(join(PACKAGE, 'examples/nestjs-app', part), join(example, part), { recursive: true });
  if (NEST) {
    const manifest = join(example, 'package.json');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replaceAll(/(@nestjs\/.*)"\^12.*"/g, `$1"^${NEST}"`));
  }
  service = await Face128.start();
});
after(async () => {
  await service.kill();
  rmSync(folder, { recursive: true });
});

test('the packages have the files that they need, and no others', () => {
  const code = packed.filter((path) =>
    /\/(src\/[a-z0-9.-]+\.ts|dist\/([a-z]+\/)?[a-z0-9.-]+\.(js|d\.ts)(\.map)?)$/.test(path),
  );
  const others = packed.filter((path) => !code.includes(path)).sort();
  const files = NAMES.flatMap((name) => ['LICENSE', 'README.md', 'package.json'].map((file) => `${name}/${file}`));
  assert.deepEqual(others, [...files, 'client/dist/cjs/package.json'].sort());
  for (const entry of ['client/dist/esm/index', 'client/dist/cjs/index', 'nestjs/dist/index'])
    for (const kind of ['js', 'js.map', 'd.ts']) assert.ok(code.includes(`${entry}.${kind}`), `${entry}.${kind}`);
});

test('the public types have no any', () => {
  for (const path of packed.filter((path) => path.endsWith('.d.ts'))) {
    const code = readFileSync(join(CLIENTS, path), 'utf8').replaceAll(/\/\*[^]*?\*\//g, '');
    assert.doesNotMatch(code, /\bany\b/, path);
  }
});

test("the commands of the example application's README work, with the service and without", async () => {
  const readme = readFileSync(join(PACKAGE, 'examples/nestjs-app/README.md'), 'utf8');
  const [set, use] = Array.from(readme.matchAll(/```sh\n([^]*?)```/g), (block) => block[1] ?? '');
  assert.ok(set && use);
  const port = await freePort();
  const [install = '', build = '', start = ''] = set.split('\n');
  shell(`${install} && ${build}`, example);
  const environment = { ...process.env, PORT: String(port), FACE_SERVICE_API_KEY: KEY };
  // Without npm, so that the test can kill the process itself.
  const command = `exec env ${start.replace('http://127.0.0.1:8000', service.url).replace('npm start', 'node dist/main.js')}`;
  const application = spawn('sh', ['-c', command], { cwd: example, env: environment, stdio: 'ignore' });
  try {
    await answering(`http://127.0.0.1:${port}/members/face-service`, (health) => health['service'] === 'up');
    const ask = use.replaceAll('127.0.0.1:3000', `127.0.0.1:${port}`);
    assert.match(shell(ask, example), /^\{"enrolled":1\}\{"regNo":1029,"name":"Vicky T"\}\{"service":"up",/);
    await service.kill();
    assert.match(shell(ask, example), /^\{"enrolled":2\}\{"regNo":1029,"name":"Vicky T"\}\{"service":"down",/);
  } finally {
    application.kill('SIGKILL');
  }
});
