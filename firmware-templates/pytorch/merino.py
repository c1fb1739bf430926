#!/usr/bin/env python3
"""An adaptive block-wise decoder, as config.json beside this file describes it.

A decoder is a chain of blocks; each has its own width, heads, feed-forward width and number of layers.
Where the width changes, a block begins with a projection. Layers normalise first (pre-LayerNorm);
positions are learned; the output layer is the token table, behind a projection where the last width is
not the table's. A block that shares parameters runs one layer several times.

    model = Merino(load_config("config.json"))
    loss = model.loss(tokens)            # (batch, length) int64; -1 fills up short rows
    save(model, "folder")                # config.json and model.safetensors, as `lm2mcu build` reads them

Run as a script it makes a folder with random weights: `python merino.py config.json folder`.
"""
import json
import pathlib
import shutil
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}
PADDING = -1


def load_config(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        batch, length, width = x.shape
        split = lambda rows: rows.view(batch, length, self.heads, -1).transpose(1, 2)
        q, k, v = (split(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class Layer(nn.Module):
    def __init__(self, block, config):
        super().__init__()
        width, inner, eps = block["hidden_size"], block["intermediate_size"], config["layer_norm_eps"]
        self.self_attn_layer_norm = nn.LayerNorm(width, eps)
        self.self_attn = Attention(width, block["num_attention_heads"])
        self.final_layer_norm = nn.LayerNorm(width, eps)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.activation = ACTIVATIONS[config["hidden_act"]]

    def forward(self, x):
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(self.activation(self.fc1(self.final_layer_norm(x))))


class Block(nn.Module):
    def __init__(self, block, width_before, config):
        super().__init__()
        width, self.depth = block["hidden_size"], block["num_hidden_layers"]
        self.projection = nn.Linear(width_before, width) if width_before != width else None
        stored = 1 if block.get("share_parameters") else self.depth
        self.layers = nn.ModuleList(Layer(block, config) for _ in range(stored))

    def forward(self, x):
        if self.projection is not None:
            x = self.projection(x)
        for index in range(self.depth):
            x = self.layers[index % len(self.layers)](x)
        return x


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        blocks = config["blocks"]
        first, last = blocks[0]["hidden_size"], blocks[-1]["hidden_size"]
        embedding = config.get("embedding_size", first)
        self.embed_tokens = nn.Embedding(config["vocab_size"], embedding)
        self.embed_positions = nn.Embedding(config["max_position_embeddings"], embedding)
        self.embed_projection = nn.Linear(embedding, first) if embedding != first else None
        widths = [first] + [block["hidden_size"] for block in blocks]
        self.blocks = nn.ModuleList(
            Block(block, before, config) for block, before in zip(blocks, widths)
        )
        self.final_layer_norm = nn.LayerNorm(last, config["layer_norm_eps"])
        self.head_projection = nn.Linear(last, embedding, bias=False) if last != embedding else None

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embed_tokens(tokens) + self.embed_positions(positions)
        if self.embed_projection is not None:
            x = self.embed_projection(x)
        for block in self.blocks:
            x = block(x)
        x = self.final_layer_norm(x)
        return x if self.head_projection is None else self.head_projection(x)


class Merino(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        tied = config.get("tie_word_embeddings", True)
        table = self.model.embed_tokens
        self.lm_head = None if tied else nn.Linear(table.embedding_dim, table.num_embeddings, bias=False)
        self.initialize()

    def initialize(self):
        """Linears and tables keep the variance of what they read; a branch adds nothing at first."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                ends_branch = name.endswith(("out_proj", "fc2"))
                nn.init.normal_(module.weight, std=0.0 if ends_branch else module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)

    def forward(self, tokens):
        """Logits (batch, length, vocabulary) of the token after each."""
        hidden = self.model(tokens)
        table = self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        return hidden @ table.T

    def loss(self, tokens, counted=None):
        """Mean cross-entropy in nats of the tokens after the first; `counted` (batch, length) leaves some out."""
        inputs, targets = tokens[:, :-1].clamp(min=0), tokens[:, 1:]
        wanted = targets != PADDING
        if counted is not None:
            wanted = wanted & counted[:, 1:]
        hidden = self.model(inputs)[wanted]
        table = self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        return F.cross_entropy(hidden @ table.T, targets[wanted])


def parameter_count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def save(model, folder, dtype=torch.float16):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.config, indent=2) + "\n", encoding="utf-8")
    tensors = {name: tensor.detach().to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def load(folder):
    folder = pathlib.Path(folder)
    model = Merino(load_config(folder / "config.json"))
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model.eval()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    torch.manual_seed(1)
    model = Merino(load_config(sys.argv[1]))
    save(model, sys.argv[2])
    tokenizer = pathlib.Path(sys.argv[1]).parent / "tokenizer.json"
    if tokenizer.exists():
        shutil.copy(tokenizer, sys.argv[2])
    print(f"{parameter_count(model):,} parameters in {sys.argv[2]}")


if __name__ == "__main__":
    main()
