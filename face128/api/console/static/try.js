// Try a photo of the camera: it becomes the file of the form, which is then sent as any other.

import { Camera } from './camera.js';

const form = document.getElementById('try');
const [start, stop, shoot, view, problem] = ['camera-start', 'camera-stop', 'camera-shoot', 'camera', 'camera-problem'].map(
  (id) => document.getElementById(id),
);
const camera = new Camera(view.querySelector('video'));

function show(isOn) {
  view.hidden = !isOn;
  start.hidden = isOn;
}

start.hidden = false;

start.addEventListener('click', async () => {
  problem.hidden = start.disabled = true;
  try {
    await camera.start();
    show(true);
    shoot.focus();
  } catch (error) {
    problem.textContent = form.dataset[error.reason] || form.dataset.busy;
    problem.hidden = false;
  } finally {
    start.disabled = false;
  }
});

stop.addEventListener('click', () => {
  camera.stop();
  show(false);
  start.focus();
});

shoot.addEventListener('click', async () => {
  shoot.disabled = true;
  const file = new File([await camera.photo()], 'face.png', { type: 'image/png' });
  const chosen = new DataTransfer();
  chosen.items.add(file);
  form.elements.image.files = chosen.files;
  camera.stop();
  form.requestSubmit();
});
