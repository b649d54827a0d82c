#!/bin/sh
# The demo, from nothing to an audited corpus, and then what an audit is for.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
derlem=${DERLEM:-derlem}
DERLEM_DEMO_WORK=${DERLEM_DEMO_WORK:-$(pwd)/work-demo}
export DERLEM_DEMO_WORK
config="$here/derlem.yaml"

say() { printf '\n== %s\n' "$1"; }

rm -rf "$DERLEM_DEMO_WORK"
say "derlem run: discover, ingest, sample, build, audit"
"$derlem" -c "$config" run

say "what there is: derlem sql 'FROM composition'"
"$derlem" -c "$config" sql "FROM composition"

say "what did not become a sample, and why: derlem sql 'FROM rejections'"
"$derlem" -c "$config" sql "SELECT source, status, reason, items, example FROM rejections"

say "what the quotas made of it (documents asked for 30 and have 7): derlem sql 'FROM quota_report'"
"$derlem" -c "$config" sql "SELECT node, source, share, available, floor, cap, allocated, why FROM quota_report"

say "the audits: derlem audit"
"$derlem" -c "$config" audit

say "the corpus"
ls -l "$DERLEM_DEMO_WORK/corpora/demo"
cat <<EOF

Load it:
  import webdataset
  samples = webdataset.WebDataset("$DERLEM_DEMO_WORK/corpora/demo/demo-000000.tar", shardshuffle=False).decode("pil")
or
  import datasets
  samples = datasets.load_dataset("$DERLEM_DEMO_WORK/corpora/demo", split="train")
EOF

say "now somebody takes the source 'people' out of the configuration, and the corpus still holds it"
"$derlem" -c "$here/without_people.yaml" discover
status=0
"$derlem" -c "$here/without_people.yaml" audit || status=$?
if [ "$status" -ne 3 ]; then
    echo "the audit should have failed with exit code 3, it ended with $status" >&2
    exit 1
fi
say "the audit caught it (exit code 3); the demo is done"
