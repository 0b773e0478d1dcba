#!/bin/sh
# Makes the secrets that docker-compose.yml reads, each only if it is not there yet.
set -eu
umask 077
cd "$(dirname "$0")/.."
mkdir -p secrets
for name in database_owner_password database_app_password registration_token bot_password administrator_password; do
    [ -s "secrets/$name" ] && continue
    # Letters and digits only: these end up in a TOML string and in a password file.
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"secrets/$name"
    echo "made secrets/$name"
done
