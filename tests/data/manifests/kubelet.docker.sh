#!/bin/bash
# containers: kubelet=6
# propagation: kubelet /var/lib/kubelet rshared
# propagation: kubelet /rootfs rslave
sudo docker run -d --name=kubelet --net=host --pid=host --privileged=true \
    --volume=/:/rootfs:ro,rslave \
    --volume=/sys:/sys:rw \
    --volume=/dev:/dev \
    --volume=/var/lib/docker/:/var/lib/docker:rw \
    --volume=/var/lib/kubelet/:/var/lib/kubelet:rw,rshared \
    --volume=/var/run:/var/run:rw \
    example.org/hyperkube:1.33 kubelet --containerized
