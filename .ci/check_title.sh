#!/bin/sh
# The first line of a commit message: at most 72 characters, no semicolon, no full stop at the end.
title=$(head -n 1 "$1")
case $title in
    *";"*) echo "commit title: no semicolon: $title" >&2; exit 1 ;;
    *.) echo "commit title: no full stop at the end: $title" >&2; exit 1 ;;
esac
[ "${#title}" -le 72 ] || { echo "commit title: ${#title} characters, at most 72: $title" >&2; exit 1; }
