// The form of an enrolment: photos from files and from the camera, each looked at before anything is stored.

import { Camera, CameraError } from './camera.js';

const FRAME_SIDE = 640; // pixels of a frame that is looked at
const BETWEEN_FRAMES_MS = 400;
const BETWEEN_COMPARISONS_MS = 3000; // who is named by a comparison is noted on the trail

const form = document.querySelector('#enrol');
const list = document.querySelector('#photos');
const answer = document.querySelector('#answer');
const input = form.elements.images;
const send = form.querySelector('[data-send]');
const maxPhotos = Number(form.dataset.max);
let photos = []; // { file, card }
let turn = Promise.resolve();

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// One job after the other: the service looks at one picture of this page at a time.
function inTurn(job) {
  const done = turn.then(job);
  turn = done.catch(() => {});
  return done;
}

// What the service says of a photo; null where it is away. `pause`: for how many ms it is not to be asked again;
// `busy`: then it is worth asking.
async function look(picture, options) {
  const query = new URLSearchParams({ id: form.elements.id.value, name: form.elements.name.value, ...options });
  const address = form.dataset.check + (form.dataset.check.includes('?') ? '&' : '?') + query;
  try {
    const response = await fetch(address, {
      method: 'POST',
      body: picture,
      headers: { Accept: 'application/json', 'Content-Type': 'application/octet-stream' }, // it is known by its bytes
    });
    const said = await response.json();
    if (response.ok) return said;
    const pause = 1000 * Number(response.headers.get('Retry-After') || 3);
    return { pause, busy: response.status === 503, refused: true, sentences: [said.error] };
  } catch {
    return null;
  }
}

// The photos that will be sent.

function show(card, said) {
  const tag = card.querySelector('.tag');
  tag.hidden = !said.label;
  tag.textContent = said.label || '';
  tag.className = `tag ${{ good: 'good', fair: 'warn', poor: 'bad' }[said.verdict] || ''}`;
  card.querySelector('.says').textContent = said.sentences.join(' ');
  card.classList.toggle('refused', Boolean(said.refused));
  warn(card, said.warning?.error);
}

function warn(card, sentence) {
  const place = card.querySelector('.warns');
  place.hidden = !sentence;
  place.textContent = sentence || '';
}

function number() {
  photos.forEach(({ card }, place) => {
    for (const element of card.querySelectorAll('[data-text]')) {
      element.textContent = element.dataset.text.replace('{n}', place + 1);
    }
    card.querySelector('img').alt = card.querySelector('img').dataset.alt.replace('{n}', place + 1);
    const button = card.querySelector('button');
    button.setAttribute('aria-label', button.dataset.label.replace('{n}', place + 1));
  });
  input.required = photos.length === 0;
}

function newCard() {
  const card = document.querySelector('#photo-card').content.firstElementChild.cloneNode(true);
  const [image, title, button] = [card.querySelector('img'), card.querySelector('b'), card.querySelector('button')];
  image.dataset.alt = image.alt;
  title.dataset.text = title.textContent;
  button.dataset.label = button.getAttribute('aria-label');
  return card;
}

function add(file) {
  const photo = { file, card: newCard() };
  const image = photo.card.querySelector('img');
  image.src = URL.createObjectURL(file);
  image.addEventListener('error', () => image.removeAttribute('src'), { once: true }); // such as HEIC in most browsers
  photo.card.querySelector('button').addEventListener('click', () => remove(photo));
  photos.push(photo);
  list.append(photo.card);
  number();
  inTurn(() => examine(photo));
}

async function examine(photo) {
  let said = null;
  do {
    if (said) await wait(said.pause);
    if (!photos.includes(photo)) return;
    said = await look(photo.file, { compare: 1 });
    show(photo.card, said || { sentences: [form.dataset.away] });
  } while (said?.busy);
}

function remove(photo) {
  URL.revokeObjectURL(photo.card.querySelector('img').src);
  photos = photos.filter((other) => other !== photo);
  photo.card.remove();
  number();
  limit();
  (list.querySelector('button') || input).focus();
}

function limit() {
  const full = photos.length >= maxPhotos;
  input.disabled = full;
  take.disabled = full;
  if (full) live.textContent = box.dataset.full;
  else if (live.textContent === box.dataset.full) live.textContent = '';
}

input.addEventListener('change', addChosen);

function addChosen() {
  for (const file of [...input.files].slice(0, maxPhotos - photos.length)) add(file);
  input.value = '';
  number();
  limit();
}

// The camera.

const box = form.querySelector('.camera-box');
const [open, take, close] = ['open', 'take', 'close'].map((name) => box.querySelector(`[data-${name}]`));
const [picture, overlay] = [box.querySelector('.camera'), box.querySelector('svg')];
const [live, warning] = [box.querySelector('.says'), box.querySelector('[data-warning]')];
const camera = new Camera(box.querySelector('video'));
let watching = 0; // how often it was begun: one that was begun earlier ends
box.hidden = false;

open.addEventListener('click', async () => {
  open.disabled = true;
  live.textContent = '';
  picture.hidden = false;
  try {
    await camera.start();
    setOpen(true);
    watch();
    take.focus();
  } catch (error) {
    if (!(error instanceof CameraError)) throw error;
    picture.hidden = true;
    live.textContent = box.dataset[error.reason];
  } finally {
    open.disabled = false;
  }
});

close.addEventListener('click', () => {
  setOpen(false);
  open.focus();
});

take.addEventListener('click', async () => {
  if (!camera.isOn || photos.length >= maxPhotos) return;
  take.disabled = true;
  const png = await camera.photo();
  if (photos.length < maxPhotos) add(new File([png], 'photo.png', { type: png.type })); // others were chosen meanwhile
  limit();
});

function setOpen(isOpen) {
  if (!isOpen) camera.stop();
  open.hidden = isOpen;
  take.hidden = close.hidden = picture.hidden = !isOpen;
  if (!isOpen) tell({ sentences: [] });
  limit();
}

// One frame after the other, and less often where the service is busy.
async function watch() {
  const mine = (watching += 1);
  let compareAt = 0;
  while (camera.isOn && mine === watching) {
    const began = performance.now();
    let pause = BETWEEN_FRAMES_MS;
    if (!document.hidden && photos.length < maxPhotos) {
      const scale = Math.max(1, Math.max(camera.width, camera.height) / FRAME_SIDE);
      const compare = began >= compareAt;
      const options = { scale, ...(compare ? { compare: 1 } : {}) };
      const said = await inTurn(async () => camera.isOn && look(await camera.frame(FRAME_SIDE), options));
      if (!camera.isOn || mine !== watching) return;
      if (compare && said?.face) {
        compareAt = performance.now() + BETWEEN_COMPARISONS_MS;
        warning.hidden = !said.warning;
        warning.textContent = said.warning?.error || '';
      }
      tell(said || { sentences: [form.dataset.away] });
      // As long as the service has taken, it has for others.
      pause = Math.max(said?.pause || 0, BETWEEN_FRAMES_MS, performance.now() - began);
    }
    await wait(pause);
  }
}

function tell(said) {
  let sentence = said.verdict === 'good' ? box.dataset.good : said.sentences.join(' ');
  if (photos.length >= maxPhotos) sentence = box.dataset.full; // chosen while the service looked at the camera's picture
  if (live.textContent !== sentence) live.textContent = sentence; // else a screen reader would say it again
  overlay.replaceChildren();
  if (!said.face) return;
  const [left, top, right, bottom] = said.face;
  overlay.setAttribute('viewBox', `0 0 ${said.width} ${said.height}`);
  overlay.setAttribute('class', said.verdict);
  const frame = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
  const sides = { x: left, y: top, width: right - left, height: bottom - top, rx: 8 };
  for (const [name, value] of Object.entries(sides)) frame.setAttribute(name, value);
  overlay.append(frame);
}

// Sending.

form.addEventListener('submit', (event) => {
  event.preventDefault();
  post({});
});

async function post(agreed) {
  for (const element of form.querySelectorAll('[aria-invalid]')) element.removeAttribute('aria-invalid');
  for (const element of form.querySelectorAll('[id^="wrong-"]')) element.remove();
  const body = new FormData(form);
  body.delete('images');
  for (const { file } of photos) body.append('images', file, file.name);
  for (const [name, value] of Object.entries(agreed)) body.append(name, value);
  send.disabled = true;
  say(form.dataset.sending);
  try {
    const response = await fetch(form.action, { method: 'POST', body, headers: { Accept: 'application/json' } });
    const said = await response.json();
    if (response.ok) {
      camera.stop();
      location.assign(said.location);
      return;
    }
    refuse(said, agreed);
  } catch {
    say(form.dataset.away, 'bad');
  }
  send.disabled = false;
}

function refuse(said, agreed) {
  answer.replaceChildren();
  const photo = photos[said.photo];
  if (said.ask) {
    ask(said, agreed);
    if (photo) photo.card.scrollIntoView({ block: 'nearest' });
  } else if (photo) {
    warn(photo.card, said.error);
    photo.card.querySelector('button').focus();
  } else if (said.field && said.field !== 'images') {
    const field = form.elements[said.field];
    const place = document.createElement('p');
    [place.id, place.className, place.textContent] = [`wrong-${said.field}`, 'notice bad', said.error];
    place.setAttribute('role', 'alert');
    field.after(place);
    field.setAttribute('aria-invalid', 'true');
    const details = field.closest('details');
    if (details) details.open = true;
    field.focus();
  } else {
    say(said.error, 'bad');
  }
}

function ask(said, agreed) {
  const question = document.querySelector('#question').content.firstElementChild.cloneNode(true);
  question.querySelector('[data-sentence]').textContent = `${said.error} ${said.question}`;
  const [yes, no, person] = ['yes', 'no', 'person'].map((name) => question.querySelector(`[data-${name}]`));
  yes.textContent = said.answer;
  yes.addEventListener('click', () => post({ ...agreed, [said.ask]: 1 }));
  no.addEventListener('click', () => {
    answer.replaceChildren();
    send.focus();
  });
  if (said.person) person.href = said.person;
  else person.remove();
  answer.append(question);
  question.scrollIntoView({ block: 'nearest' });
  no.focus();
}

function say(sentence, kind = '') {
  const notice = document.createElement('p');
  [notice.className, notice.textContent] = [`notice ${kind}`, sentence];
  notice.setAttribute('role', kind ? 'alert' : 'status');
  answer.replaceChildren(notice);
}

number();
limit();

if (input.files.length) addChosen(); // before this module was there
