#!/usr/bin/env bash
. "$(dirname "$0")/scene.sh"
# What is mounted on a file (a network namespace, a single-file volume) is not freed by rmdir.
host '
mkdir run ct; mount -t tmpfs run run; touch run/net; unshare -n sleep 1000 & N=$!; wait_for is $N sleep; mount --bind /proc/$N/ns/net run/net
unshare -m --propagation private sleep 1000 & C=$!; wait_for is $C sleep; umount run/net
say mntscope holders $PWD/run/net
cmd=$(grep -oE "^ +(rmdir|rm|unlink) .*" out.txt | head -1)
[ -z "$cmd" ] || $cmd || wrong "the printed command does not work: run/net is a file"
right "usable"'
