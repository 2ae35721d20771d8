#!/bin/sh
# Writes the types of the service's OpenAPI document to the file $1.
set -e
repository=$(cd "$(dirname "$0")/../../.." && pwd)
document=$(mktemp -d)/openapi.json
# Without the caller's environment: the document names the engines that FACE128_ENGINES loads.
cd "$repository"
env -i PATH="$PATH" "${FACE128_PYTHON:-$repository/.venv/bin/python}" -c '
import json
from face128.api.app import create_app
print(json.dumps(create_app().openapi()))' > "$document"
cd - > /dev/null
npx openapi-typescript "$document" --output "$1" > /dev/null
