// The picture of a camera, and photos of it. It is mirrored by CSS alone (camera.css): a mirrored photo would have
// another descriptor.

const WANTED = { video: { facingMode: 'user', width: { ideal: 1280 }, height: { ideal: 960 } }, audio: false };
const REASONS = {
  NotAllowedError: 'refused',
  SecurityError: 'refused',
  NotFoundError: 'none',
  OverconstrainedError: 'none',
};

export class CameraError extends Error {
  // reason: refused by the person or the browser; none: no camera; busy: another program has it; insecure: no HTTPS.
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export class Camera {
  #video;
  #stream = null;
  #canvas = document.createElement('canvas');
  #context;

  constructor(video) {
    this.#video = video;
    // Not on the graphics card, where a picture is scaled in another way on each machine.
    this.#context = this.#canvas.getContext('2d', { willReadFrequently: true });
    addEventListener('pagehide', () => this.stop());
  }

  get isOn() {
    return this.#stream !== null;
  }

  get width() {
    return this.#video.videoWidth;
  }

  get height() {
    return this.#video.videoHeight;
  }

  // Returns when there is a picture. Throws CameraError.
  async start() {
    if (!navigator.mediaDevices) throw new CameraError('insecure');
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia(WANTED);
      this.#video.srcObject = this.#stream;
      await this.#video.play();
    } catch (error) {
      this.stop();
      throw new CameraError(REASONS[error.name] || 'busy');
    }
  }

  stop() {
    for (const track of this.#stream?.getTracks() || []) track.stop();
    this.#stream = this.#video.srcObject = null;
  }

  // The picture as it is, in a PNG: a JPEG would move the descriptor.
  photo() {
    return this.#draw(this.width, this.height, 'image/png');
  }

  // A JPEG with sides of at most so many pixels, for a look that is not kept.
  frame(side) {
    const scale = Math.min(1, side / Math.max(this.width, this.height));
    return this.#draw(Math.round(scale * this.width), Math.round(scale * this.height), 'image/jpeg');
  }

  #draw(width, height, type) {
    [this.#canvas.width, this.#canvas.height] = [width, height];
    this.#context.drawImage(this.#video, 0, 0, width, height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, type, 0.9));
  }
}
