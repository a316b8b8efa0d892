"""The register of a small club."""
