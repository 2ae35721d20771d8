import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { Slices } from '../src/event-loop.js';
import type * as wire from '../src/wire.js';

const BYTES = new Uint8Array(3 * 2 ** 20 + 5).map((_, i) => i * 7);
const DIGEST = `sha256-${createHash('sha256').update(BYTES).digest('hex')}`;

/** The module as another runtime loads it. */
async function loadedAnew(name: string): Promise<typeof wire> {
  return (await import(`../src/wire.js?${name}`)) as typeof wire;
}

test("the digest is the body's SHA-256, in Node and in a browser", async () => {
  const { digestOf } = await loadedAnew('node');
  for (const length of [0, 1, 2 ** 20, BYTES.length]) {
    const bytes = BYTES.subarray(0, length);
    const expected = `sha256-${createHash('sha256').update(bytes).digest('hex')}`;
    assert.equal(await digestOf(bytes, new Slices()), expected);
  }
  const globals = globalThis as { process?: unknown };
  const { process } = globals;
  globals.process = undefined;
  const inBrowser = loadedAnew('browser').finally(() => {
    globals.process = process;
  });
  assert.equal(await (await inBrowser).digestOf(BYTES, new Slices()), DIGEST);
});

test('a text that is written in pieces has the same bytes, however well its length was estimated', async () => {
  const { ByteText } = await loadedAnew('node');
  const pieces = ['[', '"Zoë"', ',"\u{1f600}"', `,"${'é'.repeat(70_000)}"`, `,"${'x'.repeat(2 ** 21)}"`, ',"€"', ']'];
  const whole = new TextEncoder().encode(pieces.join(''));
  const estimates: Readonly<Record<string, (written: number) => number>> = {
    exact: (written) => written / whole.length,
    'far too long': (written) => (written / whole.length) ** 3,
    'too short': () => 1,
  };
  for (const [what, share] of Object.entries(estimates)) {
    const text = new ByteText();
    let written = 0;
    for (const piece of pieces) text.write(piece, share((written += new TextEncoder().encode(piece).length)));
    assert.deepEqual(await text.bytes(new Slices()), whole, what);
  }
  assert.equal((await new ByteText().bytes(new Slices())).length, 0);
});
