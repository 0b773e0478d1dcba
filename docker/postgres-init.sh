#!/bin/sh
# Run by the PostgreSQL image once, on an empty data folder: the role the gateway works as.
# `fleet_owner` (POSTGRES_USER) migrates and nothing else; `fleet_app` owns nothing and row-level
# security binds it.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set app_password="$(cat /run/fleet/app_password)" <<'SQL'
CREATE ROLE fleet_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    PASSWORD :'app_password';
GRANT CONNECT ON DATABASE fleet TO fleet_app;
SQL
