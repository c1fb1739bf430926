#!/usr/bin/env python3
"""Writes a description of a package that need not exist.

Usage: write.py FOLDER NAME SECTION [--temperature 0.7] [--top-k 40] [--seed 1]      0: greedy
"""
import argparse

import torch
from tokenizers import Tokenizer

from prepare import END, prompt
from train import merino


@torch.no_grad()
def write(folder, text, temperature, top_k, seed):
    model = merino.load(folder)
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    end = tokenizer.token_to_id(END)
    ids = tokenizer.encode(text).ids
    generator = torch.Generator().manual_seed(seed)
    while len(ids) < model.config["max_position_embeddings"]:
        logits = model(torch.tensor([ids]))[0, -1]
        if temperature == 0:
            token = int(logits.argmax())
        else:
            values, tokens = logits.topk(top_k)
            token = int(tokens[torch.multinomial(torch.softmax(values / temperature, 0), 1, generator=generator)])
        if token == end:
            break
        ids.append(token)
    return tokenizer.decode(ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("name")
    parser.add_argument("section")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-k", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(write(given.folder, prompt(given.name, given.section), given.temperature, given.top_k, given.seed))


if __name__ == "__main__":
    main()
