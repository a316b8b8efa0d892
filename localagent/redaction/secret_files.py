"""Which files look like they hold secrets.

Such files are neither listed nor shown to the model. The decision is taken by the name alone, so
it needs no file to exist and no content to be read. Names of source code are spared:
`credentials.py` is a module, `credentials.json` is a secret.
"""

from __future__ import annotations

import re

# File names (compared in lower case), as shell patterns. Collected from the files that the tools
# named beside them document as the place of their keys or passwords.
SECRET_NAMES: tuple[str, ...] = (
    # settings of programs, with passwords in them
    ".env",
    ".env.*",
    ".env-*",
    ".env_*",
    ".envrc",
    "*.env",
    "secrets.json",
    "secrets.yaml",
    "secrets.yml",
    "secrets.toml",
    "secrets.ini",
    "credentials",
    "credentials.*",
    "credentials-*",
    "credentials_*",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "*.tfstate",
    "*.tfstate.backup",
    "*.tfvars",
    # package managers and clients
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".dockercfg",
    ".dockerconfigjson",
    ".git-credentials",
    ".vault-token",
    ".s3cfg",
    ".boto",
    ".terraformrc",
    "kubeconfig",
    # keys
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.p8",
    "*.ppk",
    "*.jks",
    "*.keystore",
    "*.kdbx",
)

# Folders in which everything is a secret.
SECRET_FOLDERS: tuple[str, ...] = (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".password-store")

# Templates that projects ship so that people know what to fill in.
PUBLIC_SUFFIXES: tuple[str, ...] = (".example", ".sample", ".template", ".dist", ".schema")

# Source code is named after what it handles, and holds no secret by that.
SOURCE_SUFFIXES: tuple[str, ...] = (
    *(".py", ".pyi", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".go", ".rs", ".java", ".kt"),
    *(".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".rb", ".php", ".swift", ".scala", ".sh", ".lua"),
    *(".md", ".rst", ".html", ".css", ".vue", ".svelte", ".ex", ".exs", ".sql"),
)


def _pattern(glob: str) -> str:
    return ".*".join(re.escape(part) for part in glob.split("*"))


_NAME = re.compile("|".join(f"(?:{_pattern(glob)})" for glob in SECRET_NAMES), re.DOTALL)


def is_secret(rel: str) -> bool:
    """Whether the path `rel` (with `/` between its parts) looks like it holds a secret."""
    *folders, name = rel.lower().split("/")
    if any(folder in SECRET_FOLDERS for folder in folders):
        return True
    if not _NAME.fullmatch(name):
        return False
    return not name.endswith(PUBLIC_SUFFIXES + SOURCE_SUFFIXES)
