#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# A private copy of the host keeps a disk that the host has unmounted: now the user has the problem, and asks audit.
L=$(disk); host '
mkdir disk; mount '$L' disk; unshare -m --propagation private sleep 1000 & S=$!; wait_for is $S sleep
umount disk; busy '$L' || { echo "the scene is not what it should be"; exit 2; }
say mntscope audit --no-settings
grep -q "'$L'\|$PWD/disk" out.txt || wrong "the device is busy because of process $S, and the audit finds nothing"
right "told"'
