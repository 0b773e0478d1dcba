#!/bin/sh
# Runs once before everything else, as root with CHOWN and DAC_OVERRIDE only.
# Secrets of a Compose file are bind mounts: they keep the owner and mode they have on the host, so
# a service that is not root could not read them. This copies each one to the single service that
# needs it, owned by that service's user and readable by nobody else.
set -eu
umask 077

readonly fleet=10001 postgres=999 conduit=10002
readonly given=/run/secrets

secret() { # NAME: the content, without the line end; refuses an empty one
    [ -s "$given/$1" ] || {
        echo "secret '$1' is missing or empty: run docker/make-secrets.sh" >&2
        exit 1
    }
    tr -d '\r\n' <"$given/$1"
}

hand_over() { # FILE OWNER MODE: standard input becomes FILE, never half written
    cat >"$1.new"
    chmod "$3" "$1.new"
    chown "$2:$2" "$1.new"
    mv "$1.new" "$1"
}

for folder in /prepare/bot-store /prepare/bot-token /prepare/operator-token /prepare/init /prepare/gateway /prepare/bot /prepare/administrator; do
    chown "$fleet:$fleet" "$folder"
    chmod 0700 "$folder"
done
for folder in /prepare/conduit-data /prepare/conduit-config; do
    chown "$conduit:$conduit" "$folder"
    chmod 0700 "$folder"
done
chown "$postgres:$postgres" /prepare/postgres
chmod 0700 /prepare/postgres

owner_password="$(secret database_owner_password)"
app_password="$(secret database_app_password)"
registration_token="$(secret registration_token)"
bot_password="$(secret bot_password)"
administrator_password="$(secret administrator_password)"

printf '%s' "$owner_password" | hand_over /prepare/postgres/owner_password "$postgres" 0400
printf '%s' "$app_password" | hand_over /prepare/postgres/app_password "$postgres" 0400

# libpq's password file: the connection URLs in docker-compose.yml carry no password.
readonly as_owner="postgres:5432:fleet:fleet_owner:$owner_password"
readonly as_app="postgres:5432:fleet:fleet_app:$app_password"
printf '%s\n%s\n' "$as_owner" "$as_app" | hand_over /prepare/init/pgpass "$fleet" 0600
printf '%s\n' "$as_app" | hand_over /prepare/gateway/pgpass "$fleet" 0600
printf '%s' "$registration_token" | hand_over /prepare/bot/registration_token "$fleet" 0400
printf '%s' "$bot_password" | hand_over /prepare/bot/password "$fleet" 0400
printf '%s' "$registration_token" | hand_over /prepare/administrator/registration_token "$fleet" 0400
printf '%s' "$administrator_password" | hand_over /prepare/administrator/password "$fleet" 0400

sed -e "s|@SERVER_NAME@|$SERVER_NAME|" -e "s|@REGISTRATION_TOKEN@|$registration_token|" \
    /usr/local/share/fleet/conduit.toml.in | hand_over /prepare/conduit-config/conduit.toml "$conduit" 0400
