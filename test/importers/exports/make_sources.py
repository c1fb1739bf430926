"""Tiny models with random weights of every architecture, saved as Hugging Face folders.

    python make_sources.py ../../fixtures/exports [name ...]

Needs torch and transformers. Each folder gets `golden.json`: token ids, segments and the outputs of
transformers for them. `make_onnx.py` exports these folders.
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
SHAPE = dict(
    vocab_size=len(WORDS),
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=24,
)
DISTIL = dict(
    vocab_size=len(WORDS), dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=24
)
MODERN = dict(
    **SHAPE,
    layer_types=["full_attention", "sliding_attention", "full_attention"],
    local_attention=4,
    global_rope_theta=1000.0,
    local_rope_theta=50.0,
    pad_token_id=0,
    bos_token_id=2,
    eos_token_id=3,
    cls_token_id=2,
    sep_token_id=3,
)
LABELS = dict(id2label={0: "no", 1: "perhaps", 2: "yes"}, label2id={"no": 0, "perhaps": 1, "yes": 2})

SOURCES = {
    "bert": (hf.BertForSequenceClassification, hf.BertConfig(**SHAPE, **LABELS)),
    "bert-tanh-gelu": (
        hf.BertForSequenceClassification,
        hf.BertConfig(**SHAPE, **LABELS, hidden_act="gelu_new"),
    ),
    "bert-tokens": (hf.BertForTokenClassification, hf.BertConfig(**SHAPE, **LABELS)),
    "bert-answers": (hf.BertForQuestionAnswering, hf.BertConfig(**SHAPE)),
    "bert-labels": (
        hf.BertForSequenceClassification,
        hf.BertConfig(**SHAPE, **LABELS, problem_type="multi_label_classification"),
    ),
    "bert-number": (hf.BertForSequenceClassification, hf.BertConfig(**SHAPE, num_labels=1)),
    "bert-embed": (hf.BertModel, hf.BertConfig(**SHAPE)),
    "distilbert": (hf.DistilBertForSequenceClassification, hf.DistilBertConfig(**DISTIL, **LABELS)),
    "distilbert-tokens": (
        hf.DistilBertForTokenClassification,
        hf.DistilBertConfig(**DISTIL, **LABELS),
    ),
    "distilbert-answers": (hf.DistilBertForQuestionAnswering, hf.DistilBertConfig(**DISTIL)),
    "distilbert-embed": (hf.DistilBertModel, hf.DistilBertConfig(**DISTIL)),
    "electra": (
        hf.ElectraForSequenceClassification,
        hf.ElectraConfig(**SHAPE, **LABELS, embedding_size=12),
    ),
    "electra-tokens": (
        hf.ElectraForTokenClassification,
        hf.ElectraConfig(**SHAPE, **LABELS, embedding_size=16),
    ),
    "albert": (
        hf.AlbertForSequenceClassification,
        hf.AlbertConfig(**SHAPE, **LABELS, embedding_size=8, num_hidden_groups=1),
    ),
    "albert-embed": (
        hf.AlbertModel,
        hf.AlbertConfig(**SHAPE, embedding_size=8, num_hidden_groups=2),
    ),
    "roberta": (
        hf.RobertaForSequenceClassification,
        hf.RobertaConfig(**{**SHAPE, "max_position_embeddings": 26}, **LABELS, pad_token_id=1),
    ),
    "roberta-embed": (
        hf.RobertaModel,
        hf.RobertaConfig(**{**SHAPE, "max_position_embeddings": 26}, pad_token_id=1),
    ),
    "roberta-bpe": (
        hf.RobertaForSequenceClassification,
        hf.RobertaConfig(
            **{**SHAPE, "vocab_size": 1200, "max_position_embeddings": 66},
            **LABELS, type_vocab_size=1, pad_token_id=1,
        ),
    ),
    "mobilebert": (
        hf.MobileBertForSequenceClassification,
        hf.MobileBertConfig(
            **SHAPE, **LABELS, embedding_size=12, intra_bottleneck_size=8,
            num_feedforward_networks=2,
        ),
    ),
    "mobilebert-tokens": (
        hf.MobileBertForTokenClassification,
        hf.MobileBertConfig(
            **SHAPE, **LABELS, embedding_size=10, intra_bottleneck_size=12,
            num_feedforward_networks=2, normalization_type="layer_norm",
            use_bottleneck_attention=True, layer_norm_eps=1e-3,
        ),
    ),
    "modernbert": (
        hf.ModernBertForSequenceClassification,
        hf.ModernBertConfig(**{**MODERN, "num_hidden_layers": 3}, **LABELS),
    ),
    "modernbert-embed": (
        hf.ModernBertModel,
        hf.ModernBertConfig(**{**MODERN, "num_hidden_layers": 3}),
    ),
    "modernbert-tokens": (
        hf.ModernBertForTokenClassification,
        hf.ModernBertConfig(
            **{**MODERN, "num_hidden_layers": 3}, **LABELS, norm_bias=True, attention_bias=True,
            mlp_bias=True, classifier_bias=True, hidden_activation="silu",
            classifier_activation="relu",
        ),
    ),
}
BPE = Path(__file__).resolve().parents[2] / "fixtures" / "tokenizers" / "byte-level-bpe.json"


def write_bpe(folder):
    """The trained byte-level BPE, framed as RoBERTa's."""
    tokenizer = json.loads(BPE.read_text())
    tokenizer["post_processor"] = dict(
        type="RobertaProcessing", sep=["</s>", 1], cls=["<s>", 0], trim_offsets=True,
        add_prefix_space=False,
    )
    (folder / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n"
    )
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}\n')


def make(name, folder):
    kind, config = SOURCES[name]
    torch.manual_seed(sum(map(ord, name)))
    config.architectures = [kind.__name__]
    model = kind(config).eval()
    with torch.no_grad():
        for parameter, values in model.named_parameters():
            is_norm = "LayerNorm.weight" in parameter or "layer_norm.weight" in parameter
            values.normal_(0.0, 0.25)
            if is_norm:
                values += 1.0
    model.save_pretrained(folder)
    if name.endswith("-bpe"):
        write_bpe(folder)
    else:
        (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return model


def sentences(model):
    """A short text, and a pair where the model has segments."""
    torch.manual_seed(7)
    first = torch.randint(5, len(WORDS), (1, 7))
    result = [(first, torch.zeros_like(first))]
    if getattr(model.config, "type_vocab_size", 0) > 1:
        pair = torch.randint(5, len(WORDS), (1, 11))
        segments = (torch.arange(11) >= 6).long()[None]
        result.append((pair, segments))
    return result


def arguments(model, ids, segments):
    inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids))
    if getattr(model.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = segments
    return inputs


def output_of(model, outputs):
    if "start_logits" in outputs:
        return torch.stack([outputs["start_logits"], outputs["end_logits"]], -1)
    return outputs["logits"] if "logits" in outputs else outputs["last_hidden_state"]


def main():
    root = Path(sys.argv[1])
    for name in sys.argv[2:] or SOURCES:
        folder = root / name
        model = make(name, folder)
        golden = []
        for ids, segments in sentences(model):
            with torch.no_grad():
                values = output_of(model, model(**arguments(model, ids, segments)))
            start = int((segments[0] == 0).sum())
            golden.append(
                dict(ids=ids[0].tolist(), segmentStart=start, values=values.flatten().tolist())
            )
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
