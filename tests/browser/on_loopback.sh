#!/bin/sh
# Runs a command; inside `unshare --net`, in a network of its own that has loopback and nothing else.
set -eu
ip link set lo up
exec "$@"
