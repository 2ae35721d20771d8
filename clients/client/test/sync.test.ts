import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FaceError, type GalleryMember } from '../src/index.js';
import { syncGallery } from '../src/sync.js';

const photo = (text: string): Buffer => Buffer.from(text);

/** Keeps the names and photos that are enrolled, and fails at `failAt`. */
class Gallery {
  readonly people = new Map<string, string>();
  failAt: { regNo: unknown; error: Error } | undefined;
  calls = 0;

  enrol({ regNo, name }: { regNo: unknown; name: string }, photos: readonly Uint8Array[]): Promise<number> {
    this.calls++;
    const { failAt } = this;
    if (failAt && failAt.regNo === regNo) return Promise.reject(failAt.error);
    this.people.set(String(regNo), `${name}: ${photos.map((each) => Buffer.from(each).toString()).join(' ')}`);
    return Promise.resolve(photos.length);
  }
  remove(regNo: unknown): Promise<number> {
    this.calls++;
    return Promise.resolve(this.people.delete(String(regNo)) ? 1 : 0);
  }
}

const members = (...entries: [number, string, string][]): GalleryMember[] =>
  entries.map(([regNo, name, content]) => ({ regNo, name, photos: [photo(content)] }));

test('members are added, replaced and erased, and what has not changed is not sent', async () => {
  const gallery = new Gallery();
  const state = new Map<string, string>();
  const first = await syncGallery(gallery, members([1, 'A', 'a'], [2, 'B', 'b'], [3, 'C', 'c']), { state });
  assert.deepEqual(first, { added: 3, replaced: 0, erased: 0, unchanged: 0, failed: [] });
  const calls = gallery.calls;
  const second = await syncGallery(gallery, members([1, 'A', 'a'], [2, 'B', 'b2'], [4, 'D', 'd']), { state });
  assert.deepEqual(second, { added: 1, replaced: 1, erased: 1, unchanged: 1, failed: [] });
  assert.equal(gallery.calls, calls + 3);
  assert.deepEqual(Object.fromEntries(gallery.people), { 1: 'A: a', 2: 'B: b2', 4: 'D: d' });
});

test('an interrupted run goes on where it was, and erases nobody before its end', async () => {
  const gallery = new Gallery();
  const state = new Map([['9', 'old']]);
  let stored = 0;
  const all = members([1, 'A', 'a'], [2, 'B', 'b'], [3, 'C', 'c'], [4, 'D', 'd'], [5, 'E', 'e'], [6, 'F', 'f']);
  gallery.failAt = { regNo: 5, error: new FaceError({ error: 'Down.', code: 'unavailable' }, 503) };
  const onChange = (): void => {
    stored++;
  };
  await assert.rejects(syncGallery(gallery, all, { state, onChange }), { code: 'unavailable' });
  assert.ok(state.has('9') && stored >= 4);
  gallery.failAt = undefined;
  const report = await syncGallery(gallery, all, { state, onChange });
  assert.equal(report.unchanged + report.added, 6);
  assert.ok(report.unchanged >= 4 && report.erased === 1);
});

test('a refused member fails alone, and is tried again', async () => {
  const gallery = new Gallery();
  const state = new Map<string, string>();
  gallery.failAt = { regNo: 2, error: new FaceError({ error: 'No face.', code: 'no_face' }, 422) };
  const { added, failed } = await syncGallery(gallery, members([1, 'A', 'a'], [2, 'B', 'b']), { state });
  assert.deepEqual([added, failed], [1, [{ regNo: 2, code: 'no_face', error: 'No face.' }]]);
  gallery.failAt = undefined;
  assert.equal((await syncGallery(gallery, members([1, 'A', 'a'], [2, 'B', 'b']), { state })).added, 1);
});

test('an empty list is an error, unless everybody is to be erased', async () => {
  const gallery = new Gallery();
  const state = new Map([['1', 'x']]);
  await assert.rejects(syncGallery(gallery, [], { state }), { code: 'invalid_request' });
  assert.equal((await syncGallery(gallery, [], { state, allowEmpty: true })).erased, 1);
});

test('with a version, photos are loaded only where it changed', async () => {
  const gallery = new Gallery();
  const state = new Map<string, string>();
  let loaded = 0;
  const photos = (): Promise<Buffer[]> => {
    loaded++;
    return Promise.resolve([photo('p')]);
  };
  async function* rows(version: string): AsyncGenerator<GalleryMember> {
    await Promise.resolve();
    yield { regNo: 1, name: 'A', photos, version };
  }
  for (const version of ['1', '1', '2']) await syncGallery(gallery, rows(version), { state });
  assert.equal(loaded, 2);
});
