// New decisions as they are made: rows of HTML that the server sends. And times of the filters in the browser's own zone.

import { showLocalTime } from './console.js';

const MAX_ROWS = 200; // on the page; older ones are on the next pages
const RETRY_MS = 5000; // after an answer that is no stream: the service starts anew, say

const live = document.querySelector('[data-events]');
if (live) follow(live);

for (const form of document.querySelectorAll('form[data-local-times]')) useLocalTimes(form);

function follow(live) {
  const table = document.querySelector('table.decisions');
  const body = table.tBodies[0];
  const button = live.querySelector('button');
  const state = live.querySelector('.state');
  const said = live.querySelector('.said');
  const texts = live.dataset;
  let last = texts.after;
  let source;
  let retry;
  let paused = false;
  let waiting = [];

  function open() {
    clearTimeout(retry);
    const address = new URL(texts.events, location.href);
    address.searchParams.set('after', last);
    source = new EventSource(address);
    source.addEventListener('open', show);
    source.addEventListener('decision', (event) => {
      last = event.lastEventId;
      waiting.push(event.data);
      if (waiting.length > MAX_ROWS) waiting.shift();
      if (!paused) insert();
      show();
    });
    source.addEventListener('signed_out', () => {
      source.close();
      state.textContent = texts.signedOut;
      button.hidden = true;
    });
    source.addEventListener('error', () => {
      state.textContent = texts.away;
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    });
  }

  function close() {
    clearTimeout(retry);
    source.close();
  }

  function show() {
    const count = waiting.length ? ` ${texts.waiting} ${waiting.length}` : '';
    state.textContent = paused ? texts.paused + count : texts.liveNow;
  }

  function insert() {
    const rows = waiting.map(rowOf).filter((row) => !document.getElementById(row.id));
    waiting = [];
    if (!rows.length) return;
    for (const row of rows) body.prepend(row);
    while (body.rows.length > MAX_ROWS) body.lastElementChild.remove();
    table.hidden = false;
    document.querySelector('.none').hidden = true;
    said.textContent = rows.map((row) => row.dataset.said).join('. ');
  }

  button.addEventListener('click', () => {
    paused = !paused;
    button.textContent = paused ? texts.goOn : texts.pause;
    if (!paused) insert();
    show();
  });
  // A page that nobody sees holds no connection: a browser has six for all pages of a service.
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : button.hidden || open()));
  live.hidden = false;
  if (!document.hidden) open();
}

// The server has escaped it; the policy of the page lets no script in it run.
function rowOf(html) {
  const template = document.createElement('template');
  template.innerHTML = html.trim();
  const row = template.content.firstElementChild;
  for (const time of row.querySelectorAll('time[datetime]')) showLocalTime(time);
  return row;
}

// The server's times are UTC, in the address too; those that are shown and typed are the browser's.
function useLocalTimes(form) {
  const inputs = form.querySelectorAll('input[type=datetime-local]');
  for (const zone of form.querySelectorAll('[data-zone]')) zone.remove();
  for (const input of inputs) if (input.value) input.value = asTyped(new Date(`${input.value}Z`), true);
  form.addEventListener('submit', () => {
    for (const input of inputs) if (input.value) input.value = asTyped(new Date(input.value), false);
  });
}

function asTyped(time, local) {
  const minutes = local ? time.getTimezoneOffset() : 0;
  return new Date(time.getTime() - 60_000 * minutes).toISOString().slice(0, 16);
}
