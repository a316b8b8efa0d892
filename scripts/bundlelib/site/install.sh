#!/bin/sh
# Install this bundle without a network, a compiler or root: sh install.sh [--prefix FOLDER] [--python PROGRAM] [--no-models]
# Later: sh install.sh --rollback | --uninstall [--prefix FOLDER]. Run verify.sh first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
prefix=${HOME:-}/.local/opt/localagent python= action=install models=yes
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=$2; shift ;;
    --python) python=$2; shift ;;
    --no-models) models=no ;;
    --rollback|--uninstall) action=${1#--} ;;
    *) echo "usage: sh install.sh [--prefix FOLDER] [--python PROGRAM] [--no-models] [--rollback | --uninstall]" >&2; exit 2 ;;
  esac
  shift
done
fail() { echo "install: $1" >&2; exit 1; }
use() { ln -sfn "$1" "$prefix/current.new" && mv -T "$prefix/current.new" "$prefix/current"; }

if [ $action = uninstall ]; then
  [ -e "$prefix/.localagent" ] || fail "$prefix is no installation of localagent"
  rm -rf "$prefix"
  echo "removed $prefix; localagent's own data stay in the folders that 'localagent docs state' lists"
  exit
fi
if [ $action = rollback ]; then
  [ -L "$prefix/previous" ] || fail "there is no previous version in $prefix"
  old=$(readlink "$prefix/previous"); ln -sfn "$(readlink "$prefix/current")" "$prefix/previous"; use "$old"
  echo "localagent is ${old} again"
  exit
fi

for name in ${python:-python3.13 python3.12 python3.11 python3}; do
  "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && python=$name && break
  python=
done
[ -n "$python" ] || fail "no Python 3.11, 3.12 or 3.13 was found; name one with --python"
version=$(cd "$here/wheels" && echo localagent-*.whl | cut -d- -f2)-$(sha256sum < "$here/requirements.txt" | cut -c1-8)
target=$prefix/$version
mkdir -p "$prefix"; touch "$prefix/.localagent"
[ -e "$target" ] && [ ! -e "$target/complete" ] && rm -rf "$target"
if [ ! -e "$target" ]; then
  "$python" -m venv --without-pip "$target"
  "$target/bin/python" "$(echo "$here"/wheels/pip-*.whl)/pip" --isolated --disable-pip-version-check --no-cache-dir \
    install --quiet --no-index --no-deps --only-binary :all: --require-hashes \
    --find-links "$here/wheels" --requirement "$here/requirements.txt" || fail "pip refused the packages; nothing was changed"
  touch "$target/complete"
fi
if [ -L "$prefix/current" ] && [ "$(readlink "$prefix/current")" != "$version" ]; then ln -sfn "$(readlink "$prefix/current")" "$prefix/previous"; fi
use "$version"
mkdir -p "$prefix/bin" && ln -sfn ../current/bin/localagent "$prefix/bin/localagent"
[ $models = no ] || while read -r id file; do
  "$target/bin/localagent" models fetch "$id" --from "$here/models/$file"
done < "$here/models/list.txt"
echo "installed localagent $version: $prefix/bin/localagent"
echo "next: $prefix/bin/localagent selftest"
