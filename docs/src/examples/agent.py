"""A complete agent in Python. It answers what is said to it, takes the next task of its role, does it and
hands in the result. Needs `fleet` on the PATH and FLEET_AGENT_CREDENTIALS; nothing else."""

import json
import subprocess
import threading


def fleet(*words: str) -> dict:
    """Says it to the fleet; a refusal is a dict with the key "error"."""
    said = subprocess.run(["fleet", "--json", *words], capture_output=True, text=True)
    return json.loads(said.stdout or '{"error": {"code": "none", "detail": "no answer"}}')


def work(task: dict) -> str:
    """What this agent is for; put your own here. Returns a summary, raises what went wrong."""
    return f"read the title: {task['title']}"


def perform(task: dict) -> None:
    done = threading.Event()

    def keep() -> None:  # the lease, as long as the work goes on
        while not done.wait(300) and "error" not in fleet("task", "renew", task["id"]):
            pass

    threading.Thread(target=keep, daemon=True).start()
    try:
        fleet("task", "complete", task["id"], "--summary", work(task), "--tokens", "0")
    except Exception as error:  # whatever it is: the fleet must know
        fleet("task", "fail", task["id"], "--reason", repr(error)[:2000])
    finally:
        done.set()


wait = "0"
while True:
    for item in fleet("agent", "next", "--wait", wait).get("items", []):
        fleet("agent", "reply", item["id"], "heard, I am at it", "--class", "reaction", "--ack")
    fleet("agent", "heartbeat")
    claimed = fleet("task", "claim")
    if "error" not in claimed:
        perform(claimed["reply"]["task"]["now"])
    wait = "25" if "error" in claimed else "0"  # nothing is ready: listen meanwhile
