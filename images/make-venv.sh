#!/bin/sh
# In the build: makes /opt/venv from requirements.txt, with the Python of the base image.
set -eu
. /run/secrets/host
export UV_CACHE_DIR=/var/cache/uv
python3 -m venv --without-pip --copies /opt/venv
# Wheels only: nothing is compiled, so no compiler is needed and no source's build script runs. No dependencies of
# them: the lock holds them all, and also what the workspace decided against a package's own word.
/run/uv pip install --quiet --python /opt/venv --require-hashes --only-binary :all: --no-deps --link-mode copy \
    -r /opt/venv/requirements.txt
# Test suites of the large libraries, which nothing imports: a sixth of their files.
for package in matplotlib pandas pyarrow scipy sklearn; do
    find "/opt/venv/lib/python3.11/site-packages/$package" -type d -name tests -prune -exec rm -r {} + 2>/dev/null || true
done
# Compiled now, because a pod cannot write beside its code and would compile at each start; unchecked, because an
# image's files never change and their times do.
/opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib
