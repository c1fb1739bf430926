#!/usr/bin/env python3
"""Masked-word accuracy of compressed bodies: less forgiving than sections, which a few words tell.

A masked-language head (train.py's: dense, GELU, norm, the float word table, a bias) is trained on the
hidden rows of the float body, which stays as it is. Then 15 % of the words of test.jsonl are hidden
and guessed from all 30,522, from the hidden rows of the float body and of each recipe's, with the same
head and the same words hidden. Where the recipes leave tokens out, all bodies read the pieces.

Usage: masked_words.py recipe.json [recipe.json ...] [--steps 1000]
"""
import argparse
import json
import pathlib
import random

import torch
import torch.nn.functional as F
from safetensors.numpy import load_file as load_arrays
from tokenizers import BertWordPieceTokenizer

from recipe_student import WORD, float_weights, read, teacher
from train import MASK, SPECIAL, Head, batches, hide, load as load_corpus


def without(vocabulary, recipes):
    """The tokenizer that falls back to pieces for what any of the recipes leaves out."""
    dropped = set()
    for path in map(pathlib.Path, recipes):
        header = json.loads(path.read_text())
        arrays = load_arrays(path.with_name(header["arrays"]["file"]))
        dropped |= set(arrays["droppedTokens"].ravel().tolist())
    words = pathlib.Path(vocabulary).read_text(encoding="utf-8").splitlines()
    kept = {word if i not in dropped else f"[dropped{i}]": i for i, word in enumerate(words)}
    return BertWordPieceTokenizer(kept, lowercase=True), len(dropped)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("recipes", nargs="+")
    p.add_argument("--model", default="model")
    p.add_argument("--corpus", default="corpus.jsonl.xz")
    p.add_argument("--test", default="test.jsonl")
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--limit", type=int, default=128)
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    rng, gen = random.Random(1), torch.Generator().manual_seed(1)
    weights = float_weights(a.model)
    split, _ = load_corpus(a.corpus, f"{a.model}/vocab.txt")
    train = [(ids[: a.limit - 2], label) for ids, label in split["train"]]

    head = Head()
    freq = torch.ones(len(weights[WORD]))
    for ids, _ in train:
        freq.index_add_(0, torch.from_numpy(ids).long(), torch.ones(len(ids)))
    freq /= freq.sum()
    opt = torch.optim.Adam(head.parameters(), lr=2e-3)
    step = 0
    while step < a.steps:
        for ids, mask, _ in batches(train, 4096, rng):
            if step == a.steps:
                break
            hidden_ids, chosen = hide(ids, 0.15, gen)
            with torch.no_grad():
                rows = teacher(weights, hidden_ids, mask, whole=True)[1][-1]
            loss = head(rows[chosen], ids[chosen], weights[WORD], freq, 2000, gen)
            for g in opt.param_groups:
                g["lr"] = 2e-3 * (1 - step / a.steps)
            opt.zero_grad()
            loss.backward()
            opt.step()
            step += 1
            if step % 100 == 0:
                print(f"step {step}: loss {loss.item():.3f}", flush=True)

    tok, dropped = without(f"{a.model}/vocab.txt", a.recipes)
    texts = [json.loads(line)["text"] for line in open(a.test, encoding="utf-8")]
    encoded = tok.encode_batch(texts, add_special_tokens=False)
    test = [(torch.tensor(e.ids[: a.limit - 2]).numpy(), 0) for e in encoded]
    bodies = {"float": lambda ids, mask: teacher(weights, ids, mask, whole=True)}
    for path in a.recipes:
        student = read(path, weights)
        student.word.freeze_as_given()
        bodies[path] = lambda ids, mask, student=student: student(ids, mask, whole=True)
    right, same, cosines, words, rows_seen = dict.fromkeys(bodies, 0), dict.fromkeys(bodies, 0), dict.fromkeys(bodies, 0.0), 0, 0
    with torch.no_grad():
        for ids, mask, _ in batches(test, 4096):
            chosen = (torch.rand(ids.shape, generator=gen) < 0.15) & (ids >= SPECIAL)
            masked = torch.where(chosen, MASK, ids)
            words += int(chosen.sum())
            rows_seen += int(mask.sum())
            first_guess = first_rows = None
            for name, body in bodies.items():
                rows = body(masked, mask)[1][-1]
                guess = (head.norm(F.gelu(head.dense(rows[chosen]))) @ weights[WORD].T + head.bias).argmax(-1)
                first_guess, first_rows = (guess, rows) if first_guess is None else (first_guess, first_rows)
                right[name] += int((guess == ids[chosen]).sum())
                same[name] += int((guess == first_guess).sum())
                cosines[name] += float(F.cosine_similarity(rows, first_rows, -1)[mask > 0].sum())
    print(f"{words} hidden words; {dropped} tokens in pieces")
    for name in bodies:
        print(
            f"{name}: {100 * right[name] / words:.2f} % right, {100 * same[name] / words:.2f} % the float body's guess,"
            f" cosine of all hidden rows {cosines[name] / rows_seen:.4f}"
        )


if __name__ == "__main__":
    main()
