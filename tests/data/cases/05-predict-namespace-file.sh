#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# Binding files of namespaces, as ip-netns(8), snapd and unshare(1) do.
host '
touch f g; unshare -m --propagation unchanged sleep 1000 & C=$!; unshare -n sleep 1000 & N=$!; wait_for is $C sleep; wait_for is $N sleep; bad=0
say mntscope predict host --format json -- mount --bind /proc/$N/ns/net $PWD/f; cp out.txt net.json
mount --bind /proc/$N/ns/net f; grep " $PWD/f " /proc/self/mountinfo | grep -q nsfs || exit 2
python3 - <<P || bad=1
import json
d = json.load(open("net.json"))
own = [e["after"] for e in d["effects"] if e["change"] == "mount" and e["namespace"] == "host"]
assert own and own[0]["fs_type"] == "nsfs" and own[0]["root"].startswith("net:["), "it is a mount of nsfs with root net:[..]: %r" % own
assert not any("does not exist" in u for u in d["uncertain"]), "the file exists: %r" % d["uncertain"]
P
# g lies in a mount whose peer is in the very namespace of which the file is bound: the copy would keep itself alive, EINVAL
say mntscope predict host --format json -- mount --bind /proc/$C/ns/mnt $PWD/g; cp out.txt mnt.json
mount --bind /proc/$C/ns/mnt g 2>/dev/null && exit 2
python3 - <<P || bad=1
import json
d = json.load(open("mnt.json")); assert d["errno"] == "EINVAL", "the kernel answers EINVAL, predicted %r" % d["errno"]
P
[ $bad = 0 ] && right "as the kernel" || wrong "see above"'
