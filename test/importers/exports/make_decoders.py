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

SOURCES = {
    "gpt2": (
        hf.GPT2LMHeadModel,
        hf.GPT2Config(**COMMON, n_embd=16, n_layer=2, n_head=2, n_positions=24),
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


def make(name, folder):
    kind, config = SOURCES[name]
    torch.manual_seed(sum(map(ord, name)))
    config.architectures = [kind.__name__]
    model = kind(config).eval()
    with torch.no_grad():
        for parameter, values in model.named_parameters():
            values.normal_(0.0, 0.25)
            if "norm" in parameter and parameter.endswith("weight") or ".ln_" in parameter:
                values += 1.0
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return model


def main():
    root = Path(sys.argv[1])
    for name in SOURCES:
        folder = root / name
        model = make(name, folder)
        golden = []
        for length in (1, 9, 24):
            torch.manual_seed(length)
            ids = torch.randint(5, len(WORDS), (1, length))
            with torch.no_grad():
                values = model(input_ids=ids).logits.flatten()
            rounded = [float(f"{value:.7g}") for value in values.tolist()]
            golden.append(dict(ids=ids[0].tolist(), values=rounded))
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
