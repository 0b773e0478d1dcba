#!/bin/sh
# first-account URL NAME [FOLDER]: makes the account NAME by registration token, unless it is there.
# Token and password come from files and go to curl by its input: neither is an argument.
set -eu
readonly address="$1/_matrix/client/v3/register" name="$2" given="${3:-/run/fleet}"
token="$(cat "$given/registration_token")"
password="$(cat "$given/password")"

register() { # AUTH: the server's answer, whatever its status
    printf '{"username":"%s","password":"%s","inhibit_login":true%s}' "$name" "$password" "$1" |
        curl --silent --show-error --max-time 30 --header 'content-type: application/json' --data @- "$address"
}

word() { # KEY: the text of a key in the answer
    printf '%s' "$answer" | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"
}

# User-interactive authentication: the first request opens a session, the second brings the token,
# a third the stage that some servers want after it.
answer="$(register '')"
for stage in registration_token dummy; do
    [ -n "$(word session)" ] || break
    auth="\"type\":\"m.login.$stage\",\"session\":\"$(word session)\""
    [ "$stage" = dummy ] || auth="$auth,\"token\":\"$token\""
    answer="$(register ",\"auth\":{$auth}")"
done
if [ -n "$(word user_id)" ]; then
    echo "made $(word user_id)"
elif [ "$(word errcode)" = M_USER_IN_USE ]; then
    echo "$name is there already"
else
    echo "$name was not made: $(word errcode) $(word error)" >&2
    exit 1
fi
