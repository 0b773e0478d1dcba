"""An MCP client, by the official Python SDK: what a model's program would do, as one JSON report.

Usage: client.py FLEET CREDENTIALS MODE < STEPS

STEPS is a JSON list of steps: {"tool": NAME, "arguments": {...}}, {"read": URI}, {"prompt": NAME,
"arguments": {...}}. The report holds what the server says of itself and what each step came to.
"""

import asyncio
import json
import sys

from mcp import Client, MCPError, StdioServerParameters


def plain(model) -> dict:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def step(client: Client, step: dict) -> dict:
    try:
        if "tool" in step:
            # The SDK checks the structured result against the tool's output schema.
            return plain(await client.call_tool(step["tool"], step.get("arguments", {})))
        if "read" in step:
            return plain(await client.read_resource(step["read"]))
        return plain(await client.get_prompt(step["prompt"], step.get("arguments")))
    except MCPError as error:
        return {"protocol_error": plain(error.error)}


async def main(fleet: str, credentials: str, mode: str, steps: list[dict]) -> dict:
    server = StdioServerParameters(
        command=fleet, args=["mcp"], env={"FLEET_AGENT_CREDENTIALS": credentials}
    )
    async with Client(server, mode=mode) as client:
        return {
            "protocol": client.protocol_version,
            "server": plain(client.server_info),
            "instructions": client.instructions,
            "tools": plain(await client.list_tools())["tools"],
            "resources": plain(await client.list_resources())["resources"],
            "templates": plain(await client.list_resource_templates())["resourceTemplates"],
            "prompts": plain(await client.list_prompts())["prompts"],
            "steps": [await step(client, s) for s in steps],
        }


print(json.dumps(asyncio.run(main(*sys.argv[1:4], json.load(sys.stdin)))))
