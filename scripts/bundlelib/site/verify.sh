#!/bin/sh
# Check a bundle before anything of it runs: sh verify.sh BUNDLE.tar PUBLIC_KEY
set -eu
fail() { echo "verify: $1; do not install this bundle" >&2; exit 1; }
[ $# -eq 2 ] || { echo "usage: sh verify.sh BUNDLE.tar PUBLIC_KEY" >&2; exit 2; }
list=$1.manifest key=$2 LC_ALL=C; export LC_ALL
[ -f "$1" ] && [ -f "$list" ] && [ -f "$key" ] || fail "$1, $list or $key is missing"
[ -n "$(ls "$list".sig "$list".minisig "$list".cosign "$list".asc 2>/dev/null)" ] || fail "there is no signature beside $list"
if   [ -f "$list.sig" ]; then openssl dgst -sha256 -verify "$key" -signature "$list.sig" "$list"
elif [ -f "$list.minisig" ]; then minisign -V -p "$key" -m "$list" -x "$list.minisig"
elif [ -f "$list.cosign" ]; then cosign verify-blob --key "$key" --insecure-ignore-tlog --signature "$list.cosign" "$list"
else gpgv --keyring "$(realpath "$key")" "$list.asc" "$list"; fi >/dev/null 2>&1 || fail "the signature of $list is not by this key"
[ -z "$(tar -tvf "$1" | grep -v '^-')" ] || fail "the archive has entries that are no ordinary files"
found=$(mktemp); trap 'rm -f "$found"' EXIT
tar -xf "$1" --to-command='sum=$(sha256sum); echo "${sum%% *}  $TAR_FILENAME"' | sort -k2 > "$found"
sed '$d' "$list" | cmp -s "$found" - || fail "$(sed '$d' "$list" | diff "$found" - |
  sed -n 's/^\([<>]\) [0-9a-f]*  /\1 /p' | sed 's/^</changed or added:/;s/^>/changed or missing:/' | head -n 1)"
sum=$(sha256sum < "$1")  # names, owners and modes of the files count too
[ "${sum%% *}  ${1##*/}" = "$(tail -n 1 "$list")" ] || fail "changed: ${1##*/}, outside of its files' contents"
echo "verified: every file of $1 is as signed"
