#!/bin/sh
# Check a bundle or a package before anything of it runs: sh verify.sh BUNDLE PUBLIC_KEY
set -eu
fail() { echo "verify: $1; do not install this bundle" >&2; exit 1; }
if [ $# -ne 2 ]; then
  echo "verify: name one bundle and one public key, not $# files" >&2
  echo "usage: sh verify.sh BUNDLE PUBLIC_KEY (BUNDLE: a .tar, .deb or .rpm)" >&2
  exit 2
fi
list=$1.manifest key=$2 LC_ALL=C; export LC_ALL
for file in "$1" "$list" "$key"; do [ -f "$file" ] || fail "$file is missing"; done
if [ -f "$list.sig" ]; then tool=openssl; elif [ -f "$list.minisig" ]; then tool=minisign; else tool=gpgv; fi
[ $tool != gpgv ] || [ -f "$list.asc" ] || fail "there is no signature beside $list"
command -v $tool >/dev/null || fail "this signature needs $tool, which is not installed"
case $tool in openssl) openssl dgst -sha256 -verify "$key" -signature "$list.sig" "$list" ;;
  minisign) minisign -V -p "$key" -m "$list" -x "$list.minisig" ;;
  *) gpgv --keyring "$(realpath "$key")" "$list.asc" "$list" ;; esac >/dev/null 2>&1 || fail "the signature of $list is not by this key"
sum=$(sha256sum < "$1") last="${1##*/} is as signed" where=
if [ "${1%.tar}" != "$1" ]; then
  other=$(tar -tvf "$1" 2>/dev/null | grep -v '^-' | head -n 1)
  [ -z "$other" ] || fail "the archive has an entry that is no ordinary file: $other"
  # The rows of the manifest, as the archive gives them; no file is written, so TMPDIR may be full.
  found=$(tar -xf "$1" --to-command='sum=$(sha256sum); echo "${sum%% *}  $TAR_FILENAME"' 2>/dev/null | sort -k2)
  rows() { printf '%s\n' "$found"; tail -n 1 "$list"; }
  rows | cmp -s - "$list" || fail "$(rows | diff - "$list" | sed -n 's/^< [0-9a-f]*  /changed or added: /p;s/^> [0-9a-f]*  /changed or missing: /p' | head -n 1)"
  last="every file of $1 is as signed" where=", outside of its files' contents"
fi
# Names, owners and modes of the files count too.
[ "${sum%% *}  ${1##*/}" = "$(tail -n 1 "$list")" ] || fail "changed: ${1##*/}$where"
echo "verified: $last"
