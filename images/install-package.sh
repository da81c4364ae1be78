#!/bin/sh
# In the build: installs the package in this folder to /opt/package, laid out to be copied over /opt/venv.
set -eu
. /run/secrets/host
export UV_CACHE_DIR=/var/cache/uv
/run/uv pip install --quiet --python /opt/venv --prefix /opt/package --no-deps --link-mode copy \
    --build-constraints build-requirements.txt .
/opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /opt/package -p /opt/venv /opt/package/lib
