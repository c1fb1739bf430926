#!/usr/bin/env python3
"""Writes the Hugging Face folder (float16 weights) from a checkpoint, and the golden values.

  export.py model --checkpoint final.pt --vocab model/vocab.txt --out model
  export.py golden --model model --sets . --out golden.json

golden.json, computed by PyTorch in float32 from the stored float16 weights:
  cases[]  text (and text_pair for the last 10), ids, tokenTypes, logits; inputs are cut at 512
           tokens, pairs at 128 (the longer text first, as Hugging Face does)
  detail   for the shortest case of at least 12 tokens: embeddings (after their LayerNorm), the
           hidden states after each layer [layer][token][128], the pooler output and the logits
"""
import argparse
import json
import pathlib
import shutil

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertForSequenceClassification

from train import config


def export(a):
    rows = [json.loads(line) for line in open(pathlib.Path(a.sets) / "test.jsonl", encoding="utf-8")]
    model = BertForSequenceClassification(config(sorted({r["label"] for r in rows})))
    model.load_state_dict(torch.load(a.checkpoint))
    out = pathlib.Path(a.out)
    model.eval().half().save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    if not (out / "vocab.txt").exists() or not (out / "vocab.txt").samefile(a.vocab):
        shutil.copyfile(a.vocab, out / "vocab.txt")
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": None,
        "tokenize_chinese_chars": True, "model_max_length": 512, "unk_token": "[UNK]",
        "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    }, indent=2) + "\n")


def rounded(t):
    return [rounded(x) for x in t] if t.ndim else float(f"{t.item():.7g}")


def texts(sets):
    """40 single test texts from the shortest to the longest, 5 + 5 concatenations, 10 pairs."""
    def read(name):
        return [json.loads(line)["text"] for line in open(pathlib.Path(sets) / name, encoding="utf-8")]
    test = sorted(read("test.jsonl"), key=lambda t: (len(t), t))
    single = [test[round(i * (len(test) - 1) / 39)] for i in range(40)]
    single += read("test-256.jsonl")[:5] + read("test-512.jsonl")[:5]
    return [(t, None) for t in single] + [(test[150 * i + 7], test[1900 - 170 * i]) for i in range(10)]


def load(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def golden(a):
    model, tok = load(a.model)
    cases, detail = [], None
    for text, pair in texts(a.sets):
        enc = tok(text, pair, truncation=True, max_length=512 if pair is None else 128, return_tensors="pt")
        out = model(**enc, output_hidden_states=True)
        case = {"text": text} if pair is None else {"text": text, "text_pair": pair, "maxLength": 128}
        case["ids"] = enc["input_ids"][0].tolist()
        case["tokenTypes"] = enc["token_type_ids"][0].tolist()
        case["logits"] = rounded(out.logits[0])
        cases.append(case)
        if detail is None and len(case["ids"]) >= 12:
            first, *layers = (h[0] for h in out.hidden_states)
            detail = {"ids": case["ids"], "embeddings": rounded(first), "layers": [rounded(h) for h in layers],
                      "pooled": rounded(model.bert(**enc).pooler_output[0]), "logits": case["logits"]}
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    with open(a.out, "w", encoding="utf-8") as f:
        f.write('{"labels": ' + json.dumps(labels) + ',\n"cases": [\n')
        f.write(",\n".join(json.dumps(c, ensure_ascii=False) for c in cases))
        f.write('\n],\n"detail": ' + json.dumps(detail) + "}\n")
    print(a.out, len(cases), "cases, tokens", sorted(len(c["ids"]) for c in cases))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["model", "golden"])
    p.add_argument("--checkpoint")
    p.add_argument("--vocab", default="model/vocab.txt")
    p.add_argument("--model", default="model")
    p.add_argument("--sets", default=".")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    export(a) if a.what == "model" else golden(a)


if __name__ == "__main__":
    main()
