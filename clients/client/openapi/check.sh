#!/bin/sh
# Fails if src/openapi.ts is not what the service's OpenAPI document gives.
set -e
cd "$(dirname "$0")/.."
new=$(mktemp -d)/openapi.ts
sh openapi/generate.sh "$new"
diff -u src/openapi.ts "$new" || { echo 'The API has changed: run "npm run openapi" in clients/.'; exit 1; }
