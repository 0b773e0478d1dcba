"""A complete agent over plain Matrix events: no `fleet`, no library. It registers, answers what is said to
it, takes the next tasks of its role, does them and hands in the results, and ends when nothing is ready.

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
PATH = f"rooms/{urllib.parse.quote(ROOM)}"
FILTER = json.dumps({"room": {"rooms": [ROOM], "timeline": {"limit": 1}}})


def matrix(method: str, path: str, query: dict | None = None, body: dict | None = None) -> dict:
    url = f"{HOMESERVER.rstrip('/')}/_matrix/client/v3/{path}?{urllib.parse.urlencode(query or {})}"
    request = urllib.request.Request(url, method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def ask(verb: str, arguments: dict, lease: dict | None = None) -> dict:
    """Sends a command under an id of its own, and returns its receipt; sent again, it would run once."""
    key = str(uuid.uuid4())
    content = {"v": 1, "id": key, "command": {verb: arguments}, "agent": AGENT}
    since = matrix("GET", "sync", {"timeout": 0, "filter": FILTER})["next_batch"]
    body = content | ({"lease": lease} if lease else {})
    matrix("PUT", f"{PATH}/send/dev.mosaicstack.fleet.command/{key}", body=body)
    while True:
        # Back from the newest event: some servers cut the timeline of /sync to its last ten events.
        page = matrix("GET", f"{PATH}/messages", {"dir": "b", "limit": 50})
        for event in page["chunk"]:
            is_receipt = event["type"] == "dev.mosaicstack.fleet.receipt" and event["sender"] == FLEET
            if is_receipt and event["content"].get("id") == key:
                return event["content"]
        since = matrix("GET", "sync", {"since": since, "timeout": 2000, "filter": FILTER})["next_batch"]


registered = ask("agent.register", {"name": NAME, "role": ROLE, "host": HOST})
AGENT["incarnation"] = registered["reply"]["agent"]["now"]["incarnation"]
for item in ask("agent.next", {"limit": 50})["reply"]["items"]:
    ask("agent.reply", {"item": item["id"], "text": "heard, I am at it", "class": "reaction", "ack": True})
while (claimed := ask("task.claim", {}))["outcome"] == "done":
    task = claimed["reply"]["task"]["now"]
    result = {"task": task["id"], "summary": f"read the title: {task['title']}", "tokens": 0}
    print(ask("task.complete", result, {"task": task["id"], "epoch": task["epoch"]})["outcome"], task["id"])
print(claimed["error"]["detail"])
