#!/bin/sh
# Certificates for a Dask cluster in which scheduler, workers and clients know each other: ca.pem for all of them, and
# node.pem with node.key for who takes part. Run it once, where nobody else reads: `sh certificates.sh NAME-OR-ADDRESS ..`
# of the machines, then copy the three files to each. ca.key stays behind.
set -eu
umask 077

names=""
for name in "$@"; do
    case $name in
        *[!0-9.]*) names="$names,DNS:$name" ;;
        *) names="$names,IP:$name" ;;
    esac
done

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=mntscope fleet" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=mntscope node" -keyout node.key -out node.csr
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${names#,}" > node.ext
openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile node.ext -out node.pem
rm node.csr node.ext
