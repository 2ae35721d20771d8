import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Breaker } from '../src/breaker';
import { FaceError, ServiceFailure } from '../src/errors';
import { pause } from './support';

const RETRY_MS = 5000;
const fail = (): Promise<string> => Promise.reject(new ServiceFailure('it is down'));
const answer = (): Promise<string> => Promise.resolve('answer');
const refuse = (): Promise<string> => Promise.reject(new FaceError({ error: 'No.', code: 'no_face' }, 422));

let changes: string[];
let breaker: Breaker;
let made: number;
let clock = 0;

beforeEach(() => {
  changes = [];
  made = 0;
  const up = (): unknown => changes.push('up');
  breaker = new Breaker(
    RETRY_MS,
    (reason) => changes.push(`down: ${reason}`),
    up,
    () => clock,
  );
});

const attempt = (call: () => Promise<string>, wait = true): Promise<string> => {
  const counted = (): Promise<string> => {
    made++;
    return call();
  };
  return breaker.run(counted, { wait }).catch((error: unknown) => (error as Error).message);
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
  assert.deepEqual(changes, ['down: it is down']);
});

test('an answer between failures starts the count again, and an error of the caller is an answer', async () => {
  for (const call of [fail, fail, answer, fail, fail, refuse, fail, fail]) await attempt(call);
  assert.equal(breaker.state, 'closed');
});

test('after the pause one call tries, the others go on without it, and its answer closes the breaker', async () => {
  await open();
  clock += RETRY_MS;
  const trial = attempt(answer);
  assert.equal(breaker.state, 'trying');
  assert.equal(await attempt(answer), 'it is down');
  assert.equal(await trial, 'answer');
  assert.equal(breaker.state, 'closed');
  assert.deepEqual(changes, ['down: it is down', 'up']);
});

test('a caller who does not wait for the trial is refused at once, and still brings the service back', async () => {
  await open();
  clock += RETRY_MS;
  let finish: (value: string) => void = () => undefined;
  const slow = (): Promise<string> => new Promise((resolve) => (finish = resolve));
  assert.equal(await attempt(slow, false), 'it is down');
  assert.equal(breaker.state, 'trying');
  finish('late');
  await pause(1);
  assert.equal(breaker.state, 'closed');
});

test('a failed trial opens it again, without another report', async () => {
  await open();
  clock += RETRY_MS;
  await attempt(fail, false);
  await pause(1);
  assert.equal(breaker.state, 'open');
  assert.equal(await attempt(answer), 'it is down');
  assert.deepEqual(changes, ['down: it is down']);
});

test('the outcome of calls from before the last change is ignored', async () => {
  let failLate: (error: Error) => void = () => undefined;
  const late = [1, 2, 3].map(() => attempt(() => new Promise((_, reject) => (failLate = chain(failLate, reject)))));
  await open();
  clock += RETRY_MS;
  await attempt(answer);
  failLate(new ServiceFailure('old news'));
  await Promise.all(late);
  assert.equal(breaker.state, 'closed');
});

function chain(first: (error: Error) => void, second: (error: Error) => void): (error: Error) => void {
  return (error) => {
    first(error);
    second(error);
  };
}
