"""Versions of dependencies with known faults cannot be installed along with this package."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

FAULTY = {
    "starlette": ("1.3.0", "CVE-2025-62727 (ranges), CVE-2026-48710 (Host), limits of forms"),
    "h11": ("0.15.0", "CVE-2025-43859 (request smuggling by chunked bodies)"),
    "uvicorn": ("0.41.0", "bodies in small pieces take quadratic time"),
    "pillow": ("12.2.0", "CVE-2026-25990 and others: writes out of bounds, bombs"),
    "jinja2": ("3.1.5", "CVE-2025-27516 (leaves the sandbox)"),
    "mkdocs-material": ("9.5.31", "scripts in links to the search"),
    "torch": ("2.5.1", "CVE-2025-32434 (torch.load runs code)"),
    "pytest": ("9.0.2", "CVE-2025-71176 (folders in /tmp)"),
}
"""The last version with a fault that we know of, and what it is."""


def requirements():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())[
        "project"
    ]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for texts in lists for text in texts]


@pytest.mark.parametrize("name", FAULTY)
def test_versions_with_known_faults_are_excluded(name):
    found = [r for r in requirements() if r.name.lower() == name]
    version, fault = FAULTY[name]
    assert found and not any(r.specifier.contains(version) for r in found), fault
