#!/usr/bin/env python3
"""Does a proxy that needs no training rank decoders as training does?

Draws decoders at random from the search space of `lm2mcu design`, as many from each range of sizes, adds
six of one budget that were chosen by hand, and trains each on the same documents, in the same order. `report` compares the ranks of their held-back perplexities with those
of the proxies: entropy (`lm2mcu design --score`), parameters, and W-PCA (arXiv 2504.15983's score: parameters
times the summed PCA dimensions of the feed-forward's hidden states, before the activation, of the
untrained decoder on training texts).

Usage: correlation.py train        one after the other; goes on where it stopped
       correlation.py report       the table in README.md, and correlation.json
"""
import argparse
import itertools
import json
import pathlib
import random
import subprocess

import numpy as np
import torch

from prepare import BUILD, CONTEXT, HERE, VOCABULARY
from train import Documents, Merino, held_back, parameter_count, train

EPOCHS = 0.18  # a million tokens
WIDTHS = range(64, 225, 32)
RATIOS = (1, 1.5, 2, 3, 4)
SIZES = (100_000, 160_000, 250_000, 380_000, 560_000)
EACH = 3
MOST_LAYERS = 12
# Width, layers, feed-forward of each block: the uniform decoder, what `design` gave with its first weights,
# and four that are shallower.
CHOSEN = (((96, 3, 384),), ((96, 3, 144), (128, 1, 128)), ((128, 2, 256),), ((128, 1, 512),), ((160, 1, 480),),
          ((192, 1, 192),))
PERMUTATIONS = 100_000
RUNS = BUILD / "correlation"


def config_of(blocks):
    return {
        "model_type": "merino", "architectures": ["MerinoForCausalLM"], "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
        "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 0,
        "embedding_size": blocks[0]["hidden_size"], "blocks": blocks,
    }


def draw():
    """EACH configurations between any two SIZES."""
    rng = random.Random(8)
    drawn = []
    for least, most in itertools.pairwise(SIZES):
        kept = []
        while len(kept) < EACH:
            widths = sorted(rng.sample(WIDTHS, rng.randint(1, 3)))
            blocks = [{"hidden_size": width, "num_attention_heads": width // 32,
                       "intermediate_size": int(width * rng.choice(RATIOS)),
                       "num_hidden_layers": rng.randint(1, 6), "share_parameters": False} for width in widths]
            if sum(block["num_hidden_layers"] for block in blocks) > MOST_LAYERS:
                continue
            config = config_of(blocks)
            if least <= parameter_count(Merino(config)) < most and config not in kept:
                kept.append(config)
        drawn += kept
    return drawn


def chosen():
    return [config_of([{"hidden_size": width, "num_attention_heads": width // 32, "intermediate_size": middle,
                        "num_hidden_layers": layers, "share_parameters": False} for width, layers, middle in blocks])
            for blocks in CHOSEN]


def name_of(config):
    return " ".join(f"{b['hidden_size']}x{b['num_hidden_layers']}/{b['intermediate_size']}" for b in config["blocks"])


def train_all():
    RUNS.mkdir(parents=True, exist_ok=True)
    drawn = draw()
    # In turn from each range of sizes, so that a run that is stopped has as many of each.
    order = sorted(range(len(drawn)), key=lambda index: index % EACH)
    drawn += chosen()
    for index in [*order, *range(len(order), len(drawn))]:
        config, folder = drawn[index], RUNS / f"{index:02d}"
        if (folder / "result.json").exists():
            continue
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        model, state = train(config, folder, epochs=EPOCHS, log=lambda line: None)
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        result = {"shape": name_of(config), "parameters": parameter_count(model),
                  "trainedTokens": state["tokens"], "cpuSeconds": round(state["cpuSeconds"]),
                  "perplexity": held_back(model, Documents("val"))["perplexity"]}
        (folder / "result.json").write_text(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)


@torch.no_grad()
def w_pca(config, share=0.99, batches=3, rows=32):
    """Parameters times the sum, over the layers, of how many principal components hold `share`."""
    torch.manual_seed(1)
    model = Merino(config).eval()
    for name, module in model.named_modules():
        if name.endswith(("out_proj", "fc2")):  # zero in merino.py, which would hide every layer from the next
            torch.nn.init.normal_(module.weight, std=module.in_features**-0.5)
    documents = Documents("train")
    states = {}
    hooks = [module.register_forward_hook(
        lambda _, __, output, name=name: states.setdefault(name, []).append(output.flatten(0, 1)))
        for name, module in model.named_modules() if name.endswith("fc1")]
    full = np.flatnonzero(documents.lengths == CONTEXT)
    for batch in range(batches):
        tokens, _ = documents.batch(full[batch * rows:(batch + 1) * rows])
        model(tokens)
    for hook in hooks:
        hook.remove()
    dimensions = 0
    for outputs in states.values():
        hidden = torch.cat(outputs).double()
        values = torch.linalg.eigvalsh(torch.cov(hidden.T)).flip(0).clamp(min=0)
        dimensions += int((torch.cumsum(values, 0) < share * values.sum()).sum()) + 1
    return parameter_count(model) * dimensions


def ranks(values):
    """Of equal values the mean rank."""
    values = np.asarray(values, float)
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


def spearman(a, b):
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def p_value(a, b):
    """Two-sided: the share of random permutations whose correlation is at least as far from 0."""
    rng = np.random.default_rng(1)
    x, y = ranks(a), ranks(b)
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    observed = abs(x @ y / len(x))
    shuffled = np.abs(rng.permuted(np.tile(y, (PERMUTATIONS, 1)), axis=1) @ x) / len(x)
    return float((1 + (shuffled >= observed - 1e-12).sum()) / (PERMUTATIONS + 1))


def score(folder):
    """What `lm2mcu design --score` says of a configuration."""
    command = ["node", "toolchain/cli/lm2mcu.js", "design", "--target", "nucleo-f746zg", "--score",
               str(folder / "config.json"), "--json"]
    return json.loads(subprocess.run(command, cwd=HERE.parent.parent, check=True, capture_output=True).stdout)


def within_sizes(rows, proxy):
    """Of all pairs of decoders from one range of sizes, those that a proxy orders as training does."""
    pairs = [(a, b) for a, b in itertools.combinations(rows, 2) if a["range"] == b["range"]]
    right = sum((a[proxy] - b[proxy]) * (a["perplexity"] - b["perplexity"]) < 0 for a, b in pairs)
    return right, len(pairs)


def report():
    rows = []
    for folder in sorted(RUNS.glob("[0-9][0-9]")):
        if not (folder / "result.json").exists():
            continue
        result = json.loads((folder / "result.json").read_text())
        scored = score(folder)
        wpca = w_pca(json.loads((folder / "config.json").read_text()))
        rows.append({**result, "range": min(int(folder.name) // EACH, len(SIZES) - 1), "entropy": scored["entropy"],
                     "layerEntropy": scored["layerEntropy"], "depthToWidth": scored["depthToWidth"], "wPca": wpca})
    perplexities = [row["perplexity"] for row in rows]
    print("| decoder: width x layers / feed-forward | parameters | entropy | of the layers | depth to width "
          "| W-PCA | perplexity |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(f"| {row['shape']} | {row['parameters']:,} | {row['entropy']:.0f} | {row['layerEntropy']:.0f} | {row['depthToWidth']:.3f} | "
              f"{row['wPca'] / 1e6:.0f} M | {row['perplexity']:.2f} |")
    print(f"\n| proxy (n = {len(rows)}) | Spearman | p | pairs of like size ordered right |")
    print("| --- | ---: | ---: | ---: |")
    summary = {}
    for proxy in ("layerEntropy", "entropy", "parameters", "wPca"):
        values = [row[proxy] for row in rows]
        right, count = within_sizes(rows, proxy)
        summary[proxy] = {"spearman": spearman(values, perplexities), "p": p_value(values, perplexities),
                          "pairsRight": right, "pairs": count}
        line = summary[proxy]
        print(f"| {proxy} | {line['spearman']:.3f} | {line['p']:.5f} | {right} of {count} |")
    (HERE / "correlation.json").write_text(json.dumps({"decoders": rows, "proxies": summary}, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["train", "report"])
    given = parser.parse_args()
    train_all() if given.step == "train" else report()


if __name__ == "__main__":
    main()
