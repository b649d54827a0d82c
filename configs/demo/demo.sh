#!/bin/sh
# The demo: builds and audits a corpus, then adds a shard to its folder so that an audit fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
derlem=${DERLEM:-derlem}
DERLEM_DEMO_WORK=${DERLEM_DEMO_WORK:-$(pwd)/work-demo}
export DERLEM_DEMO_WORK
config="$here/derlem.yaml"

title() { printf '\n== %s\n' "$1"; }

rm -rf "$DERLEM_DEMO_WORK"
title "derlem run: discover, ingest, sample, build, audit"
"$derlem" -c "$config" run

title "items by category and source: derlem sql 'FROM composition'"
"$derlem" -c "$config" sql "FROM composition"

title "rejected items and their reasons: derlem sql 'FROM rejections'"
"$derlem" -c "$config" sql "SELECT source, status, reason, items, example FROM rejections"

title "the allocation (documents ask for 30 and have 7): derlem sql 'FROM quota_report'"
"$derlem" -c "$config" sql "SELECT node, source, share, available, floor, cap, allocated, why FROM quota_report"

title "the audits: derlem audit"
"$derlem" -c "$config" audit

title "the corpus"
ls -l "$DERLEM_DEMO_WORK/corpora/demo"
cat <<EOF

Load it:
  import webdataset
  samples = webdataset.WebDataset("$DERLEM_DEMO_WORK/corpora/demo/demo-000000.tar", shardshuffle=False).decode("pil")
or
  import datasets
  samples = datasets.load_dataset("$DERLEM_DEMO_WORK/corpora/demo", split="train")
EOF

title "a copy of a shard lies beside the shards: loaders would read its samples twice"
cp "$DERLEM_DEMO_WORK/corpora/demo/demo-000000.tar" "$DERLEM_DEMO_WORK/corpora/demo/demo-copied.tar"
status=0
"$derlem" -c "$config" audit || status=$?
if [ "$status" -ne 3 ]; then
    echo "expected exit code 3 from the audit, got $status" >&2
    exit 1
fi
title "the audit reports it (exit code 3); the demo is done"
