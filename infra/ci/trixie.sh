#!/bin/sh
# Programs that Debian 12 lacks, from Debian 13's packages: fetched and checked by apt, with lists of its own, and
# unpacked into a folder. Nothing is installed, and the system's own lists stay as they are.
#
#   sh infra/ci/trixie.sh FOLDER PACKAGE...
#
# The programs lie in FOLDER/bin.
set -eu

target=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$target/bin"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" \
    > "$work/sources.list"
# apt drops root's rights, and then cannot read root's folder.
private="-q -o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$work/lists
    -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
# shellcheck disable=SC2086 # several words, on purpose
apt-get $private update
# shellcheck disable=SC2086
(cd "$work/debs" && apt-get $private download "$@")
for package in "$work"/debs/*.deb; do
    dpkg-deb -x "$package" "$work/root"
done
find "$work/root/usr/bin" "$work/root/usr/libexec/docker/cli-plugins" -type f -perm -u+x \
    -exec cp {} "$target/bin/" \; 2>/dev/null || true
ls "$target/bin"
