#!/bin/sh
# p4runtime-shell connected to one NIC of the running lab: scripts/shell.sh nic1
# It lives in .venv-shell, made on first use.
set -eu
cd "$(dirname "$0")/.."

nic=${1:?"usage: scripts/shell.sh NIC (see: .venv/bin/lab nics)"}
endpoint=$(.venv/bin/lab endpoint "$nic")

./scripts/setup.sh shell
# shellcheck disable=SC2086 -- the endpoint is a list of options
exec .venv-shell/bin/python -m p4runtime_sh $endpoint
