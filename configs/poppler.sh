#!/bin/sh
# Install poppler, which rasterizes PDF pages, where permissions allow; otherwise pdfium, a dependency, is used.
set -u
command -v pdftocairo >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing poppler-utils"
    if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq poppler-utils; } >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "poppler is not installed (Debian: poppler-utils, macOS: brew install poppler): pages are rendered by pdfium" >&2
exit 0
