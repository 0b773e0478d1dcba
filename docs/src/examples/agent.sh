#!/bin/sh
# A complete agent in shell. It answers what is said to it, takes the next task of its role, does it and
# hands in the result. Needs `fleet` on the PATH and FLEET_AGENT_CREDENTIALS; nothing else.
set -u

# The first id in JSON that begins with this letter: t142 of a task, n12 of an item of the inbox.
id() { grep -o "\"id\":\"$1[0-9]*\"" | head -n 1 | cut -d '"' -f 4; }

# What this agent is for; put your own here. It gets the task as JSON, and prints a summary.
work() {
    printf 'read %s characters of task\n' "${#1}"
}

answer() {
    item=$(printf '%s' "$1" | id n)
    [ -z "$item" ] || fleet agent reply "$item" "heard, I am at it" --class reaction --ack >/dev/null
}

perform() {
    task=$(printf '%s' "$1" | id t)
    # The lease is kept as long as the work goes on.
    (while sleep 300; do fleet task renew "$task" || exit; done) >/dev/null 2>&1 &
    keeper=$!
    if summary=$(work "$(fleet task show "$task" --json)"); then
        fleet task complete "$task" --summary "$summary" --tokens 0 >/dev/null
    else
        fleet task fail "$task" --reason "${summary:-no reason was given}" >/dev/null
    fi
    kill "$keeper"
}

wait=0
while :; do
    answer "$(fleet agent next --wait "$wait" --json)"
    fleet agent heartbeat >/dev/null
    if claimed=$(fleet task claim --json 2>/dev/null); then
        perform "$claimed"
        wait=0
    else
        wait=25 # nothing is ready, or not for this agent now: listen meanwhile
    fi
done
