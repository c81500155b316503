#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# In a fresh user and mount namespace all mounts that were copied are locked: none can be unmounted.
host '
mkdir d; mount -t tmpfs d d; unshare -U -r -m sleep 1000 & C=$!; wait_for is $C sleep
say mntscope predict $C --format json -- umount $PWD/d >/dev/null; cp out.txt p.json
nsenter -t $C -U -m --preserve-credentials umount $PWD/d 2>/dev/null && exit 2
grep -q "\"errno\": \"EINVAL\"" p.json && right EINVAL || wrong "the kernel answers EINVAL, predicted $(grep -o "\"errno\": [^,]*" p.json | head -1)"'
