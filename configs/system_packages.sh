#!/bin/sh
# Install the system packages: poppler, which renders PDF pages (pdfium, from pip, replaces it where it is missing),
# and with the argument "tests" also ImageMagick, which the tests compare stored pixels with, and Chromium, in which
# they open the pages of `derlem browse`.
set -u
packages=
command -v pdftocairo >/dev/null 2>&1 || packages=poppler-utils
if [ "${1:-}" = tests ] && ! command -v magick >/dev/null 2>&1 && ! convert -version 2>/dev/null | grep -q '^Version: ImageMagick'; then
    packages="$packages imagemagick"
fi
if [ "${1:-}" = tests ] && ! command -v chromium >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1; then
    packages="$packages chromium"
fi
[ -z "$packages" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing $packages"
    # shellcheck disable=SC2086
    if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages; } >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "not installed: $packages (Debian: apt-get install, macOS: brew install poppler imagemagick)" >&2
exit 0
