#!/bin/sh
# The Nest versions given, or every supported one: the package is compiled and tested with it, and the example
# application runs on it.
set -e
trap 'cd .. && npm ci' EXIT
for nest in ${@:-10 11 12}; do
  echo "== Nest $nest"
  npm install --no-save "@nestjs/common@$nest" "@nestjs/core@$nest" "@nestjs/platform-express@$nest" "@nestjs/terminus@$nest"
  npm test
  npm run build
  NEST=$nest node --test --test-timeout=240000 build/nestjs/test/e2e/example.test.js
done
