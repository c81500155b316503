docker create --name data -v /srv/data:/data -v scratch:/scratch example.org/busybox:1
docker run --rm --volumes-from data:ro -v "$PWD":/src -w /src example.org/build:1 make
# containers: data=2 example.org/build:1=3
