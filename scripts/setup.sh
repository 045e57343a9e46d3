#!/bin/sh
# Prepare this machine for the lab: Debian packages that are missing, then the Python environment.
# A second run finds the stamp and returns at once. Works on Debian 12 and Ubuntu 22.04/24.04.
# "setup.sh bench" adds the traffic generators that only the benches need, "setup.sh shell" the
# environment of p4runtime-shell and PTF, "setup.sh test" that, the browser that looks at the report
# and clang's fuzzer.
set -eu
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# command:package pairs; a package is installed only if its command is missing.
needs="mnexec:mininet ip:iproute2 iperf3:iperf3 ethtool:ethtool tcpdump:tcpdump gcc:gcc
       ovs-vswitchd:openvswitch-switch ping:iputils-ping git:git"

if [ "${1:-}" = bench ]; then
    needs="$needs sockperf:sockperf trafgen:netsniff-ng"
fi

missing_packages() {
    for pair in $needs; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || echo "${pair#*:}"
    done
    [ -f /usr/include/stdio.h ] || echo libc6-dev
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

install_packages() {
    [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: $*; run make as root," \
        "or install them yourself: apt-get install $*"
    command -v apt-get >/dev/null || fail "no apt-get here; install by hand: $*"
    echo "setup: installing Debian packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 || {
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    } || fail "apt-get could not install: $*"
}

make_environment() {
    [ -x .venv/bin/python ] || /usr/bin/python3 -m venv --system-site-packages .venv
    echo "setup: installing Python packages into .venv"
    pip=".venv/bin/python -m pip --quiet --disable-pip-version-check"
    $pip install -r requirements.txt || fail "pip could not install requirements.txt"
    $pip install --no-deps --no-build-isolation --config-settings editable_mode=compat -e . \
        || fail "pip could not install this project"
}

# clang with libFuzzer, which is a package of its own where the distribution has split it off.
install_fuzzer() {
    install_packages clang || return 1
    runtime="libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    ! apt-cache show "$runtime" >/dev/null 2>&1 || install_packages "$runtime"
}

make_shell_environment() {
    [ -x .venv-shell/bin/python ] || /usr/bin/python3 -m venv .venv-shell
    echo "setup: installing p4runtime-shell and PTF into .venv-shell"
    .venv-shell/bin/python -m pip --quiet --disable-pip-version-check install --no-deps \
        -r requirements-shell.txt || fail "pip could not install requirements-shell.txt"
}

missing=$(missing_packages | sort -u | tr '\n' ' ')
# shellcheck disable=SC2086 -- one word per package is what we want
[ -z "$missing" ] || install_packages $missing

stamp=$(cat requirements.txt pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1)
stamp="$stamp $(/usr/bin/python3 -V) $PWD"
if [ ! -x .venv/bin/python ] || [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
    make_environment
    printf '%s\n' "$stamp" > .venv/stamp
fi

case "${1:-}" in
shell|test)
    stamp="$(sha256sum < requirements-shell.txt | cut -d' ' -f1) $(/usr/bin/python3 -V) $PWD"
    if [ "$(cat .venv-shell/stamp 2>/dev/null)" != "$stamp" ]; then
        make_shell_environment
        printf '%s\n' "$stamp" > .venv-shell/stamp
    fi ;;
esac

# What single tests do better with. Ubuntu ships its browser in another way than as a package; the
# test that wants it says so. Without clang the fuzz tests mutate blindly, with gcc.
if [ "${1:-}" = test ] && [ "$(id -u)" = 0 ]; then
    command -v chromium >/dev/null 2>&1 || (install_packages chromium) \
        || echo "setup: going on without chromium"
    command -v clang >/dev/null 2>&1 || (install_fuzzer) || echo "setup: going on without clang"
fi
