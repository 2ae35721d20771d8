import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Breaker } from '../src/breaker.js';
import { FaceError, ServiceFailure } from '../src/errors.js';
import { pause } from './support/helpers.js';

const RETRY_MS = 5000;
const fail = (): Promise<string> => Promise.reject(new ServiceFailure('timeout', 'it is down'));
const answer = (): Promise<string> => Promise.resolve('answer');
const refuse = (): Promise<string> => Promise.reject(new FaceError({ error: 'No.', code: 'no_face' }, 422));

let changes: string[];
let breaker: Breaker;
let made: number;
let clock = 0;

beforeEach(() => {
  changes = [];
  made = 0;
  breaker = new Breaker(
    RETRY_MS,
    ({ state, from, reason }) => changes.push(state === 'open' && from === 'closed' ? `open: ${reason}` : state),
    () => clock,
  );
});

const attempt = (call: () => Promise<string>, trial?: () => Promise<string>): Promise<string> => {
  const counted = (): Promise<string> => {
    made++;
    return call();
  };
  return breaker.run(counted, trial).catch((error: unknown) => (error as Error).message);
};

const open = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await attempt(fail);
};

test('three failures in a row open it, and then no call is made', async () => {
  await attempt(fail);
  await attempt(fail);
  assert.equal(breaker.state, 'closed');
  await attempt(fail);
  assert.equal(breaker.state, 'open');
  assert.equal(await attempt(answer), 'it is down');
  assert.equal(made, 3);
  assert.deepEqual(changes, ['open: it is down']);
});

test('an answer between failures starts the count again, and an error of the caller is an answer', async () => {
  for (const call of [fail, fail, answer, answer, answer, fail, fail, refuse]) await attempt(call);
  assert.equal(breaker.state, 'closed');
});

test('a service that fails two of three calls opens it, though never three in a row', async () => {
  for (let i = 0; breaker.state === 'closed' && i < 20; i++) await attempt(i % 3 === 2 ? answer : fail);
  assert.equal(breaker.state, 'open');
  assert.equal(made, 7);
});

test('a failure that says nothing about the service does not count, and ends no trial', async () => {
  const busy = (): Promise<string> => Promise.reject(new ServiceFailure('timeout', 'busy', false));
  for (let i = 0; i < 20; i++) await attempt(busy);
  for (let i = 0; i < 20; i++) await attempt(() => Promise.reject(new Error('aborted')));
  assert.equal(breaker.state, 'closed');
  await open();
  clock += RETRY_MS;
  await attempt(busy);
  assert.equal(breaker.state, 'open');
  assert.equal(await attempt(answer), 'answer');
});

test('after the pause one call tries, the others go on without it, and its answer closes the breaker', async () => {
  await open();
  clock += RETRY_MS;
  const trial = attempt(answer);
  assert.equal(breaker.state, 'trying');
  assert.equal(await attempt(answer), 'it is down');
  assert.equal(await trial, 'answer');
  assert.equal(breaker.state, 'closed');
  assert.deepEqual(changes, ['open: it is down', 'trying', 'closed']);
});

test('a caller who does not wait for the trial is refused at once, and still brings the service back', async () => {
  await open();
  clock += RETRY_MS;
  let finish: (value: string) => void = () => undefined;
  const slow = (): Promise<string> => new Promise((resolve) => (finish = resolve));
  assert.equal(await attempt(answer, slow), 'it is down');
  assert.equal(breaker.state, 'trying');
  finish('late');
  await pause(1);
  assert.equal(breaker.state, 'closed');
});

test('a failed trial opens it again, without another report', async () => {
  await open();
  clock += RETRY_MS;
  await attempt(answer, fail);
  await pause(1);
  assert.equal(breaker.state, 'open');
  assert.equal(await attempt(answer), 'it is down');
  assert.deepEqual(changes, ['open: it is down', 'trying', 'open']);
});

test('the outcome of calls from before the last change is ignored', async () => {
  let failLate: (error: Error) => void = () => undefined;
  const late = [1, 2, 3].map(() => attempt(() => new Promise((_, reject) => (failLate = chain(failLate, reject)))));
  await open();
  clock += RETRY_MS;
  await attempt(answer);
  failLate(new ServiceFailure('timeout', 'old news'));
  await Promise.all(late);
  assert.equal(breaker.state, 'closed');
});

function chain(first: (error: Error) => void, second: (error: Error) => void): (error: Error) => void {
  return (error) => {
    first(error);
    second(error);
  };
}
