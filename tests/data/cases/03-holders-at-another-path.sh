#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# A container has the directory of volumes, privately, at a path of its own. The host unmounts a volume, and asks by the path of its log.
L=$(disk); host '
mkdir -p volumes ct; mount -t tmpfs v volumes; mkdir -p volumes/pod/mount; mount '$L' volumes/pod/mount
unshare -m --propagation slave bash -c "mount -t tmpfs root ct; mkdir ct/volumes; mount --rbind volumes ct/volumes; mount --make-rprivate ct/volumes; exec sleep 1000" & C=$!; wait_for is $C sleep
umount volumes/pod/mount; busy '$L' || { echo "the scene is not what it should be"; exit 2; }
say mntscope holders $PWD/volumes/pod/mount
[ $rc = 1 ] && grep -q "$PWD/ct/volumes/pod/mount" out.txt || wrong "the copy of process $C at ct/volumes/pod/mount holds it"
right "found"'
