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
    *("*.code-workspace", ".devcontainer.json", ".lvimrc", ".localvimrc", ".pdbrc", ".irbrc"),
    *(".pryrc", ".rprofile", ".pnp.cjs", ".mise.toml", "mise.toml", "taskfile.yml", "procfile"),
    *("gemfile", "podfile", "brewfile", "gulpfile.js", "gruntfile.js", "cmakelists.txt"),
    *("meson.build", "build.gradle", "build.gradle.kts", "settings.gradle", "gradlew", "mvnw"),
    *("gradlew.bat", "mvnw.cmd", "dockerfile", "docker-compose.yml", "docker-compose.yaml"),
    *("compose.yml", "compose.yaml", "flake.nix", "shell.nix", "default.nix"),
    "bitbucket-pipelines.yml",
    *("appveyor.yml", ".appveyor.yml", ".drone.yml", ".woodpecker.yml", "cloudbuild.yaml"),
    *(".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".zprofile", "opencode.json"),
)
# Folders, in any folder; two parts stand for a folder in a folder.
_FOLDERS = (
    *(".vscode", ".idea", ".husky", ".devcontainer", ".circleci", ".cargo", ".claude", ".cursor"),
    *(".codex", ".gemini", ".github/workflows", ".github/actions", ".venv/bin", "venv/bin"),
    *("node_modules/.bin", ".git-hooks", ".githooks", ".hg", ".jj", ".svn", ".bzr", ".zed"),
    *(".fleet", ".windsurf", ".kiro", ".opencode", ".yarn/releases", ".yarn/plugins", ".mvn"),
    *(".gitlab", ".buildkite", ".woodpecker", ".tekton", ".direnv", ".vim", ".nvim", ".mise"),
    *(".tox", ".nox", "gradle/wrapper", ".config/mise", ".config/nvim"),
)


def runs_later(path: str) -> bool:
    """Report whether other programs run or obey the file at `path`, with `/` between its parts."""
    lower = path.lower()
    name = lower.rpartition("/")[2]
    if any(fnmatchcase(name, pattern) for pattern in _NAMES):
        return True
    return any(f"/{folder}/" in f"/{lower}/" for folder in _FOLDERS)


def reason_to_ask(path: str) -> str:
    """The reason of the question about a change of `path`, in words for the user."""
    return f"other programs run or obey {path} later, outside of the sandbox"
