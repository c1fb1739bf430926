#!/usr/bin/env python3
"""Takes a few more bytes out of a trained recipe: position rows in int4, and more rare tokens dropped.

Nothing is trained: the position table's rows are rounded on their own principal axes and the projection
is fitted to them; tokens are dropped that another recipe of the same search drops, where the training
and validation texts have them at most so often.

Usage: smaller_recipe.py tuned.json --drop-like other.json --most 2 --out smaller.json
"""
import argparse
import hashlib
import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import load, save

from recipe_student import POSITION, float_weights, packed, read
from train import load as load_corpus

MOST = 7  # of int4


def rounded_rows(table, rank, used):
    """Codes (rows, rank), projection and offset, of the least squared error over the rows used."""
    mean = table[:used].mean(0)
    axes = np.linalg.svd(table[:used] - mean, full_matrices=False)[2]
    at = (table - mean) @ axes[:rank].T
    unit = np.abs(at[:used]).max(0) / MOST
    tried = []
    for shrink in (1, 0.9, 0.8, 0.7, 0.6):
        codes = np.clip(np.round(at / (unit * shrink)), -MOST, MOST)
        terms = np.c_[codes[:used], np.ones(used)]
        fitted, *_ = np.linalg.lstsq(terms, table[:used], rcond=None)
        tried.append((((terms @ fitted - table[:used]) ** 2).sum(), codes.astype(np.int8), fitted.astype(np.float32)))
    _, codes, fitted = min(tried, key=lambda t: t[0])
    return codes, fitted[:rank], fitted[rank:]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("recipe", type=pathlib.Path)
    p.add_argument("--drop-like", type=pathlib.Path, required=True)
    p.add_argument("--most", type=int, default=2, help="occurrences of a token that is dropped")
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--limit", type=int, default=128, help="tokens per text")
    a = p.parse_args()
    arrays = lambda path: load(path.with_name(json.loads(path.read_text())["arrays"]["file"]).read_bytes())
    header, own = json.loads(a.recipe.read_text()), arrays(a.recipe)
    cluster = header["tables"][POSITION]["clusters"][0]
    rank = cluster["rank"]
    student = read(a.recipe, float_weights("model"))
    with torch.no_grad():
        table = student.position(torch.arange(header["tables"][POSITION]["rows"])).numpy()
    codes, projection, offset = rounded_rows(table, rank, a.limit)
    prefix = f"tables/{POSITION}/clusters.0."
    own |= {f"{prefix}factors": packed(codes), f"{prefix}projection": projection, f"{prefix}offset": offset}
    cluster["bits"] = 4
    header["tables"][POSITION]["bytes"] = len(table) * rank // 2 + projection.size

    counts = np.zeros(student.word.rows.shape[0], int)
    split, _ = load_corpus("corpus.jsonl.xz", "model/vocab.txt")
    for ids, _ in split["train"] + split["val"]:
        np.add.at(counts, ids[: a.limit - 2], 1)
    dropped = set(own["droppedTokens"].ravel().tolist())
    dropped |= {t for t in arrays(a.drop_like)["droppedTokens"].ravel().tolist() if counts[t] <= a.most}
    own["droppedTokens"] = np.array([sorted(dropped)], dtype=np.int32)
    header["droppedTokens"] = len(dropped)

    data = save({k: np.ascontiguousarray(v) for k, v in own.items()})
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.with_suffix(".safetensors").write_bytes(data)
    header["arrays"] = {"file": a.out.with_suffix(".safetensors").name, "sha256": hashlib.sha256(data).hexdigest()}
    a.out.write_text(json.dumps(header, indent=2) + "\n")
    print(f"{len(dropped)} tokens dropped, sha256 {header['arrays']['sha256']}")


if __name__ == "__main__":
    main()
