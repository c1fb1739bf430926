#!/usr/bin/env python3
"""Trains BERT-tiny from scratch on the corpus, in two stages.

  train.py pretrain  masked-language modelling (sampled softmax, tied embeddings) together with
                     the classification loss, texts cropped to 128 tokens, plus a share of
                     same-section concatenations of up to 512 tokens
  train.py finetune  classification only, from the checkpoint of the first stage, with the same
                     concatenations, so that all 512 position embeddings are trained

The checkpoint is a torch file with the weights (an exponential moving average over steps);
export.py turns it into the Hugging Face folder. Seeds are fixed; the last digits still depend
on the number of threads and the CPU.
"""
import argparse
import json
import lzma
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForSequenceClassification

CLS, SEP, MASK, SPECIAL = 2, 3, 4, 5


def load(corpus, vocab):
    """Returns {split: [(ids without [CLS]/[SEP], label index)]} and the section names."""
    rows = [json.loads(line) for line in lzma.open(corpus, "rt", encoding="utf-8")]
    names = sorted({r["label"] for r in rows})
    tok = BertWordPieceTokenizer(vocab, lowercase=True)
    encoded = tok.encode_batch([r["text"] for r in rows], add_special_tokens=False)
    split = {"train": [], "val": [], "test": []}
    for r, e in zip(rows, encoded):
        split[r["split"]].append((np.array(e.ids, np.int32), names.index(r["label"])))
    return split, names


def config(names):
    return BertConfig(vocab_size=30522, hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=512, max_position_embeddings=512, type_vocab_size=2,
                      hidden_act="gelu", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0,
                      id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})


def concatenations(rows, count, rng):
    """Same-section concatenations cut to a random length of 256..512 tokens ([CLS], [SEP] incl.)."""
    by = {}
    for ids, label in rows:
        by.setdefault(label, []).append(ids)
    labels = [label for _, label in rows]
    out = []
    for _ in range(count):
        label, want, parts = rng.choice(labels), rng.randint(256, 512) - 2, []
        while sum(map(len, parts)) < want:
            parts.append(rng.choice(by[label]))
        out.append((np.concatenate(parts)[:want], label))
    return out


def crops(rows, limit, rng):
    """Cuts long texts to the limit: half of them at the front, half at a random window."""
    for ids, label in rows:
        room = limit - 2
        if len(ids) > room:
            start = rng.randint(0, len(ids) - room) if rng.random() < 0.5 else 0
            ids = ids[start:start + room]
        yield ids, label


def batches(rows, tokens, rng=None):
    """Batches of about equal length with at most that many tokens, as (ids, mask, labels)."""
    rows = sorted(rows, key=lambda r: len(r[0]) + (rng.random() * 6 if rng else 0))
    groups, at = [], 0
    while at < len(rows):
        end = at + 1
        while end < len(rows) and (len(rows[end][0]) + 8) * (end - at + 1) <= tokens and end - at < 128:
            end += 1
        groups.append(rows[at:end])
        at = end
    if rng:
        rng.shuffle(groups)
    for group in groups:
        width = max(len(ids) for ids, _ in group) + 2
        ids = np.zeros((len(group), width), np.int64)
        for i, (row, _) in enumerate(group):
            ids[i, 0], ids[i, 1:len(row) + 1], ids[i, len(row) + 1] = CLS, row, SEP
        ids = torch.from_numpy(ids)
        yield ids, (ids != 0).long(), torch.tensor([label for _, label in group])


def hide(ids, share, gen):
    """BERT masking: of `share` of the tokens 80 % become [MASK], 10 % a random one, 10 % stay."""
    chosen = (torch.rand(ids.shape, generator=gen) < share) & (ids >= SPECIAL)
    dice = torch.rand(ids.shape, generator=gen)
    noise = torch.randint(SPECIAL, 30522, ids.shape, generator=gen)
    out = torch.where(chosen & (dice < 0.8), MASK, ids)
    return torch.where(chosen & (dice >= 0.9), noise, out), chosen


class Head(torch.nn.Module):
    """BERT's masked-language head; its output matrix is the word embedding."""

    def __init__(self):
        super().__init__()
        self.dense, self.norm = torch.nn.Linear(128, 128), torch.nn.LayerNorm(128)
        self.bias = torch.nn.Parameter(torch.zeros(30522))

    def forward(self, hidden, targets, words, freq, negatives, gen):
        """Sampled softmax: the batch's targets and `negatives` words drawn by frequency."""
        hidden = self.norm(F.gelu(self.dense(hidden)))
        drawn = torch.multinomial(freq, negatives, replacement=False, generator=gen)
        cand, where = torch.unique(torch.cat([targets, drawn]), return_inverse=True)
        # Correct for how likely a word is to be among the candidates (its inclusion rate).
        rate = -torch.expm1(-(negatives + len(targets)) * freq[cand])
        logits = hidden @ words[cand].T + self.bias[cand] - torch.log(rate)
        return F.cross_entropy(logits.float(), where[:len(targets)])


@torch.no_grad()
def accuracy(model, rows, limit):
    model.eval()
    right = 0
    for ids, mask, labels in batches([(i[:limit - 2], l) for i, l in rows], 16384):
        right += (model(input_ids=ids, attention_mask=mask).logits.argmax(-1) == labels).sum().item()
    model.train()
    return right / len(rows)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("stage", choices=["pretrain", "finetune"])
    p.add_argument("--corpus", default="corpus.jsonl.xz")
    p.add_argument("--vocab", default="model/vocab.txt")
    p.add_argument("--init", help="checkpoint to start from")
    p.add_argument("--out", required=True)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--end-lr", type=float, default=0.0, help="learning rate at the end, as a share of --lr")
    p.add_argument("--tokens", type=int, default=8192, help="tokens per batch")
    p.add_argument("--limit", type=int, default=128, help="tokens per single text")
    p.add_argument("--long", type=int, default=1500, help="concatenated texts per epoch")
    p.add_argument("--mask", type=float, default=0.15)
    p.add_argument("--class-weight", type=float, default=0.3, help="of the class loss while pretraining")
    p.add_argument("--negatives", type=int, default=3000)
    p.add_argument("--smoothing", type=float, default=0.1)
    p.add_argument("--decay", type=float, default=0.01)
    p.add_argument("--ema", type=float, default=0.995)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--steps", type=int, default=0, help="stop early, for timing")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    rng, gen = random.Random(a.seed), torch.Generator().manual_seed(a.seed)
    split, names = load(a.corpus, a.vocab)
    model, head = BertForSequenceClassification(config(names)), Head()
    if a.init:
        model.load_state_dict(torch.load(a.init))
    words = model.bert.embeddings.word_embeddings.weight
    count = np.bincount(np.concatenate([i for i, _ in split["train"]]), minlength=30522)
    freq = torch.tensor((count + 1.0) ** 0.75, dtype=torch.float)
    freq /= freq.sum()

    named = [(n, q) for m in (model, head) for n, q in m.named_parameters()]
    plain = [q for n, q in named if q.ndim == 1]
    matrices = [q for n, q in named if q.ndim > 1]
    opt = torch.optim.AdamW([{"params": matrices, "weight_decay": a.decay},
                             {"params": plain, "weight_decay": 0.0}], lr=a.lr, fused=True)
    lengths = [min(len(i), a.limit - 2) for i, _ in split["train"]]
    per_epoch = sum(1 for _ in batches([(np.zeros(n, np.int32), 0) for n in lengths] +
                                       [(np.zeros(382, np.int32), 0)] * a.long, a.tokens))
    total = per_epoch * a.epochs
    warm = total // 20
    average = {k: v.clone() for k, v in model.state_dict().items()}
    print(f"{len(split['train'])} texts, {sum(lengths)} tokens an epoch, about {total} steps", flush=True)

    step, start, best, seen = 0, time.time(), 0.0, 0
    sums = np.zeros(3)
    for epoch in range(a.epochs):
        rows = list(crops(split["train"], a.limit, rng)) + concatenations(split["train"], a.long, rng)
        for ids, mask, labels in batches(rows, a.tokens, rng):
            for group in opt.param_groups:
                left = max(0.0, 1 - max(0, step - warm) / max(1, total - warm))
                group["lr"] = a.lr * min(1.0, (step + 1) / warm if warm else 1) * (a.end_lr + (1 - a.end_lr) * left)
            hidden_ids, chosen = hide(ids, a.mask, gen)
            with torch.autocast("cpu", torch.bfloat16, enabled=a.bf16):
                out = model.bert(input_ids=hidden_ids, attention_mask=mask)
                logits = model.classifier(model.dropout(out.pooler_output))
                loss = class_loss = F.cross_entropy(logits.float(), labels, label_smoothing=a.smoothing)
                mlm = torch.zeros(())
                if a.stage == "pretrain":
                    mlm = head(out.last_hidden_state[chosen], ids[chosen], words, freq, a.negatives, gen)
                    loss = mlm + a.class_weight * class_loss
            opt.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([q for _, q in named if q.grad is not None], 1.0)
            opt.step()
            step += 1
            seen += ids.numel()
            with torch.no_grad():
                keep = min(a.ema, step / (step + 10))
                for k, v in model.state_dict().items():
                    if v.is_floating_point():
                        average[k].lerp_(v, 1 - keep)
            sums += mlm.item(), class_loss.item(), (logits.argmax(-1) == labels).float().mean().item()
            if step % 100 == 0 or step == a.steps:
                s = sums / (step % 100 or 100)
                print(f"step {step}/{total} mlm {s[0]:.3f} class {s[1]:.3f} train {s[2]:.4f} "
                      f"{time.time() - start:.0f}s {seen / (time.time() - start):.0f} tok/s", flush=True)
                sums[:] = 0
            if step == a.steps:
                return
        kept = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(average)
        val = accuracy(model, split["val"], 128)
        print(f"epoch {epoch + 1}: val {val:.4f} at 128, {accuracy(model, split['val'], 512):.4f} at 512, "
              f"{time.time() - start:.0f}s", flush=True)
        if a.stage == "pretrain" or val >= best:
            best = val
            torch.save(model.state_dict(), a.out)
        model.load_state_dict(kept)


if __name__ == "__main__":
    main()
