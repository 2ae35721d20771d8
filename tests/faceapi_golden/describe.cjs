// The real face-api.js under Node (wasm, one thread), a photo a line.
//
// In, on stdin:  {"file": raw RGB bytes, "width", "height", "detector": "ssd"|"tiny", "input": "tensor"|"canvas",
//                 "options": those of the detector}
// Out, on stdout: {"faces": [{"box": [left, top, right, bottom], "score", "landmarks": [[x, y] * 68],
//                  "descriptor": base64 of little-endian float32}], "ms"}
//
// The pixels come decoded, so that both sides see the same ones: two JPEG decoders rarely agree to the bit.
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { Canvas, Image, ImageData, createCanvas } = require('@napi-rs/canvas');

// What the package looks for in a browser; it reads them when it is loaded.
Object.assign(global, { Canvas: class extends Canvas { constructor() { super(1, 1); } }, Image, ImageData });
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');

const MODELS = path.join(path.dirname(require.resolve('@vladmandic/face-api/package.json')), 'model');

function canvasOf(rgb, width, height) {
  const canvas = createCanvas(width, height);
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(width, height);
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += 4) {
    pixels.data[j] = rgb[i];
    pixels.data[j + 1] = rgb[i + 1];
    pixels.data[j + 2] = rgb[i + 2];
    pixels.data[j + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

async function describe({ file, width, height, detector, input, options }) {
  const rgb = fs.readFileSync(file);
  const photo = input === 'canvas' ? canvasOf(rgb, width, height) : tf.tensor3d(rgb, [height, width, 3], 'int32');
  const { TinyFaceDetectorOptions, SsdMobilenetv1Options } = faceapi;
  const chosen = detector === 'tiny' ? new TinyFaceDetectorOptions(options) : new SsdMobilenetv1Options(options);
  const start = performance.now();
  const results = await faceapi.detectAllFaces(photo, chosen).withFaceLandmarks().withFaceDescriptors();
  const ms = performance.now() - start;
  if (input !== 'canvas') photo.dispose();
  const round = (x) => Math.round(x * 1000) / 1000;
  const faces = results.map(({ detection, landmarks, descriptor }) => ({
    box: ['left', 'top', 'right', 'bottom'].map((side) => round(detection.box[side])),
    score: detection.score,
    landmarks: landmarks.positions.map(({ x, y }) => [round(x), round(y)]),
    descriptor: Buffer.from(descriptor.buffer, descriptor.byteOffset, descriptor.byteLength).toString('base64'),
  }));
  return { faces, ms };
}

async function main() {
  wasm.setWasmPaths(path.join(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist') + path.sep);
  await tf.setBackend('wasm');
  await tf.ready();
  const { ssdMobilenetv1, tinyFaceDetector, faceLandmark68Net, faceRecognitionNet } = faceapi.nets;
  for (const net of [ssdMobilenetv1, tinyFaceDetector, faceLandmark68Net, faceRecognitionNet]) await net.loadFromDisk(MODELS);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await describe(JSON.parse(line)))}\n`);
  }
}

main();
