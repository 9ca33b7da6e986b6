#!/bin/sh
# Builds the sample web server and packs it as an image archive: knarr/hello:1, in the form `docker load` takes.
#   examples/web/build-image.sh [OUT.tar]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../build/images/hello.tar}
mkdir -p "$(dirname "$out")"
exec python3 "$here/../../tests/fixtures/make_images.py" --only hello --out "$(dirname "$out")" --name "$(basename "$out")"
