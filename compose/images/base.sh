#!/usr/bin/env bash
# Makes the base image: base.sh <name>. Debian 13 from a registry, or, where none answers, from Debian's packages.
set -euo pipefail
name=$1
registry_image=debian:trixie-slim
registry_timeout_seconds=10

if timeout "$registry_timeout_seconds" docker pull --quiet "$registry_image" >/dev/null 2>&1; then
  docker tag "$registry_image" "$name"
  echo "base: $registry_image" >&2
  exit 0
fi

echo "base: no registry gave $registry_image within $registry_timeout_seconds seconds; it is made of Debian's packages" >&2
if ! command -v mmdebstrap >/dev/null; then
  echo "mmdebstrap is needed for that: apt-get install mmdebstrap" >&2
  exit 1
fi
# The same exclusions hold for whatever is installed on it later: mmdebstrap keeps them in /etc/dpkg/dpkg.cfg.d.
mmdebstrap --quiet --variant=minbase \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
  trixie - | docker import - "$name" >/dev/null
