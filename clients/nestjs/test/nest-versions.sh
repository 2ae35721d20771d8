#!/bin/sh
# Every supported Nest: the package is compiled and tested with it, and the example application runs on it.
set -e
for nest in 11 12; do
  echo "== Nest $nest"
  npm install --no-save "@nestjs/common@$nest" "@nestjs/core@$nest" "@nestjs/platform-express@$nest"
  npm test
  npm run build
  NEST=$nest node --test --test-timeout=240000 build/test/e2e/example.test.js
done
npm ci
