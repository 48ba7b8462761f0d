#!/bin/sh
# Starts one service: `start.sh telemetry [serve|migrate|replay [--check]]`, or `start.sh setup <step>`.
# What set-up has written for the service is its environment; what the container is given wins over it.
set -eu
name=$1
shift
[ "$name" != setup ] || exec node deploy/setup.mjs "$@"
exec node --max-semi-space-size=16 --enable-source-maps --env-file-if-exists="/secrets/$name/env" "apps/$name/dist/main.js" "$@"
