#!/usr/bin/env python3
"""Makes the tokenizer and the token sequences that everything else in this folder reads.

A document is `name (section): short description`, a newline, the long description, and the end token;
the prompt is what comes before the short description. Documents are cut at `CONTEXT` tokens. The split
is the corpus' own: the tokenizer and the models see "train" only.

Usage: prepare.py          writes {train,val,test}.npz into BUILD, and tokenizer.json where there is none
       prepare.py samples  writes test.jsonl and calibration.jsonl: texts for `lm2mcu eval` and `build`
"""
import itertools
import json
import lzma
import pathlib
import sys

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "package-writer"
VOCABULARY = 1024
CONTEXT = 128
END = "<|endoftext|>"


def prompt(name, section):
    return f"{name} ({section}):"


def documents(wanted):
    """(prompt, description) of every text of a split."""
    with lzma.open(HERE.parent / "debian-sections" / "corpus.jsonl.xz", "rt", encoding="utf-8") as corpus, \
            lzma.open(HERE / "names.txt.xz", "rt", encoding="utf-8") as names:
        for row, name in zip(map(json.loads, corpus), names, strict=True):
            if row["split"] == wanted:
                yield prompt(name.strip(), row["label"]), " " + row["text"]


SAMPLES = {"test": ("test", 100), "calibration": ("train", 128)}


def write_samples():
    """The first documents of a split, prompt and description, a line each."""
    for name, (split, count) in SAMPLES.items():
        pairs = itertools.islice(documents(split), count)
        lines = [json.dumps({"text": head + text}, ensure_ascii=False) + "\n" for head, text in pairs]
        (HERE / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, min_frequency=2, show_progress=False, special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator((head + text for head, text in documents("train")), trainer)
    return tokenizer


def encode(tokenizer, split):
    """Rows of tokens, the end token last where the document fits; from where on they are the description.

    `bytes` counts the description's bytes that a row's tokens stand for.
    """
    end = tokenizer.token_to_id(END)
    tokens, lengths, starts, sizes = [], [], [], []
    pairs = list(documents(split))
    heads = tokenizer.encode_batch([head for head, _ in pairs])
    texts = tokenizer.encode_batch([text for _, text in pairs])
    for head, text in zip(heads, texts):
        row = (head.ids + text.ids + [end])[:CONTEXT]
        described = [i for i in row[len(head.ids):] if i != end]
        tokens += row
        lengths.append(len(row))
        starts.append(len(head.ids))
        sizes.append(len(tokenizer.decode(described).encode("utf-8")))
    return {"tokens": np.array(tokens, np.uint16), "lengths": np.array(lengths, np.int32),
            "starts": np.array(starts, np.int32), "bytes": np.array(sizes, np.int32)}


def main():
    if sys.argv[1:] == ["samples"]:
        write_samples()
        return
    BUILD.mkdir(parents=True, exist_ok=True)
    path = HERE / "tokenizer.json"
    if not path.exists():
        train_tokenizer().save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    for split in ("train", "val", "test"):
        data = encode(tokenizer, split)
        np.savez(BUILD / f"{split}.npz", **data)
        count, total = len(data["lengths"]), len(data["tokens"])
        described = int((data["lengths"] - data["starts"]).sum())
        print(f"{split}: {count} documents, {total} tokens, {described} of descriptions, "
              f"{data['bytes'].sum() / described:.2f} bytes a token")


if __name__ == "__main__":
    main()
