// The sliders of the threshold and of alpha: while one moves, the server's figures for its place are fetched. The
// newest place counts; an earlier request that is still on its way is given up.

import { showLocalTime } from './console.js';

const DELAY_MS = 120; // a slider that is dragged asks some times a second
const AGAIN_MS = 1500; // while the members are being compared, or the service is away

const form = document.getElementById('sliders');
let request = new AbortController();
let timer;

for (const range of form.querySelectorAll('input[type="range"]')) {
  const number = document.getElementById(range.dataset.for);
  range.hidden = false;
  range.addEventListener('input', () => {
    number.value = range.value;
    later();
  });
  number.addEventListener('input', () => {
    range.value = number.value;
    if (number.validity.valid) later();
  });
}
form.querySelector('select')?.addEventListener('change', () => {
  form.elements.threshold.disabled = true; // another model has another one
  form.requestSubmit();
});
form.querySelector('button').hidden = true;
againWhileComparing();

function later(delay = DELAY_MS) {
  clearTimeout(timer);
  timer = setTimeout(show, delay);
}

function againWhileComparing() {
  if (document.querySelector('[data-comparing]')) later(AGAIN_MS);
}

async function show() {
  request.abort();
  request = new AbortController();
  const { signal } = request;
  const address = new URL(form.action);
  address.search = new URLSearchParams(new FormData(form));
  history.replaceState(null, '', address);
  const part = new URL(address);
  part.searchParams.set('part', document.querySelector('[data-comparing]') ? 'all' : '1');
  try {
    const answer = await fetch(part, { headers: { Accept: 'text/html' }, redirect: 'manual', signal });
    if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    else if (answer.type === 'opaqueredirect' || [401, 403, 422].includes(answer.status)) location.assign(address);
    else later(AGAIN_MS);
  } catch (error) {
    if (error.name !== 'AbortError') later(AGAIN_MS);
    return;
  }
  againWhileComparing();
}

function put(fresh) {
  for (const part of document.querySelectorAll('[data-part]')) {
    const other = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!other || part.contains(document.activeElement)) continue;
    const open = part.querySelector('details')?.open;
    part.replaceChildren(...other.childNodes);
    if (open) part.querySelector('details').open = true;
    for (const element of part.querySelectorAll('time[datetime]')) showLocalTime(element);
  }
}
