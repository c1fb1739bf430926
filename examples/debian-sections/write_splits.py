#!/usr/bin/env python3
"""Writes train.jsonl (48,975 texts) and val.jsonl (2,000), {"text","label"} a line, from the corpus.

They are what recipes are searched and trained on; the 2,000 texts of test.jsonl are in neither.
Needs nothing but Python.

Usage: write_splits.py [--corpus corpus.jsonl.xz] --out DIR
"""
import argparse
import json
import lzma
import pathlib


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", default=pathlib.Path(__file__).with_name("corpus.jsonl.xz"))
    p.add_argument("--out", required=True)
    a = p.parse_args()
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in lzma.open(a.corpus, "rt", encoding="utf-8")]
    tests = {r["text"] for r in rows if r["split"] == "test"}
    for split in ("train", "val"):
        own = [r for r in rows if r["split"] == split]
        assert not any(r["text"] in tests for r in own), "a test text is in another split"
        lines = [json.dumps({"text": r["text"], "label": r["label"]}, ensure_ascii=False) for r in own]
        (out / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        print(out / f"{split}.jsonl", len(own))


if __name__ == "__main__":
    main()
