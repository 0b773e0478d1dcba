#!/bin/sh
# wait-for-http URL SECONDS: returns when URL answers with success, fails when the time is over.
set -eu
exec curl --fail --silent --show-error --output /dev/null \
    --retry "$2" --retry-delay 1 --retry-all-errors --retry-max-time "$2" --max-time 5 "$1"
