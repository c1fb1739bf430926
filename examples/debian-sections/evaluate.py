#!/usr/bin/env python3
"""Loads model/ afresh with transformers, checks golden.json and measures the accuracies.

Usage: evaluate.py [--model model] [--sets .] [--corpus corpus.jsonl.xz]
"""
import argparse
import json
import lzma
import pathlib

import torch

from export import load


def read(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


@torch.no_grad()
def predictions(model, tok, rows, limit):
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["text"]))
    out = [""] * len(rows)
    for at in range(0, len(order), 32):
        part = order[at:at + 32]
        enc = tok([rows[i]["text"] for i in part], truncation=True, max_length=limit, padding=True, return_tensors="pt")
        for i, k in zip(part, model(**enc).logits.argmax(-1).tolist()):
            out[i] = model.config.id2label[k]
    return out


def share(rows, found):
    return sum(r["label"] == f for r, f in zip(rows, found)) / len(rows)


@torch.no_grad()
def check_golden(model, tok, path):
    worst = 0.0
    for case in json.load(open(path, encoding="utf-8"))["cases"]:
        enc = tok(case["text"], case.get("text_pair"), truncation=True, max_length=case.get("maxLength", 512), return_tensors="pt")
        assert enc["input_ids"][0].tolist() == case["ids"], case["text"]
        assert enc["token_type_ids"][0].tolist() == case["tokenTypes"], case["text"]
        worst = max(worst, (model(**enc).logits[0] - torch.tensor(case["logits"])).abs().max().item())
    print(f"golden logits: largest difference {worst:.1e}")
    assert worst < 1e-4


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default="model")
    p.add_argument("--sets", default=".")
    p.add_argument("--corpus", default="corpus.jsonl.xz")
    a = p.parse_args()
    sets = pathlib.Path(a.sets)
    model, tok = load(a.model)
    if (sets / "golden.json").exists():
        check_golden(model, tok, sets / "golden.json")
    test = read(sets / "test.jsonl")
    kin = {r["text"]: r["kin"] for r in map(json.loads, lzma.open(a.corpus, "rt", encoding="utf-8")) if "kin" in r}
    for limit in (32, 64, 128, 512):
        found = predictions(model, tok, test, limit)
        print(f"test.jsonl at {limit} tokens: {share(test, found):.4f} of {len(test)}")
        if limit == 128:
            for flag, words in ((True, "source package also in training"), (False, "source package not in training")):
                part = [(r, f) for r, f in zip(test, found) if kin[r["text"]] == flag]
                print(f"  {words}: {share(*zip(*part)):.4f} of {len(part)}")
            names = sorted({r["label"] for r in test})
            per = {n: [(r, f) for r, f in zip(test, found) if r["label"] == n] for n in names}
            print("  recall by section: " + ", ".join(f"{n} {share(*zip(*rs)):.2f} ({len(rs)})" for n, rs in per.items()))
    for name, limits in (("test-256.jsonl", (128, 256)), ("test-512.jsonl", (128, 256, 512))):
        rows = read(sets / name)
        for limit in limits:
            print(f"{name} at {limit} tokens: {share(rows, predictions(model, tok, rows, limit)):.4f} of {len(rows)}")


if __name__ == "__main__":
    main()
