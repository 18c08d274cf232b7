"""Holds every package that is built, with all features, against .deny.toml: licences, sources, bans.

Understands as much of cargo-deny's configuration as stands there, and refuses what it does not. `cargo deny`
checks the same where it is installed; to build it takes a quarter of what all gates may take.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from boolean import AND, OR
from license_expression import ExpressionError, get_spdx_licensing

REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# What each table may say, and how where it can be one thing alone.
UNDERSTOOD = {
    "graph": {"all-features": True},
    "licenses": {"confidence-threshold": None, "allow": None, "private": {"ignore": True}, "exceptions": None},
    "bans": {"multiple-versions": "allow", "wildcards": "allow", "deny": None},
    "sources": {"unknown-registry": "deny", "unknown-git": "deny"},
}


def fits(expression, allowed):
    """Whether a parsed licence can be chosen so that nothing but what is allowed is needed."""
    if isinstance(expression, OR):
        return any(fits(part, allowed) for part in expression.args)
    if isinstance(expression, AND):
        return all(fits(part, allowed) for part in expression.args)
    return str(expression) in allowed


def problems(package, rules, licensing):
    """Yields what is wrong with one package."""
    name = package["name"]
    if package["source"] != REGISTRY:
        yield f"comes from {package['source']}"
    for ban in rules["bans"]["deny"]:
        if ban["crate"] == name:
            yield f"is banned: {ban['reason']}"
    allowed = set(rules["licenses"]["allow"])
    for exception in rules["licenses"]["exceptions"]:
        if exception["crate"] == name:
            allowed.update(exception["allow"])
    licence = package["license"]
    try:
        # Cargo still takes the separator of its first years.
        expression = licensing.parse((licence or "").replace("/", " OR "), validate=True)
    except ExpressionError as error:
        yield f"has a licence nobody knows, {licence}: {error}"
        return
    if expression is None or not fits(expression, allowed):
        yield f"has a licence that is not allowed: {licence}"


def main():
    rules = tomllib.loads(Path(".deny.toml").read_text())
    for table, keys in rules.items():
        understood = UNDERSTOOD.get(table, {})
        for key, value in keys.items():
            if key not in understood or understood[key] not in (None, value):
                sys.exit(f".deny.toml: [{table}] has what is not understood here: {key} = {value}")
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    members = set(metadata["workspace_members"])
    packages = [package for package in metadata["packages"] if package["id"] not in members]
    licensing = get_spdx_licensing()
    found = [
        f"{package['name']} {package['version']} {problem}"
        for package in packages
        for problem in problems(package, rules, licensing)
    ]
    unused = {rule["crate"] for rule in rules["licenses"]["exceptions"]} - {package["name"] for package in packages}
    found += [f"{name} has an exception and is not depended on" for name in sorted(unused)]
    print("\n".join(found) if found else f"{len(packages)} packages fit .deny.toml")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
