"""The bundle's SBOM, ML-BOM and VEX, in CycloneDX 1.6, validated against its schema."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setuplib import llama, places, zig
from setuplib.console import SetupError
from setuplib.process import Runner

from bundlelib.wheels import sha256

_VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for path in sys.argv[1:]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(path).read())
    if error:
        sys.exit(f"{path}: {error}")
"""
_VULNERABILITIES = Path(__file__).with_name("vulnerabilities.toml")
Json = dict[str, Any]


def write(runner: Runner, python: Path, tree: Path, models: Sequence[Json]) -> None:
    """Write packages, models and vex (.cdx.json) in sbom; `python` has the tool.

    Raises SetupError.
    """
    folder = tree / "sbom"
    folder.mkdir()
    packages, described = folder / "packages.cdx.json", folder / "models.cdx.json"
    judged = folder / "vex.cdx.json"
    command = [python, "-m", "cyclonedx_py", "requirements", tree / "requirements.txt"]
    command += ["--output-reproducible", "--sv", "1.6", "--of", "JSON", "-o", packages]
    runner.must(command, places.environment(), "the SBOM could not be made")
    data = json.loads(packages.read_text(encoding="utf-8"))
    data["components"] += [llama_cpp(), *files(tree)]
    _save(packages, data)
    components = [model(entry, tree / "models" / entry["file"]) for entry in models]
    _save(described, {**_header(), "components": components})
    _save(judged, {**_header(), **vex(data["components"])})
    validate = [python, "-c", _VALIDATE, packages, described, judged]
    runner.must(validate, places.environment(), "the SBOM is not valid")


def _header() -> Json:
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
    }


def _save(path: Path, data: Json) -> None:
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def files(tree: Path) -> list[Json]:
    """A component for each file with code: wheels, scripts and the Containerfile."""
    found = [*(tree / "wheels").glob("*.whl"), *tree.glob("*.sh"), *tree.glob("Containerfile")]
    return [
        {
            "type": "file",
            "bom-ref": f"file:{path.relative_to(tree).as_posix()}",
            "name": path.relative_to(tree).as_posix(),
            "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        }
        for path in sorted(found)
    ]


def llama_cpp() -> Json:
    """llama.cpp, whose source is part of llama-cpp-python's."""
    (version, sdist), target = llama.locked(), zig.TARGETS["x86_64"]
    return {
        "type": "library",
        "bom-ref": "llama.cpp",
        "name": "llama.cpp",
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": sdist}],
        "licenses": [{"license": {"id": "MIT"}}],
        "description": (
            f"the copy in the source of llama-cpp-python {version}, with that number and hash; "
            f"compiled for {target}, one plug-in for each level of processor"
        ),
    }


def vex(components: Sequence[Json]) -> Json:
    """The known vulnerabilities of `components`, each judged by hand, and their components.

    Raises SetupError if a component has another version than the judged one.
    """
    found = {component["name"]: component for component in components}
    listed = tomllib.loads(_VULNERABILITIES.read_text(encoding="utf-8"))["vulnerability"]
    rows = []
    for each in listed:
        component = found.get(each["package"], {})
        if component.get("version") != each["version"]:
            what = f"{each['id']} is judged for {each['package']} {each['version']}"
            raise SetupError(
                f"{what}, not {component.get('version')}", f"judge it again in {_VULNERABILITIES}"
            )
        analysis = {key: each[key] for key in ("state", "justification", "detail") if key in each}
        affects = [{"ref": component["bom-ref"]}]
        rows.append({"id": each["id"], "analysis": analysis, "affects": affects})
    named = {each["package"] for each in listed}
    return {"components": [found[name] for name in sorted(named)], "vulnerabilities": rows}


def model(entry: Json, file: Path) -> Json:
    """A model as a component: hash, license, origin, quantization and chat template."""
    facts = {
        "localagent:bytes": str(entry["bytes"]),
        "localagent:file": f"models/{file.name}",
        "localagent:chat_template_sha256": entry.get("chat_template_sha256", "none pinned"),
        "localagent:origin": entry.get("origin", "unknown"),
        "localagent:quantization": _quantization(file),
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{entry['id']}",
        "name": entry["id"],
        "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
        "licenses": [{"license": {"name": entry.get("license", "unknown")}}],
        "modelCard": {"modelParameters": {"task": "text generation"}},
        "properties": [{"name": name, "value": value} for name, value in sorted(facts.items())],
    }


def _quantization(file: Path) -> str:
    """The quantization in a model file's name, such as Q4_K_M."""
    return file.stem.rpartition("-")[2].upper()
