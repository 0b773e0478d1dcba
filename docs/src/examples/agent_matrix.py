"""A complete agent over plain Matrix events: no `fleet`, no library. It registers, takes the next task of
its role, does it and hands in the result, and ends when nothing is ready.

Usage: agent_matrix.py HOMESERVER TOKEN_FILE ROOM FLEET_USER NAME ROLE HOST
"""

import json
import sys
import urllib.parse
import urllib.request
import uuid

HOMESERVER, TOKEN_FILE, ROOM, FLEET, NAME, ROLE, HOST = sys.argv[1:8]
TOKEN = open(TOKEN_FILE).read().strip()
AGENT = {"name": NAME, "host": HOST, "incarnation": 0}


def matrix(method: str, path: str, query: dict | None = None, body: dict | None = None) -> dict:
    url = f"{HOMESERVER.rstrip('/')}/_matrix/client/v3/{path}?{urllib.parse.urlencode(query or {})}"
    request = urllib.request.Request(url, method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def ask(verb: str, arguments: dict, lease: dict | None = None) -> dict:
    """Sends a command under an id of its own and waits for the receipt; repeating it would run nothing twice."""
    key = str(uuid.uuid4())
    content = {"v": 1, "id": key, "command": {verb: arguments}, "agent": AGENT}
    room = urllib.parse.quote(ROOM)
    path = f"rooms/{room}/send/dev.mosaicstack.fleet.command/{key}"
    matrix("PUT", path, body=content | ({"lease": lease} if lease else {}))
    while True:
        # Back from the newest event: some servers cut the timeline of /sync to its last ten events.
        page = matrix("GET", f"rooms/{room}/messages", {"dir": "b", "limit": 50})
        for event in page["chunk"]:
            receipt = event["content"]
            ours = event["type"] == "dev.mosaicstack.fleet.receipt" and event["sender"] == FLEET
            if ours and receipt.get("id") == key:
                return receipt
        matrix("GET", "sync", {"since": wait_from(), "timeout": 2000})


def wait_from() -> str:
    return matrix("GET", "sync", {"timeout": 0, "filter": '{"room": {"rooms": []}}'})["next_batch"]


AGENT["incarnation"] = ask("agent.register", {"name": NAME, "role": ROLE, "host": HOST})["reply"]["agent"]["now"]["incarnation"]
while (claimed := ask("task.claim", {}))["outcome"] == "done":
    task = claimed["reply"]["task"]["now"]
    result = {"task": task["id"], "summary": f"read the title: {task['title']}", "unknown_spend": "no tokens"}
    print(ask("task.complete", result, lease={"task": task["id"], "epoch": task["epoch"]})["outcome"], task["id"])
print(claimed["error"]["detail"])
