#!/usr/bin/env python3
"""Trains the decoder that a config.json describes on build/package-writer/train.npz, on one thread.

Usage: train.py CONFIG OUT --epochs 2          the whole training set so many times
       train.py CONFIG OUT --cpu-seconds 100   as much of it as that much CPU time of steps allows

Writes OUT/model.safetensors, config.json, tokenizer.json and training.json (loss and held-back
perplexity). Interrupted, the same command goes on from OUT/checkpoint.pt.
"""
import argparse
import json
import math
import pathlib
import shutil
import sys
import time

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "firmware-templates" / "pytorch"))
import merino  # noqa: E402
from merino import PADDING, Merino, load_config, parameter_count, save  # noqa: E402
from prepare import BUILD  # noqa: E402

ROWS = 8
RATE, LAST_RATE, WARM_UP = 3e-3, 0.05, 0.05
DECAY = 0.05


class Documents:
    def __init__(self, split):
        data = np.load(BUILD / f"{split}.npz")
        self.tokens = torch.from_numpy(data["tokens"].astype(np.int64))
        self.lengths, self.starts, self.bytes = data["lengths"], data["starts"], data["bytes"]
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)])

    def __len__(self):
        return len(self.lengths)

    def batch(self, rows):
        """(tokens, whether each belongs to a description), filled up to the longest row."""
        longest = int(self.lengths[rows].max())
        tokens = torch.full((len(rows), longest), PADDING)
        described = torch.zeros((len(rows), longest), dtype=torch.bool)
        for index, row in enumerate(rows):
            length = self.lengths[row]
            tokens[index, :length] = self.tokens[self.offsets[row]:self.offsets[row] + length]
            described[index, self.starts[row]:length] = True
        return tokens, described


def epoch_batches(documents, epoch):
    """Rows of like length lie together, in random order."""
    random = np.random.default_rng([1, epoch])
    order = random.permutation(len(documents))
    pools = [order[at:at + 64 * ROWS] for at in range(0, len(order), 64 * ROWS)]
    batches = []
    for pool in pools:
        pool = pool[np.argsort(documents.lengths[pool], kind="stable")]
        batches += [pool[at:at + ROWS] for at in range(0, len(pool), ROWS)]
    return [batches[i] for i in random.permutation(len(batches))]


@torch.no_grad()
def held_back(model, documents, limit=None):
    """Cross-entropy of the descriptions, given their prompts."""
    model.eval()
    nats = count = size = 0
    order = np.argsort(documents.lengths[:limit], kind="stable")
    for at in range(0, len(order), 64):
        tokens, described = documents.batch(order[at:at + 64])
        tokens_here = int(described[:, 1:].sum())
        nats += float(model.loss(tokens, described)) * tokens_here
        count += tokens_here
        size += int(documents.bytes[order[at:at + 64]].sum())
    model.train()
    return {"tokens": count, "perplexity": math.exp(nats / count), "perplexityPerByte": math.exp(nats / size),
            "bitsPerByte": nats / size / math.log(2)}


def rate_at(progress):
    """Linear warm-up, then half a cosine."""
    if progress < WARM_UP:
        return progress / WARM_UP + 0.01
    share = (progress - WARM_UP) / (1 - WARM_UP)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(1, share)))


def optimizer_of(model):
    matrices = [p for name, p in model.named_parameters() if p.dim() > 1 and "embed_" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() <= 1 or "embed_" in name]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))


def train(config, out, epochs=None, cpu_seconds=None, log=print):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Merino(config)
    optimizer = optimizer_of(model)
    documents = Documents("train")
    state = {"step": 0, "tokens": 0, "cpuSeconds": 0.0}
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    per_epoch = math.ceil(len(documents) / ROWS)
    batches, loaded = [], -1
    mean = None
    while True:
        progress = (state["step"] / (epochs * per_epoch) if epochs is not None
                    else state["cpuSeconds"] / cpu_seconds)
        if progress >= 1:
            break
        began = time.process_time()
        epoch, index = divmod(state["step"], per_epoch)
        if epoch != loaded:
            batches, loaded = epoch_batches(documents, epoch), epoch
        tokens, _ = documents.batch(batches[index])
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate_at(progress)
        loss = model.loss(tokens)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        state["step"] += 1
        state["tokens"] += int((tokens != PADDING).sum())
        state["cpuSeconds"] += time.process_time() - began
        if state["step"] % 200 == 0:
            log(f"step {state['step']}  {100 * progress:.0f} %  loss {mean:.3f}  "
                f"{state['tokens'] / state['cpuSeconds']:.0f} tokens a CPU second")
        if state["step"] % 500 == 0:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state},
                       checkpoint)
    return model, state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("out", type=pathlib.Path)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=float)
    length.add_argument("--cpu-seconds", type=float)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    log = lambda line: print(line, flush=True)
    model, state = train(load_config(given.config), given.out, given.epochs, given.cpu_seconds, log)
    save(model, given.out)
    shutil.copy(HERE / "tokenizer.json", given.out)
    result = {"parameters": parameter_count(model), "steps": state["step"], "trainedTokens": state["tokens"],
              "cpuSeconds": round(state["cpuSeconds"], 1),
              "val": held_back(model, Documents("val")), "test": held_back(model, Documents("test"))}
    (given.out / "training.json").write_text(json.dumps(result, indent=2) + "\n")
    (given.out / "checkpoint.pt").unlink(missing_ok=True)
    log(json.dumps(result))


if __name__ == "__main__":
    main()
