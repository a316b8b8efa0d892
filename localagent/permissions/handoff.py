"""Files that other programs run or obey later, outside of every sandbox.

An editor runs a project's tasks, git runs filters, a shell loads `.envrc`, and a build starts the
Makefile. Who changes such a file decides what these programs do. So localagent asks before it
changes one in the modes that allow other edits, and names those that a command changed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

# File names in lower case, in any folder.
_NAMES = (
    *("makefile", "gnumakefile", "*.mk", "justfile", "rakefile", "jenkinsfile", "vagrantfile"),
    *("package.json", "build.rs", "setup.py", "noxfile.py", "conftest.py", "*.pth", "tox.ini"),
    *("sitecustomize.py", "usercustomize.py", ".pre-commit-config.yaml", ".gitattributes"),
    *(".gitmodules", ".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", ".envrc", ".npmrc"),
    *(".exrc", ".vimrc", ".nvimrc", ".nvim.lua", ".gdbinit", ".lldbinit", ".dir-locals.el"),
    *(".bazelrc", ".mcp.json", ".pypirc", ".yarnrc", ".yarnrc.yml", "lefthook.yml"),
)
# Folders, in any folder; two parts stand for a folder in a folder.
_FOLDERS = (
    *(".vscode", ".idea", ".husky", ".devcontainer", ".circleci", ".cargo", ".claude", ".cursor"),
    *(".codex", ".gemini", ".github/workflows", ".github/actions", ".venv/bin", "venv/bin"),
    *("node_modules/.bin", ".git-hooks", ".githooks"),
)


def runs_later(path: str) -> bool:
    """Report whether other programs run or obey the file at `path`, with `/` between its parts."""
    lower = path.lower()
    name = lower.rpartition("/")[2]
    if any(fnmatchcase(name, pattern) for pattern in _NAMES):
        return True
    return any(f"/{folder}/" in f"/{lower}/" for folder in _FOLDERS)
