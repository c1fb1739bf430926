#!/usr/bin/env python3
"""Writes the evaluation and calibration texts, {"text","label"} a line, from the corpus.

  test.jsonl             the 2,000 held-back texts
  test-256.jsonl         500 concatenations of test texts of one section, at least 256 tokens each
  test-512.jsonl         260 such, at least 512 tokens; both count [CLS] and [SEP], and a text runs
                         past the limit by less than a word, so cutting at the limit fills it
  calibration.jsonl      500 training texts, from the shortest to the longest
  calibration-512.jsonl  60 concatenations of training texts of one section, at least 512 tokens

No text is used twice within one file.

Usage: make_sets.py [--corpus corpus.jsonl.xz] [--vocab model/vocab.txt] [--out .]
"""
import argparse
import json
import lzma
import pathlib
import random

from tokenizers import BertWordPieceTokenizer


def write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        for text, label in rows:
            f.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")
    print(path, len(rows))


def concatenate(rows, limit, count, tok, seed):
    """Joins texts of one section by newlines until they fill the limit; cuts after that word."""
    rng = random.Random(seed)
    rows = rows[:]
    rng.shuffle(rows)
    out, open_parts = [], {}
    for text, label in rows:
        joined = "\n".join([open_parts[label], text] if label in open_parts else [text])
        enc = tok.encode(joined)
        if len(enc.ids) < limit:
            open_parts[label] = joined
            continue
        word, end = enc.word_ids[limit - 2], 0  # the last token that fits, after [CLS] and before [SEP]
        for w, (_, e) in zip(enc.word_ids, enc.offsets):
            if w == word:
                end = e
        out.append((joined[:end], label))
        open_parts.pop(label, None)
    if len(out) < count:
        raise SystemExit(f"only {len(out)} concatenations of {limit} tokens")
    rng.shuffle(out)
    for text, _ in out:
        assert limit <= len(tok.encode(text).ids) < limit + 40
    return out[:count]


def spread(rows, count):
    """That many elements at even distances, the first and the last among them."""
    return [rows[round(i * (len(rows) - 1) / (count - 1))] for i in range(count)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", default="corpus.jsonl.xz")
    p.add_argument("--vocab", default="model/vocab.txt")
    p.add_argument("--out", default=".")
    a = p.parse_args()
    out = pathlib.Path(a.out)
    tok = BertWordPieceTokenizer(a.vocab, lowercase=True)
    rows = [json.loads(line) for line in lzma.open(a.corpus, "rt", encoding="utf-8")]
    test = [(r["text"], r["label"]) for r in rows if r["split"] == "test"]
    train = [(r["text"], r["label"]) for r in rows if r["split"] == "train"]
    random.Random(1).shuffle(test)
    random.Random(2).shuffle(train)
    write(out / "test.jsonl", test)
    write(out / "test-256.jsonl", concatenate(test, 256, 500, tok, 3))
    write(out / "test-512.jsonl", concatenate(test, 512, 260, tok, 4))
    write(out / "calibration-512.jsonl", concatenate(train[:5000], 512, 60, tok, 5))
    # 400 texts as they come (even in rank of length), 100 even in length up to 512 tokens.
    pool = train[5000:]
    length = dict(zip(pool, (len(e.ids) for e in tok.encode_batch([t for t, _ in pool]))))
    pool.sort(key=lambda r: length[r])
    chosen = dict.fromkeys(spread(pool, 400))
    for want in spread(range(length[pool[0]], 513), 100):
        best = min((r for r in pool if r not in chosen), key=lambda r: abs(length[r] - want))
        chosen[best] = None
    picked = list(chosen)
    random.Random(6).shuffle(picked)
    write(out / "calibration.jsonl", picked)


if __name__ == "__main__":
    main()
