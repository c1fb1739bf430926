#!/usr/bin/env python3
"""Trains the numbers of a compression recipe against the float model, on texts without labels.

The recipe's bits stay what they are; codes, codebooks, projections, offsets, biases, norms and the
int4 weights move so that the compressed model answers as the float one (distillation: divergence of
the class probabilities). Rounding is passed by straight through: forward with the rounded value,
backward as if it were not. The word rows keep a real vector behind their codes; its nearest entries
are the codes.

Usage: finetune_recipe.py recipe.json --out tuned.json [--minutes 8]
"""
import argparse
import hashlib
import json
import pathlib
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load, save
from safetensors.torch import load_file

from train import batches, load as load_corpus

WORD = "embeddings.word_embeddings.weight"
POSITION = "embeddings.position_embeddings.weight"


class Codebooks(torch.nn.Module):
    """A table of codes: real coordinates, to the nearest entries of each stage, times a projection."""

    def __init__(self, header, arrays):
        super().__init__()
        self.stages = header["stages"]
        self.tiers = torch.tensor([t["stages"] for t in header["tiers"]])
        self.tier_of = torch.from_numpy(arrays["tierOf"].ravel().astype(np.int64))
        self.books = torch.nn.ParameterList(torch.from_numpy(arrays[f"stages.{i}"]) for i in range(len(self.stages)))
        self.projection = torch.nn.Parameter(torch.from_numpy(arrays["projection"]))
        self.offset = torch.nn.Parameter(torch.from_numpy(arrays["offset"]).ravel())
        codes = torch.zeros(header["rows"], len(self.stages), dtype=torch.long)
        for i, tier in enumerate(header["tiers"]):
            if tier["rows"]:
                codes[self.tier_of == i, : tier["stages"]] = torch.from_numpy(arrays[f"tiers.{i}"].astype(np.int64))
        self.rows = torch.nn.Parameter(self.entries(codes).detach())
        self.used = self.columns_used()

    def columns_used(self):
        used = torch.zeros(len(self.tier_of), len(self.projection), dtype=torch.bool)
        for i, stage in enumerate(self.stages):
            has = self.tiers[self.tier_of] > i
            used[:, stage["firstColumn"] : stage["firstColumn"] + stage["columns"]] = has[:, None]
        return used

    def entries(self, codes):
        return torch.cat([book[codes[:, i]] for i, book in enumerate(self.books)], 1)

    @torch.no_grad()
    def codes(self, z):
        """The nearest entries of each stage (its columns are its own)."""
        found = []
        for stage, book in zip(self.stages, self.books):
            part = z[:, stage["firstColumn"] : stage["firstColumn"] + stage["columns"]]
            found.append(((book * book).sum(1) - 2 * part @ book.T).argmin(1))
        return torch.stack(found, 1)

    def forward(self, ids):
        words, where = torch.unique(ids, return_inverse=True)
        z = self.rows[words]
        quantized = self.entries(self.codes(z))
        # The entries learn as they are, the rows straight through.
        z = torch.where(self.used[words], quantized + z - z.detach(), 0)
        return (z @ self.projection + self.offset)[where]

    def arrays(self):
        codes = self.codes(self.rows.detach()).numpy().astype(np.uint8)
        out = {"projection": self.projection, "offset": self.offset[None]}
        out |= {f"stages.{i}": book for i, book in enumerate(self.books)}
        out = {k: v.detach().numpy() for k, v in out.items()}
        out["tierOf"] = self.tier_of.numpy().astype(np.uint8)[None]
        for i, stages in enumerate(self.tiers.tolist()):
            out[f"tiers.{i}"] = codes[(self.tier_of == i).numpy()][:, :stages]
        return out


class LowRank(torch.nn.Module):
    """One cluster: integer factors, a projection and an offset. The factors stay."""

    def __init__(self, header, arrays):
        super().__init__()
        assert len(header["clusters"]) == 1, "one cluster only"
        self.factors = torch.from_numpy(arrays["clusters.0.factors"]).float()
        self.projection = torch.nn.Parameter(torch.from_numpy(arrays["clusters.0.projection"]))
        self.offset = torch.nn.Parameter(torch.from_numpy(arrays["clusters.0.offset"]).ravel())
        self.cluster_of = arrays["clusterOf"]

    def forward(self, ids):
        return self.factors[ids] @ self.projection + self.offset

    def arrays(self):
        return {
            "clusterOf": self.cluster_of,
            "clusters.0.factors": self.factors.numpy().astype(np.int8),
            "clusters.0.projection": self.projection.detach().numpy(),
            "clusters.0.offset": self.offset.detach().numpy()[None],
        }


def group(arrays, prefix):
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


class Student(torch.nn.Module):
    def __init__(self, recipe, arrays, float_weights):
        super().__init__()
        self.fixed = float_weights
        word = recipe["tables"][WORD]
        assert word["method"] == "codebooks", "the word table has codebooks"
        self.word = Codebooks(word, group(arrays, f"tables/{WORD}/"))
        self.position = None
        if POSITION in recipe["tables"] and recipe["tables"][POSITION]["method"] == "low-rank":
            self.position = LowRank(recipe["tables"][POSITION], group(arrays, f"tables/{POSITION}/"))
        named, scales = {}, {}
        for name, value in float_weights.items():
            if "embeddings" in name and "LayerNorm" not in name:
                continue
            stored = arrays.get(f"constants/{name}")
            value = value if stored is None else torch.from_numpy(stored).reshape(value.shape)
            if name in recipe["weights"]:
                scales[name] = torch.from_numpy(arrays[f"weights/{name}/scales"]).reshape(-1, 1)
                codes = torch.from_numpy(arrays[f"weights/{name}/codes"]).float()
                # What was rounded away is still known; GPTQ's codes are kept where the two disagree.
                low, high = (codes - 0.49) * scales[name], (codes + 0.49) * scales[name]
                value = torch.minimum(torch.maximum(value, low), high)
            named[name.replace(".", "/")] = torch.nn.Parameter(value.clone())
        self.values = torch.nn.ParameterDict(named)
        self.scales = scales

    def value(self, name):
        value = self.values[name.replace(".", "/")]
        scale = self.scales.get(name)
        if scale is None:
            return value
        rounded = (value / scale).round().clamp(-7, 7) * scale
        return value + (rounded - value).detach()

    def rows(self, ids):
        position = torch.arange(ids.shape[1])
        p = self.fixed[POSITION][position] if self.position is None else self.position(position)
        return self.word(ids) + p + self.fixed["embeddings.token_type_embeddings.weight"][0]

    def forward(self, ids, mask):
        return encoder(self.value, self.rows(ids), mask)

    def write(self, recipe, path, minutes):
        arrays = {f"tables/{WORD}/{k}": v for k, v in self.word.arrays().items()}
        old = self.old_arrays
        arrays |= {k: v for k, v in old.items() if k.startswith("tables/") and not k.startswith(f"tables/{WORD}/")}
        if self.position is not None:
            arrays |= {f"tables/{POSITION}/{k}": v for k, v in self.position.arrays().items()}
        constants = []
        for name, scale in self.scales.items():
            value = self.values[name.replace(".", "/")].detach()
            arrays[f"weights/{name}/codes"] = (value / scale).round().clamp(-7, 7).numpy().astype(np.int8)
            arrays[f"weights/{name}/scales"] = old[f"weights/{name}/scales"]
        for name in self.fixed:
            key = name.replace(".", "/")
            if key in self.values and name not in self.scales and name not in self.float_matrices:
                arrays[f"constants/{name}"] = self.values[key].detach().numpy().reshape(1, -1)
                constants.append(name)
        arrays |= {k: v for k, v in old.items() if k == "droppedTokens"}
        data = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
        out = pathlib.Path(path)
        beside = out.with_suffix(".safetensors")
        beside.write_bytes(data)
        header = dict(recipe, constants=sorted(constants))
        header["arrays"] = {"file": beside.name, "sha256": hashlib.sha256(data).hexdigest()}
        header["provenance"] = dict(recipe["provenance"], fineTunedMinutes=minutes)
        out.write_text(json.dumps(header, indent=2) + "\n")


def encoder(value, rows, mask):
    """BERT from the sum of embeddings on; only [CLS] of the last layer is computed."""
    norm = lambda x, name: F.layer_norm(x, (x.shape[-1],), value(f"{name}.weight"), value(f"{name}.bias"), 1e-12)
    linear = lambda x, name: F.linear(x, value(f"{name}.weight"), value(f"{name}.bias"))
    x = norm(rows, "embeddings.LayerNorm")
    away = (1 - mask.float())[:, None, None, :] * -1e4
    for layer in range(2):
        p = f"encoder.layer.{layer}"
        asked = x if layer == 0 else x[:, :1]
        split = lambda t: t.view(len(t), -1, 2, 64).transpose(1, 2)
        q, k, v = (split(linear(t, f"{p}.attention.self.{n}")) for t, n in ((asked, "query"), (x, "key"), (x, "value")))
        mixed = torch.softmax(q @ k.transpose(-1, -2) / 8 + away, -1) @ v
        mixed = mixed.transpose(1, 2).reshape(len(x), -1, 128)
        x = norm(linear(mixed, f"{p}.attention.output.dense") + asked, f"{p}.attention.output.LayerNorm")
        x = norm(x + linear(F.gelu(linear(x, f"{p}.intermediate.dense")), f"{p}.output.dense"), f"{p}.output.LayerNorm")
    return linear(torch.tanh(linear(x[:, 0], "pooler.dense")), "classifier")


def divergence(student, teacher):
    return F.kl_div(F.log_softmax(student, -1), F.log_softmax(teacher, -1), log_target=True, reduction="batchmean")


@torch.no_grad()
def measure(student, teacher, rows):
    kl = right = before = total = 0
    for ids, mask, labels in batches(rows, 16384):
        a, b = teacher(ids, mask), student(ids, mask)
        kl += divergence(b, a).item() * len(ids)
        right += (b.argmax(-1) == labels).sum().item()
        before += (a.argmax(-1) == labels).sum().item()
        total += len(ids)
    return kl / total, right / total, before / total


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("recipe")
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, default=8)
    p.add_argument("--model", default="model")
    p.add_argument("--corpus", default="corpus.jsonl.xz")
    p.add_argument("--tokens", type=int, default=4096, help="tokens per batch")
    p.add_argument("--lr", type=float, default=6e-5)
    p.add_argument("--limit", type=int, default=128, help="tokens per text")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    rng = random.Random(1)
    recipe = json.loads(pathlib.Path(a.recipe).read_text())
    arrays = load(pathlib.Path(a.recipe).with_name(recipe["arrays"]["file"]).read_bytes())
    stored = load_file(f"{a.model}/model.safetensors")
    weights = {k.removeprefix("bert."): v.float() for k, v in stored.items()}
    student = Student(recipe, arrays, weights)
    student.old_arrays = arrays
    student.float_matrices = {k for k, v in weights.items() if v.ndim == 2 and k not in recipe["weights"]}
    for name in student.float_matrices:  # int8 is chosen by the build: they stay as they are
        if name.replace(".", "/") in student.values:
            student.values[name.replace(".", "/")].requires_grad_(False)

    @torch.no_grad()
    def teacher(ids, mask):
        position = weights[POSITION][: ids.shape[1]]
        return encoder(weights.__getitem__, weights[WORD][ids] + position + weights["embeddings.token_type_embeddings.weight"][0], mask)

    split, _ = load_corpus(a.corpus, f"{a.model}/vocab.txt")
    cut = lambda rows: [(ids[: a.limit - 2], label) for ids, label in rows]
    train, val = cut(split["train"]), cut(split["val"])
    print("before: divergence %.4f, %.4f right, float %.4f" % measure(student, teacher, val), flush=True)
    # Steps in proportion to what the numbers are: Adam moves each by about its rate.
    rates = {"rows": 0.5, "books": 5, "projection": 1, "offset": 1, "matrix": 0.1, "vector": 1}
    kinds = {}
    for name, q in student.named_parameters():
        kind = "books" if ".books." in name else name.split(".")[-1]
        if kind not in rates:
            kind = "matrix" if q.ndim == 2 else "vector"
        if q.requires_grad:
            kinds.setdefault(kind, []).append(q)
    opt = torch.optim.Adam([{"params": q, "lr": a.lr * rates[kind]} for kind, q in kinds.items()], betas=(0.9, 0.99))
    base = [g["lr"] for g in opt.param_groups]
    start, step, sums = time.time(), 0, 0.0
    while (used := (time.time() - start) / (60 * a.minutes)) < 1:
        for ids, mask, _ in batches(train, a.tokens, rng):
            used = (time.time() - start) / (60 * a.minutes)
            if used >= 1:
                break
            for g, lr in zip(opt.param_groups, base):
                g["lr"] = lr * min(1, step / 50 + 0.02) * (1 - used)
            loss = divergence(student(ids, mask), teacher(ids, mask))
            opt.zero_grad()
            loss.backward()
            opt.step()
            step += 1
            sums += loss.item()
            if step % 50 == 0:
                print(f"step {step}, {100 * used:.0f} %: divergence {sums / 50:.4f}", flush=True)
                sums = 0.0
    print("after: divergence %.4f, %.4f right, float %.4f" % measure(student, teacher, val), flush=True)
    student.write(recipe, a.out, a.minutes)


if __name__ == "__main__":
    main()
