"""Tiny ModernBERT encoders with random weights, saved as Hugging Face folders.

    python make_modernbert.py ../../fixtures/hf

Needs torch, transformers and tokenizers. Each folder gets `golden.json`: token ids and what transformers
gives for them, in the form that test/fixtures/hf/make_fixtures.py writes.
"""
import json
import logging
import sys
import warnings
from pathlib import Path

import tokenizers
import torch
import transformers as hf
from tokenizers.processors import TemplateProcessing

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
VOCABULARY = 304
COMMON = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=4,
    num_attention_heads=2,
    max_position_embeddings=40,
    bos_token_id=1,
    eos_token_id=2,
    cls_token_id=1,
    sep_token_id=2,
    pad_token_id=3,
    local_attention=8,
)

SOURCES = {
    "modernbert-seqcls": (
        hf.ModernBertForSequenceClassification,
        dict(num_labels=3, global_rope_theta=1000.0, local_rope_theta=50.0),
    ),
    "modernbert-tokcls": (
        hf.ModernBertForTokenClassification,
        dict(
            num_labels=5,
            hidden_size=24,
            num_attention_heads=3,
            norm_bias=True,
            attention_bias=True,
            mlp_bias=True,
            classifier_bias=True,
            hidden_activation="silu",
            classifier_activation="relu",
            local_attention=5,
        ),
    ),
    "modernbert-embed": (hf.ModernBertModel, dict(global_attn_every_n_layers=2)),
    "modernbert-mean": (
        hf.ModernBertForSequenceClassification,
        dict(num_labels=2, classifier_pooling="mean", num_hidden_layers=2),
    ),
}


def byte_level_bpe():
    """ModernBERT's way, with the merges that this file gives."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    lines = Path(__file__).read_text().split("\n")
    tokenizer.train_from_iterator(
        lines, vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return tokenizer


def randomize(model):
    with torch.no_grad():
        for parameter, values in model.named_parameters():
            values.normal_(0.0, 0.25)
            if "norm" in parameter and parameter.endswith("weight"):
                values += 1.0


def rounded(values):
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.7g}")


def case(model, length):
    torch.manual_seed(length)
    ids = torch.randint(5, VOCABULARY, (1, length))
    ids[0, 0], ids[0, -1] = 1, 2
    result = dict(ids=ids[0].tolist(), tokenTypes=[0] * length)
    with torch.no_grad():
        output = model(input_ids=ids)
    if hasattr(output, "logits"):
        return dict(**result, logits=rounded(output.logits[0].tolist()))
    rows = output.last_hidden_state[0]
    return dict(**result, cls=rounded(rows[0].tolist()), mean=rounded(rows.mean(0).tolist()))


def main():
    root = Path(sys.argv[1])
    for name, (kind, own) in SOURCES.items():
        torch.manual_seed(sum(map(ord, name)))
        config = hf.ModernBertConfig(**{**COMMON, **own}, attn_implementation="eager")
        config.architectures = [kind.__name__]
        model = kind(config).eval()
        randomize(model)
        folder = root / name
        model.save_pretrained(folder)
        byte_level_bpe().save(str(folder / "tokenizer.json"))
        golden = dict(cases=[case(model, length) for length in (2, 5, 6, 13, 40)])
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
