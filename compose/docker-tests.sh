#!/usr/bin/env bash
# The tests that need a Docker engine: compose/docker-tests.sh [json file for vitest's results].
# It starts containerd and dockerd of its own, with data in a temporary folder and networks in a network namespace of its
# own: nothing on the machine's ports is in the way, and nothing of the machine is changed but for Debian's packages.
# Where that is impossible it says why and ends with 0; with SUPALOVE_REQUIRE_DOCKER=1, with 1.
set -uo pipefail
cd "$(dirname "$0")/.."
results=${1:-}

# Where no test could run there is a count all the same: whoever adds them up sees it.
count_as() {
  [ -z "$results" ] || [ -s "$results" ] || printf '{"numPassedTests":0,"numFailedTests":%s,"numPendingTests":%s}' "$1" "$2" >"$results"
}

skip() {
  echo "docker tests skipped: $1"
  count_as 0 1
  [ "${SUPALOVE_REQUIRE_DOCKER:-}" = 1 ] && exit 1
  exit 0
}

[ "$(uname -s)" = Linux ] || skip "they need Linux"
[ "$(id -u)" = 0 ] || skip "they need root, for network namespaces and an engine of their own"
[ -d /sys/fs/cgroup ] && grep -q cgroup /proc/mounts || skip "no control groups are mounted"
grep -qw overlay /proc/filesystems || skip "the kernel has no overlay file system"
if [ ! -x /usr/sbin/dockerd ] || ! command -v iptables mmdebstrap ip nsenter >/dev/null; then
  command -v apt-get >/dev/null || skip "Docker is not installed, and there is no apt-get"
  { apt-get update && apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 \
    docker.io iptables iproute2 mmdebstrap util-linux; } >/dev/null 2>&1 || skip "docker.io and mmdebstrap cannot be installed"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/supalove-docker-XXXXXX")
namespace=supalove-docker-$$
engine_pid=
containerd_pid=
socket=$work/docker.sock

machine_state() {
  cat /proc/sys/net/ipv4/ip_forward
  ip -oneline link | cut -d: -f2 | cut -d@ -f1 | sort
  ip netns list | grep -v "^$namespace" | sort
  iptables-save 2>/dev/null | grep -v '^#' | sed -E 's/\[[0-9]+:[0-9]+\]//'
}

stop_engine() {
  [ -n "$engine_pid" ] || return 0
  kill "$engine_pid" 2>/dev/null
  # Containers that are still there keep it ten seconds.
  for _ in $(seq 300); do kill -0 "$engine_pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$engine_pid" 2>/dev/null
  wait "$engine_pid" 2>/dev/null
  engine_pid=
}

tear_down() {
  if [ -n "$engine_pid" ] && [ -S "$socket" ]; then
    mapfile -t containers < <(docker ps --all --quiet 2>/dev/null)
    [ ${#containers[@]} -eq 0 ] || docker rm --force --volumes "${containers[@]}" >/dev/null 2>&1
  fi
  stop_engine
  if [ -n "$containerd_pid" ]; then
    kill "$containerd_pid" 2>/dev/null
    wait "$containerd_pid" 2>/dev/null
  fi
  ip netns delete "$namespace" 2>/dev/null
  # Mounts of networks and layers are left where a daemon was killed.
  grep -F " $work/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r mount; do umount --lazy "$mount" 2>/dev/null; done
  rm -rf "$work"
}
trap tear_down EXIT
trap 'exit 130' INT TERM

# start_engine <options of dockerd>: in the machine's namespace, or where $inside says.
start_engine() {
  # shellcheck disable=SC2086 # a command in front, or nothing
  $inside /usr/sbin/dockerd --containerd "$work/containerd.sock" --data-root "$work/data" --exec-root "$work/exec" \
    --host "unix://$socket" --pidfile "$work/docker.pid" "$@" >>"$work/dockerd.log" 2>&1 &
  engine_pid=$!
  for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && return 0
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -5 "$work/dockerd.log" >&2
  engine_pid=
  return 1
}

# Another client may stand first in the path: Debian's goes with Debian's engine.
mkdir -p "$work/bin" "$work/client/cli-plugins"
ln -s /usr/bin/docker "$work/bin/docker"
export PATH="$work/bin:$PATH" DOCKER_HOST="unix://$socket" DOCKER_CONFIG="$work/client"
before=$(machine_state)

# Compose as a plugin: Debian 12 has none, Debian 13's runs there too.
find_compose_plugin() {
  local candidate
  for candidate in /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /usr/local/lib/docker/cli-plugins; do
    [ -x "$candidate/docker-compose" ] && cp "$candidate/docker-compose" "$work/client/cli-plugins/" && return 0
  done
  local apt=$work/apt
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$apt/sources.list"
  local options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none)
  (cd "$apt" && apt-get "${options[@]}" update && apt-get "${options[@]}" download docker-compose && dpkg-deb -x docker-compose_*.deb .) \
    >"$apt/log" 2>&1 || return 1
  cp "$apt/usr/libexec/docker/cli-plugins/docker-compose" "$work/client/cli-plugins/"
}
find_compose_plugin || skip "the compose plugin is neither installed nor to be had from Debian 13"

ip netns add "$namespace" 2>/dev/null || skip "network namespaces cannot be made"
nsenter --net="/run/netns/$namespace" ip link set lo up
/usr/bin/containerd --root "$work/containerd" --state "$work/containerd-state" --address "$work/containerd.sock" >"$work/containerd.log" 2>&1 &
containerd_pid=$!

status=0
# Images are built with the machine's network, where packages come from; the engine makes no network of its own yet.
inside=
start_engine --bridge=none --iptables=false --ip-forward=false || skip "dockerd does not start here"
npx supalove images build || status=1
stop_engine

# Then the same data in a namespace of its own: its bridges, chains and ports are nobody else's. `nsenter`, because
# `ip netns exec` would hide /sys/fs/cgroup.
inside="nsenter --net=/run/netns/$namespace"
if [ "$status" = 0 ] && start_engine; then
  hard=$(ulimit -Hn)
  [ "$hard" = unlimited ] || [ "$hard" -ge 65536 ] || export SUPALOVE_OPEN_FILES=$hard
  export SUPALOVE_DOCKER_TESTS=1
  $inside npx vitest run --project docker --reporter=default ${results:+--reporter=json --outputFile.json="$results"} || status=1
else
  status=1
fi

tear_down
trap - EXIT
if [ "$(machine_state)" != "$before" ]; then
  echo "the docker tests have changed the machine:" >&2
  diff <(echo "$before") <(machine_state) >&2
  # Other programs may add interfaces meanwhile; forwarding and the rules of the firewall are ours to leave alone.
  [ "$(machine_state | grep -vE '^ ')" = "$(echo "$before" | grep -vE '^ ')" ] || status=1
fi
[ "$status" = 0 ] || count_as 1 0
exit "$status"
