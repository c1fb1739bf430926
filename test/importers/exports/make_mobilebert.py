"""Tiny MobileBERTs with random weights, saved as Hugging Face folders.

    python make_mobilebert.py ../../fixtures/hf

Needs torch, transformers and safetensors. Each folder gets `golden.json`: token ids and types, and what
transformers gives for them in float32, in the form that test/fixtures/hf/make_fixtures.py writes. The
vocabulary is that of test/fixtures/hf/seqcls-gelu.
"""
import json
import shutil
import sys
import warnings
from pathlib import Path

import torch
import transformers as hf

warnings.filterwarnings("ignore")

VOCABULARY = 197
COMMON = dict(
    vocab_size=VOCABULARY,
    embedding_size=12,
    hidden_size=32,
    intra_bottleneck_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_feedforward_networks=2,
    max_position_embeddings=40,
)

SOURCES = {
    # As published models are: NoNorm, a bottleneck for queries and keys, values of the wide rows.
    "mobilebert-seqcls": (hf.MobileBertForSequenceClassification, dict(num_labels=3)),
    "mobilebert-tokcls": (
        hf.MobileBertForTokenClassification,
        dict(
            num_labels=5,
            normalization_type="layer_norm",
            use_bottleneck_attention=True,
            num_feedforward_networks=3,
            intra_bottleneck_size=18,
            num_attention_heads=3,
            layer_norm_eps=1e-3,
            hidden_act="gelu",
        ),
    ),
    "mobilebert-qa": (
        hf.MobileBertForQuestionAnswering,
        dict(use_bottleneck=False, trigram_input=False, num_feedforward_networks=1),
    ),
    "mobilebert-embed": (hf.MobileBertModel, dict(num_feedforward_networks=3, embedding_size=7)),
    "mobilebert-unpooled": (
        hf.MobileBertForSequenceClassification,
        dict(
            num_labels=2,
            normalization_type="layer_norm",
            trigram_input=False,
            embedding_size=18,
            hidden_size=18,
            intra_bottleneck_size=18,
            key_query_shared_bottleneck=False,
            classifier_activation=False,
        ),
    ),
}


def randomize(model):
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "LayerNorm.weight" in name:
                values.copy_(0.8 + 0.4 * torch.randn_like(values))
            elif values.ndim == 1:
                values.copy_(0.1 * torch.randn_like(values))
            elif "embeddings.weight" in name:
                values.copy_(0.5 * torch.randn_like(values))
            else:
                values.copy_(torch.randn_like(values) / values.shape[1] ** 0.5)
            values.copy_(values.half().float())


def rounded(values):
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.7g}")


def case(model, length):
    torch.manual_seed(length)
    ids = torch.randint(5, VOCABULARY, (1, length))
    ids[0, 0], ids[0, -1] = 2, 3
    types = (torch.arange(length) >= length - length // 3).long()[None]
    result = dict(ids=ids[0].tolist(), tokenTypes=types[0].tolist())
    with torch.no_grad():
        output = model(input_ids=ids, token_type_ids=types)
    if hasattr(output, "start_logits"):
        logits = torch.stack([output.start_logits[0], output.end_logits[0]], 1)
        return dict(**result, logits=rounded(logits.tolist()))
    if hasattr(output, "logits"):
        return dict(**result, logits=rounded(output.logits[0].tolist()))
    rows = output.last_hidden_state[0]
    return dict(**result, cls=rounded(rows[0].tolist()), mean=rounded(rows.mean(0).tolist()))


def main():
    root = Path(sys.argv[1])
    for name, (kind, own) in SOURCES.items():
        torch.manual_seed(sum(map(ord, name)))
        config = hf.MobileBertConfig(**{**COMMON, **own})
        config.architectures = [kind.__name__]
        model = kind(config).eval()
        randomize(model)
        golden = dict(cases=[case(model, length) for length in (2, 3, 6, 13, 40)])
        folder = root / name
        model.half().save_pretrained(folder)
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        for file in ("vocab.txt", "tokenizer_config.json"):
            shutil.copy(root / "seqcls-gelu" / file, folder / file)


if __name__ == "__main__":
    main()
