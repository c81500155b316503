#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# A filesystem was unmounted lazily while one process has its working directory and another an open file in it: the device is busy, and no table shows why.
L=$(disk); host '
mkdir share; mount '$L' share; mkdir share/d; touch share/f
( cd share/d; exec sleep 1000 ) & P=$!; ( exec 9<share/f; exec tail -f /dev/null ) & Q=$!; wait_for is $P sleep; wait_for is $Q tail
umount -l share; busy '$L' || exit 2
say mntscope holders '$L'
[ $rc = 1 ] && grep -qw $P out.txt && grep -qw $Q out.txt && { right "both processes named"; exit; }
wrong "busy because of processes $P (cwd) and $Q (open file), and the answer is $(head -c 40 out.txt)"'
