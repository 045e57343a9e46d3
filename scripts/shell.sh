#!/bin/sh
# p4runtime-shell connected to one NIC of the running lab: scripts/shell.sh nic1
# Its release needs protobuf < 3.21, so it lives in .venv-shell, made on first use.
set -eu
cd "$(dirname "$0")/.."

nic=${1:?"usage: scripts/shell.sh NIC (see: .venv/bin/lab nics)"}
endpoint=$(.venv/bin/lab endpoint "$nic")

stamp=$(sha256sum requirements-shell.txt | cut -d' ' -f1)
if [ "$(cat .venv-shell/stamp 2>/dev/null)" != "$stamp" ]; then
    echo "setup: installing p4runtime-shell into .venv-shell"
    /usr/bin/python3 -m venv .venv-shell
    .venv-shell/bin/python -m pip --quiet --disable-pip-version-check install -r requirements-shell.txt
    printf '%s\n' "$stamp" > .venv-shell/stamp
fi
# shellcheck disable=SC2086 -- the endpoint is a list of options
exec .venv-shell/bin/python -m p4runtime_sh $endpoint
