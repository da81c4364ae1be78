#!/bin/sh
# In the build: makes of any base what all our images share: a user without rights, no installer of packages.
set -eu
echo 'nonroot:x:65532:65532:nonroot:/tmp:/usr/sbin/nologin' >>/etc/passwd
echo 'nonroot:x:65532:' >>/etc/group
# LightGBM and XGBoost need OpenMP; the Debian base has it, the official Python image has not.
if ! ldconfig -p | grep -q libgomp.so.1; then
    . /run/secrets/host
    apt-get update -q
    apt-get install -q -y --no-install-recommends libgomp1
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
fi
rm -rf /usr/local/bin/pip* /usr/local/lib/python3.11/ensurepip
rm -rf /usr/local/lib/python3.11/site-packages/pip* /usr/local/lib/python3.11/site-packages/setuptools* /usr/local/lib/python3.11/site-packages/wheel*
