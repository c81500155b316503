#!/bin/bash
# containers: toolbox=5
# propagation: toolbox /run/host rslave
# propagation: toolbox /tmp rslave
podman create --name toolbox --hostname toolbox --network host --pid host --ipc host \
  --privileged --security-opt label=disable --userns=keep-id --user root:root \
  --volume /:/run/host:rslave --volume /tmp:/tmp:rslave \
  --volume "$HOME:$HOME:rslave" --volume /etc:/run/host/etc \
  --mount type=devpts,destination=/dev/pts --ulimit host example.org/toolbox:40
# propagation: toolbox ${HOME} rslave
