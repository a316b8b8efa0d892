"""Names of files that probably hold secrets.

Localagent does not list these files or put them into a prompt. Only the name counts; the file need
not exist. Source code is exempt: `credentials.json` is a secret, but `credentials.py` is a module.
"""

from __future__ import annotations

import re

# Shell patterns for file names in lower case: settings that hold passwords, credentials of package
# managers and clients, and keys. The names are from the documentation of the programs that read
# these files.
SECRET_NAMES: tuple[str, ...] = (
    *(".env", ".env.*", ".env-*", ".env_*", ".env~", "#.env#", ".envrc", "*.env"),
    *(".secret", ".secrets", ".secret.*", ".secrets.*", ".aws_credentials", "rootkey.csv"),
    *("password.txt", "passwords.txt", "token.txt", "tokens.txt", "private_key", "private-key"),
    *("*firebase-adminsdk*.json", ".smbcredentials"),
    *("secrets.json", "secrets.yaml", "secrets.yml", "secrets.toml", "secrets.ini"),
    *("credentials", "credentials.*", "credentials-*", "credentials_*", "client_secret*.json"),
    *("service-account*.json", "service_account*.json", "*.tfstate", "*.tfstate.backup"),
    *("*.tfvars", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass", ".my.cnf", ".htpasswd"),
    *(".dockercfg", ".dockerconfigjson", ".git-credentials", ".vault-token", ".s3cfg", ".boto"),
    *(".terraformrc", "kubeconfig", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem"),
    *("*.key", "*.p12", "*.pfx", "*.p8", "*.ppk", "*.jks", "*.keystore", "*.kdbx"),
)
# Files with these paths below any folder.
SECRET_PATHS: tuple[str, ...] = (".docker/config.json",)
# Every file in one of these folders counts as a secret.
SECRET_FOLDERS: tuple[str, ...] = (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".password-store")
# Suffixes of templates without secrets, which projects ship for users to fill in.
PUBLIC_SUFFIXES: tuple[str, ...] = (".example", ".sample", ".template", ".dist", ".schema")
# Source code and documents may have "credentials" or "secrets" as their subject.
SOURCE_SUFFIXES: tuple[str, ...] = (
    *(".py", ".pyi", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".go", ".rs", ".java", ".kt"),
    *(".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".rb", ".php", ".swift", ".scala", ".sh", ".lua"),
    *(".md", ".rst", ".html", ".css", ".vue", ".svelte", ".ex", ".exs", ".sql"),
)
_NAME = re.compile(
    "|".join(f"(?:{'.*'.join(map(re.escape, glob.split('*')))})" for glob in SECRET_NAMES),
    re.DOTALL,
)


def is_secret(rel: str) -> bool:
    """Whether the file at the path `rel`, with `/` between its parts, probably holds a secret."""
    *folders, name = rel.lower().split("/")
    if any(folder in SECRET_FOLDERS for folder in folders):
        return True
    if f"/{rel.lower()}".endswith(tuple(f"/{path}" for path in SECRET_PATHS)):
        return True
    if not _NAME.fullmatch(name):
        return False
    return not name.endswith(PUBLIC_SUFFIXES + SOURCE_SUFFIXES)
