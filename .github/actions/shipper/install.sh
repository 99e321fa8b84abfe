#!/usr/bin/env bash
# Fetches the released shipper for this runner, compares it with the
# checksums of the release, and puts it on the PATH of the steps that follow.
set -euo pipefail

releases=${SHIPPER_RELEASES:-https://github.com/go-shipper/shipper/releases}
case "$VERSION" in
  latest) from=$releases/latest/download ;;
  *)      from=$releases/download/v${VERSION#v} ;;
esac

case "$RUNNER_OS" in
  Linux)   os=linux   pack=tar.gz ;;
  macOS)   os=darwin  pack=tar.gz ;;
  Windows) os=windows pack=zip ;;
  *)       echo "::error::shipper is not built for $RUNNER_OS"; exit 1 ;;
esac
case "$RUNNER_ARCH" in
  X64)   arch=amd64 ;;
  ARM64) arch=arm64 ;;
  *)     echo "::error::shipper is not built for $RUNNER_ARCH"; exit 1 ;;
esac

bin=$RUNNER_TEMP/shipper-bin
archive=shipper_${os}_${arch}.$pack
mkdir -p "$bin"
cd "$bin"
curl -fsSL --retry 3 -o "$archive" "$from/$archive"
curl -fsSL --retry 3 -o checksums.txt "$from/checksums.txt"
want=$(grep -E "^[0-9a-f]{64} [ *]$archive\$" checksums.txt | cut -d' ' -f1) || true
got=$( (sha256sum "$archive" 2>/dev/null || shasum -a 256 "$archive") | cut -d' ' -f1)
if [ -z "$want" ] || [ "$want" != "$got" ]; then
  echo "::error::$archive is not what checksums.txt of the release says: $got, not ${want:-named there}"
  exit 1
fi
if [ $pack = zip ]; then unzip -qo "$archive"; else tar -xzf "$archive"; fi
rm "$archive"
echo "$bin" >> "$GITHUB_PATH"
"$bin/shipper" version
