"""Tiny decoders with random weights, saved as Hugging Face folders.

    python make_decoders.py ../../fixtures/decoders

Needs torch and transformers. Each folder gets `golden.json`: token ids and what transformers gives for
them, a row of logits a token.
"""
import json
import logging
import sys
import warnings
from pathlib import Path

import safetensors.torch
import tokenizers
import torch
import transformers as hf

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(5, 40)]
COMMON = dict(vocab_size=len(WORDS), bos_token_id=2, eos_token_id=3, pad_token_id=0)
LLAMA = dict(
    **COMMON,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=24,
    max_position_embeddings=24,
)

END = "<|endoftext|>"


def byte_level_bpe():
    """GPT-2's way, with the merges that this file gives."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    lines = Path(__file__).read_text().split("\n")
    tokenizer.train_from_iterator(lines, vocab_size=300, special_tokens=[END], show_progress=False)
    return tokenizer


SOURCES = {
    "gpt2": (
        hf.GPT2LMHeadModel,
        hf.GPT2Config(
            vocab_size=300,
            bos_token_id=0,
            eos_token_id=0,
            n_embd=16,
            n_layer=2,
            n_head=2,
            n_positions=24,
        ),
    ),
    "opt": (
        hf.OPTForCausalLM,
        hf.OPTConfig(
            **COMMON,
            hidden_size=16,
            word_embed_proj_dim=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            ffn_dim=24,
            max_position_embeddings=24,
        ),
    ),
    "llama": (hf.LlamaForCausalLM, hf.LlamaConfig(**LLAMA, tie_word_embeddings=True)),
    "llama-biased": (
        hf.LlamaForCausalLM,
        hf.LlamaConfig(
            **{**LLAMA, "num_attention_heads": 2, "num_key_value_heads": 1},
            head_dim=6,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=False,
        ),
    ),
}


MERINO = dict(
    model_type="merino",
    architectures=["MerinoForCausalLM"],
    vocab_size=len(WORDS),
    max_position_embeddings=24,
    hidden_act="gelu_new",
    layer_norm_eps=1e-5,
    tie_word_embeddings=True,
    eos_token_id=3,
    embedding_size=12,
    blocks=[
        dict(
            hidden_size=16,
            num_attention_heads=2,
            intermediate_size=24,
            num_hidden_layers=2,
            share_parameters=True,
        ),
        dict(hidden_size=24, num_attention_heads=3, intermediate_size=20, num_hidden_layers=2),
    ],
)


def merino_layer(width, middle):
    linear = torch.nn.Linear
    attention = {name: linear(width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    return torch.nn.ModuleDict(
        dict(
            self_attn_layer_norm=torch.nn.LayerNorm(width, 1e-5),
            self_attn=torch.nn.ModuleDict(attention),
            final_layer_norm=torch.nn.LayerNorm(width, 1e-5),
            fc1=linear(width, middle),
            fc2=linear(middle, width),
        )
    )


class Merino(torch.nn.Module):
    """Blocks of layers, each block with a width of its own (importers/decoder-config.ts)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        before = config["embedding_size"]
        blocks = []
        for index, block in enumerate(config["blocks"]):
            width = block["hidden_size"]
            count = 1 if block.get("share_parameters") else block["num_hidden_layers"]
            layers = [merino_layer(width, block["intermediate_size"]) for _ in range(count)]
            parts = dict(layers=torch.nn.ModuleList(layers))
            if index > 0 and width != before:
                parts["projection"] = torch.nn.Linear(before, width)
            blocks.append(torch.nn.ModuleDict(parts))
            before = width
        size = config["embedding_size"]
        self.model = torch.nn.ModuleDict(
            dict(
                embed_tokens=torch.nn.Embedding(config["vocab_size"], size),
                embed_positions=torch.nn.Embedding(config["max_position_embeddings"], size),
                embed_projection=torch.nn.Linear(size, config["blocks"][0]["hidden_size"]),
                blocks=torch.nn.ModuleList(blocks),
                final_layer_norm=torch.nn.LayerNorm(before, 1e-5),
                head_projection=torch.nn.Linear(before, size, bias=False),
            )
        )

    def forward(self, ids):
        model = self.model
        x = model.embed_tokens(ids) + model.embed_positions(torch.arange(ids.shape[1]))
        x = model.embed_projection(x)
        for block, sizes in zip(model.blocks, self.config["blocks"]):
            if "projection" in block:
                x = block["projection"](x)
            for number in range(sizes["num_hidden_layers"]):
                x = self.run(block["layers"][number % len(block["layers"])], x, sizes)
        x = model.head_projection(model.final_layer_norm(x))
        return x @ model.embed_tokens.weight.T

    def run(self, layer, x, sizes):
        heads = sizes["num_attention_heads"]
        n, own = layer["self_attn_layer_norm"](x), layer["self_attn"]
        split = lambda rows: rows.unflatten(-1, (heads, -1)).transpose(1, 2)
        q, k, v = (split(own[name](n)) for name in ("q_proj", "k_proj", "v_proj"))
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + own["out_proj"](mixed.transpose(1, 2).flatten(2))
        wide = layer["fc1"](layer["final_layer_norm"](x))
        return x + layer["fc2"](torch.nn.functional.gelu(wide, approximate="tanh"))


def make_merino(folder):
    torch.manual_seed(7)
    model = Merino(MERINO).eval()
    randomize(model)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(MERINO, indent=2) + "\n")
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return model


def randomize(model):
    with torch.no_grad():
        for parameter, values in model.named_parameters():
            values.normal_(0.0, 0.25)
            if "norm" in parameter and parameter.endswith("weight") or ".ln_" in parameter:
                values += 1.0


def make(name, folder):
    kind, config = SOURCES[name]
    torch.manual_seed(sum(map(ord, name)))
    config.architectures = [kind.__name__]
    model = kind(config).eval()
    randomize(model)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "gpt2":
        byte_level_bpe().save(str(folder / "tokenizer.json"))
    else:
        (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return model


def main():
    root = Path(sys.argv[1])
    for name in [*SOURCES, "merino"]:
        folder = root / name
        is_merino = name == "merino"
        model = make_merino(folder) if is_merino else make(name, folder)
        vocabulary = MERINO["vocab_size"] if is_merino else model.config.vocab_size
        golden = []
        for length in (1, 6, 24 if name == "llama" else 9):
            torch.manual_seed(length)
            ids = torch.randint(5, vocabulary, (1, length))
            with torch.no_grad():
                values = (model(ids) if is_merino else model(input_ids=ids).logits).flatten()
            rounded = [float(f"{value:.7g}") for value in values.tolist()]
            golden.append(dict(ids=ids[0].tolist(), values=rounded))
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
