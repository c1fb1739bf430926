#!/usr/bin/env python3
"""Trains the numbers of a compression recipe against the float model, on texts without labels.

The recipe's bits stay what they are; codes, codebooks, projections, offsets, scales, biases, norms
and the int4 weights move so that the compressed model answers as the float one (distillation:
divergence of the class probabilities, and a share of the difference of the hidden rows). The texts
are those of training; half of them are cut and joined to pieces of others, which the float model has
never seen as they are. Tokens that the recipe drops are in pieces for the compressed model only. In
the last part of the time the codes stay and the rest goes on.

Usage: finetune_recipe.py recipe.json --out tuned.json [--steps 8000]
"""
import argparse
import math
import pathlib
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

from dropped_tokens import Pieces
from recipe_student import float_weights, read, teacher
from train import batches, load as load_corpus

# Steps in proportion to what the numbers are: Adam moves each by about its rate.
RATES = {"rows": 1e-3, "books": 5e-4, "projection": 1e-4, "offset": 1e-4, "matrix": 2e-5, "log_scale": 2e-4, "vector": 1e-4}


def joined_pieces(rows, share, limit, rng):
    """Of that share of the texts only a part is kept, followed by a part of another text."""
    out = []
    for ids, label in rows:
        if rng.random() < share:
            other = rows[rng.randrange(len(rows))][0]
            cut = lambda r: r[(start := rng.randrange(max(1, len(r)))) : start + rng.randint(4, limit)]
            ids = np.concatenate([cut(ids), cut(other)]) if rng.random() < 0.7 else cut(ids)
        start = rng.randrange(max(1, len(ids) - limit)) if rng.random() < 0.3 else 0
        out.append((ids[start : start + limit - 2], label))
    return out


def exchanged(ids, mask, share, gen):
    """Some tokens change places within the batch."""
    free = (ids > 4) & (mask > 0)
    words = ids[free]
    moved = words[torch.randperm(len(words), generator=gen)]
    out = ids.clone()
    out[free] = torch.where(torch.rand(len(words), generator=gen) < share, moved, words)
    return out


def divergence(found, wanted):
    return F.kl_div(F.log_softmax(found, -1), F.log_softmax(wanted, -1), log_target=True, reduction="batchmean")


def hidden_difference(found, wanted, mask, where):
    """Mean square over the [CLS] rows of the last layer and all rows of the first that both have."""
    (_, (rows, last)), (_, (true_rows, true_last)) = found, wanted
    rows = rows.gather(1, where.starts[..., None].expand(-1, -1, rows.shape[-1]))
    both = mask * where.whole
    squares = (rows - true_rows).square().mean(-1) * both
    return (last[:, 0] - true_last[:, 0]).square().mean() + squares.sum() / both.sum()


@torch.no_grad()
def measure(student, pieces, weights, rows):
    kl = right = before = same = total = 0
    for ids, mask, labels in batches(rows, 16384):
        own = pieces(ids, mask)
        a, b = teacher(weights, ids, mask)[0], student(own.ids, own.mask)[0]
        kl += divergence(b, a).item() * len(ids)
        same += (a.argmax(-1) == b.argmax(-1)).sum().item()
        right += (b.argmax(-1) == labels).sum().item()
        before += (a.argmax(-1) == labels).sum().item()
        total += len(ids)
    share = lambda count: f"{100 * count / total:.2f} %"
    return f"divergence {kl / total:.4f}, agreement {share(same)}, {share(right)} right, float {share(before)}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("recipe")
    p.add_argument("--out", required=True)
    p.add_argument("--steps", type=int, default=8000, help="about a fifth of a second each")
    p.add_argument("--model", default="model")
    p.add_argument("--corpus", default="corpus.jsonl.xz")
    p.add_argument("--tokens", type=int, default=4096, help="tokens per batch")
    p.add_argument("--rate", type=float, default=1, help="factor of all learning rates")
    p.add_argument("--row-rate", type=float, default=1, help="factor of the word rows' rate")
    p.add_argument("--pieces", type=float, default=0.5, help="share of texts that are pieces")
    p.add_argument("--exchange", type=float, default=0.1, help="share of tokens that change places within a batch")
    p.add_argument("--hidden", type=float, default=0.3, help="weight of the hidden rows' difference")
    p.add_argument("--freeze", type=float, default=0.7, help="share of the time after which codes stay")
    p.add_argument("--limit", type=int, default=128, help="tokens per text")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    rng, gen = random.Random(1), torch.Generator().manual_seed(1)
    weights = float_weights(a.model)
    student = read(a.recipe, weights)
    pieces = Pieces(student.given["droppedTokens"].ravel().tolist(), f"{a.model}/vocab.txt", a.limit)
    first_codes = student.word.codes(student.word.rows)

    split, _ = load_corpus(a.corpus, f"{a.model}/vocab.txt")
    train = split["train"]
    val = [(ids[: a.limit - 2], label) for ids, label in split["val"]]
    print("before:", measure(student, pieces, weights, val), flush=True)
    kinds = {}
    for name, q in student.named_parameters():
        kind = "vector" if name.startswith("vectors.") else "books" if ".books." in name else name.split(".")[-1]
        kinds.setdefault(kind, []).append(q)
    factor = lambda kind: a.rate * (a.row_rate if kind == "rows" else 1)
    groups = [{"params": q, "lr": RATES[kind] * factor(kind)} for kind, q in kinds.items()]
    opt = torch.optim.Adam(groups, betas=(0.9, 0.99))
    base = [g["lr"] for g in opt.param_groups]
    start, step, sums = time.time(), 0, np.zeros(2)
    while step < a.steps:
        for ids, mask, _ in batches(joined_pieces(train, a.pieces, a.limit, rng), a.tokens, rng):
            if step == a.steps:
                break
            used = step / a.steps
            if used >= a.freeze:
                student.word.freeze()
            for g, lr in zip(opt.param_groups, base):
                g["lr"] = lr * min(1, step / 50 + 0.02) * (0.5 + 0.5 * math.cos(math.pi * used))
            ids = exchanged(ids, mask, a.exchange, gen)
            with torch.no_grad():
                wanted = teacher(weights, ids, mask)
            own = pieces(ids, mask)
            found = student(own.ids, own.mask)
            kl = divergence(found[0], wanted[0])
            hidden = hidden_difference(found, wanted, mask, own)
            opt.zero_grad()
            (kl + a.hidden * hidden).backward()
            opt.step()
            step += 1
            sums += kl.item(), hidden.item()
            if step % 100 == 0:
                print("step %d, %d s: divergence %.4f, hidden %.4f" % (step, time.time() - start, *(sums / 100)), flush=True)
                sums[:] = 0
            if step % max(1, a.steps // 4) == 0 and step < a.steps:
                print(measure(student, pieces, weights, val), flush=True)
    student.word.freeze()
    used = torch.arange(first_codes.shape[1]) < student.word.counts[:, None]
    changed = (student.word.frozen != first_codes)[used].float().mean()
    print(f"{step} steps; {100 * changed:.1f} % of the codes changed")
    print("after:", measure(student, pieces, weights, val), flush=True)
    pathlib.Path(a.out).parent.mkdir(parents=True, exist_ok=True)
    student.write(a.out, fineTunedSteps=step)


if __name__ == "__main__":
    main()
