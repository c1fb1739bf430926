#!/usr/bin/env python3
"""Trains the lower-cased WordPiece vocabulary (30,522 entries) on the training split.

Usage: train_vocab.py [corpus.jsonl.xz] [model/vocab.txt]
"""
import json
import lzma
import sys

from tokenizers import BertWordPieceTokenizer

corpus = sys.argv[1] if len(sys.argv) > 1 else "corpus.jsonl.xz"
out = sys.argv[2] if len(sys.argv) > 2 else "model/vocab.txt"
rows = map(json.loads, lzma.open(corpus, "rt", encoding="utf-8"))
tok = BertWordPieceTokenizer(lowercase=True)
tok.train_from_iterator((r["text"] for r in rows if r["split"] == "train"), vocab_size=30522,
                        min_frequency=2, limit_alphabet=300, show_progress=False,
                        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
vocab = sorted(tok.get_vocab().items(), key=lambda kv: kv[1])
assert [i for _, i in vocab] == list(range(len(vocab)))
with open(out, "w", encoding="utf-8") as f:
    f.writelines(word + "\n" for word, _ in vocab)
print(len(vocab), "entries")
