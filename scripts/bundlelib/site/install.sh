#!/bin/sh
# Install this bundle without a network, a compiler or root: sh install.sh [--prefix FOLDER] [--python PROGRAM] [--no-models]
# Later: sh install.sh --rollback | --uninstall [--prefix FOLDER]. Run verify.sh first.
set -eu
umask 022  # all users can run what root installs, also where root's umask is 077
here=$(cd "$(dirname "$0")" && pwd)
prefix=${HOME:+$HOME/.local/opt/localagent} python= action=install models=yes
fail() { echo "install: $1" >&2; exit 1; }
usage() {
  echo "usage: sh install.sh [--prefix FOLDER] [--python PROGRAM] [--no-models] [--rollback | --uninstall]" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ -n "${2:-}" ] || usage; prefix=$2; shift ;;
    --python) [ -n "${2:-}" ] || usage; python=$2; shift ;;
    --no-models) models=no ;;
    --rollback|--uninstall) action=${1#--} ;;
    *) usage ;;
  esac
  shift
done
[ -n "$prefix" ] || fail "HOME is not set; name a folder with --prefix"
versions=$prefix/.localagent  # the names of the folders that belong to localagent
use() { ln -sfn "$1" "$prefix/current.new" && mv -T "$prefix/current.new" "$prefix/current"; }
version_of() { readlink "$prefix/$1" || true; }

if [ $action = uninstall ]; then
  [ -f "$versions" ] || fail "$prefix is no installation of localagent"
  while read -r name; do rm -rf "${prefix:?}/${name:?}"; done < "$versions"
  [ "$(readlink "$prefix/bin/localagent")" != ../current/bin/localagent ] || rm "$prefix/bin/localagent"
  rm -f "$prefix/current" "$prefix/previous" "$versions"
  rmdir "$prefix/bin" "$prefix" 2>/dev/null || true  # other files stay
  echo "removed localagent from $prefix; models, sessions and settings of each user stay in the folders"
  echo "localagent of ~/.local/share, ~/.local/state, ~/.cache and ~/.config: delete them by hand"
  exit
fi
if [ $action = rollback ]; then
  old=$(version_of previous)
  [ -n "$old" ] && [ -e "$prefix/$old/complete" ] || fail "there is no previous version in $prefix"
  ln -sfn "$(version_of current)" "$prefix/previous"
  use "$old"
  echo "localagent is $old again"
  exit
fi

[ -f "$here/requirements.txt" ] && [ -f "$here/models/list.txt" ] && [ -f "$(echo "$here"/wheels/localagent-*.whl)" ] ||
  fail "$here is no unpacked bundle; unpack the archive and run its install.sh (or this one with --rollback or --uninstall)"
missing="no Python 3.11, 3.12 or 3.13 was found; name one with --python"
[ -z "$python" ] || missing="$python does not start as Python 3.11, 3.12 or 3.13"
for name in ${python:-python3.13 python3.12 python3.11 python3}; do
  "$name" -I -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && python=$name && break
  python=
done
[ -n "$python" ] || fail "$missing"
base=$prefix  # try a program before anything changes: the nearest folder that exists is on the same disk
while [ ! -d "$base" ]; do base=$(dirname "$base"); done
probe=$(mktemp "$base/.localagent-XXXXXX" 2>/dev/null) || fail "$base cannot be written; use --prefix FOLDER"
trap 'rm -f "$probe"' EXIT
{ echo '#!/bin/sh' > "$probe"; } 2>/dev/null || fail "there is no space in $base"
chmod 700 "$probe"
"$probe" 2>/dev/null || fail "$base forbids programs (noexec); use --prefix FOLDER"
rm -f "$probe"
version=$(cd "$here/wheels" && echo localagent-*.whl | cut -d- -f2)-$(sha256sum < "$here/requirements.txt" | cut -c1-8)
target=$prefix/$version
mkdir -p "$prefix/bin"
there=
[ ! -e "$target/complete" ] || there="; it was installed already: to repair it, run --uninstall first"
if [ ! -e "$target/complete" ]; then
  rm -rf "$target"
  grep -qsxF "$version" "$versions" || echo "$version" >> "$versions"
  "$python" -I -m venv --without-pip "$target"
  pip() { "$target/bin/python" -I "$(echo "$here"/wheels/pip-*.whl)/pip" --isolated --disable-pip-version-check "$@"; }
  refuse() { rm -rf "$target"; fail "pip refused the packages; nothing was installed"; }
  pip install --quiet --no-cache-dir --no-index --no-deps --only-binary :all: --require-hashes \
    --find-links "$here/wheels" --requirement "$here/requirements.txt" || refuse
  report=$(pip check) || { echo "$report" >&2; refuse; }
  touch "$target/complete"
fi
current=$(version_of current)
if [ -n "$current" ] && [ "$current" != "$version" ]; then ln -sfn "$current" "$prefix/previous"; fi
use "$version"
ln -sfn ../current/bin/localagent "$prefix/bin/localagent"
[ $models = no ] || while read -r id file; do
  "$target/bin/localagent" models fetch "$id" --from "$here/models/$file" < /dev/null
done < "$here/models/list.txt"
echo "installed localagent $version: $prefix/bin/localagent$there"
echo "next: $prefix/bin/localagent selftest"
