#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# Something is mounted below: umount fails with EBUSY, as predict knows. holders must not promise that umount frees it.
host '
mkdir m; mount -t tmpfs one m; mkdir m/sub; mount -t tmpfs two m/sub
umount m 2>/dev/null && { echo "the scene is not what it should be"; exit 2; }
say mntscope holders $PWD/m
grep -q "$PWD/m/sub" out.txt || wrong "m/sub is in the way, and is not named"
right "named"'
