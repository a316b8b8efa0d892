"""The bundle's SBOM and ML-BOM, in CycloneDX 1.6, validated against its schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setuplib import places
from setuplib.process import Runner

from bundlelib import engine
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
Json = dict[str, Any]


def write(runner: Runner, python: Path, tree: Path, models: Sequence[Json]) -> None:
    """Write sbom/packages.cdx.json and sbom/models.cdx.json; `python` has the tool.

    Raises SetupError.
    """
    folder = tree / "sbom"
    folder.mkdir()
    packages, described = folder / "packages.cdx.json", folder / "models.cdx.json"
    command = [python, "-m", "cyclonedx_py", "requirements", tree / "requirements.txt"]
    command += ["--output-reproducible", "--sv", "1.6", "--of", "JSON", "-o", packages]
    runner.must(command, places.environment(), "the SBOM could not be made")
    data = json.loads(packages.read_text(encoding="utf-8"))
    data["components"] += [llama_cpp(), *files(tree)]
    _save(packages, data)
    components = [model(entry, tree / "models" / entry["file"]) for entry in models]
    _save(described, {**_header(), "components": components})
    validate = [python, "-c", _VALIDATE, packages, described]
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
    """A component for each file with code: wheels and scripts."""
    found = [*(tree / "wheels").glob("*.whl"), *tree.glob("*.sh")]
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
    version = engine.locked_version()
    return {
        "type": "library",
        "bom-ref": "llama.cpp",
        "name": "llama.cpp",
        "version": f"as in llama-cpp-python {version}",
        "licenses": [{"license": {"id": "MIT"}}],
        "description": f"compiled for {engine.TARGET}, one plug-in for each level of processor",
    }


def model(entry: Json, file: Path) -> Json:
    """A model as a component: hash, license, origin, quantization and chat template."""
    facts = {
        "localagent:bytes": str(entry["bytes"]),
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
