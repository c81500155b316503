#!/bin/sh
# containers: agent=5
# propagation: agent /host rslave
set -eu
docker pull example.org/agent:7
docker run -d --name agent --restart=always \
  --privileged --pid=host --cgroupns host \
  -v /var/run/docker.sock:/var/run/docker.sock:ro \
  -v /proc:/host/proc:ro -v /sys/fs/cgroup:/host/sys/fs/cgroup:ro \
  --mount type=bind,source=/,target=/host,readonly,bind-propagation=rslave \
  --tmpfs /run:rw,noexec,size=64m \
  example.org/agent:7 --config /etc/agent.yaml -v /not:/mounted
