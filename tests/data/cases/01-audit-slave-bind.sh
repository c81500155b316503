#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# A disk at tree/data; the tree bound again as a slave, as guides for a rescue chroot say; a service in a slave namespace.
L=$(disk); host '
mkdir tree rescue; mount -t tmpfs t tree; mkdir tree/data; mount '$L' tree/data
mount --rbind tree rescue; mount --make-rslave rescue
unshare -m --propagation slave sleep 1000 & S=$!; wait_for is $S sleep
say mntscope audit --no-settings --rule MNT008; said=$rc
umount tree/data; busy '$L' && { echo "the scene is not what it should be"; exit 2; }
[ $said = 0 ] || wrong "MNT008 found a pinned mount, but the host one umount freed the device"
right "nothing is pinned"'
