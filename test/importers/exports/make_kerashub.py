"""Exports KerasHub's BERT with the weights of `bert-tanh-gelu` of `make_sources.py`.

    python make_kerashub.py ../../fixtures/exports

Needs tensorflow 2.21.0, keras-hub 0.32.0, tf2onnx 1.17.0 and safetensors. Then run index_onnx.py.
"""
import gzip
import os
import sys
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras_hub
import numpy as np
from safetensors.numpy import load_file

HEADS, WIDTH = 2, 16


def values_of(path, weights):
    """KerasHub's name of a weight to the checkpoint's values in its layout."""
    parts = path.split("/")
    if parts[0].startswith("transformer_layer_"):
        layer = f"bert.encoder.layer.{parts[0].rsplit('_', 1)[1]}"
        name = {
            "query": "attention.self.query", "key": "attention.self.key",
            "value": "attention.self.value", "attention_output": "attention.output.dense",
            "self_attention_layer_norm": "attention.output.LayerNorm",
            "feedforward_layer_norm": "output.LayerNorm",
            "feedforward_intermediate_dense": "intermediate.dense",
            "feedforward_output_dense": "output.dense",
        }[parts[-2]]
        name = f"{layer}.{name}"
    else:
        name = {
            "token_embedding": "bert.embeddings.word_embeddings",
            "position_embedding": "bert.embeddings.position_embeddings",
            "segment_embedding": "bert.embeddings.token_type_embeddings",
            "embeddings_layer_norm": "bert.embeddings.LayerNorm",
            "pooled_dense": "bert.pooler.dense",
            "logits": "classifier",
        }[parts[-2]]
    kind = parts[-1]
    if kind == "kernel":
        return weights[f"{name}.weight"].T
    return weights[f"{name}.{'bias' if kind in ('bias', 'beta') else 'weight'}"]


def main():
    source = Path(sys.argv[1]) / "bert-tanh-gelu"
    weights = load_file(source / "model.safetensors")
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=40, num_layers=2, num_heads=HEADS, hidden_dim=WIDTH, intermediate_dim=24,
        max_sequence_length=24, num_segments=2,
    )
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=3)
    for variable in model.weights:
        variable.assign(np.reshape(values_of(variable.path, weights), variable.shape))
    ids = np.arange(5, 12)[None]
    model({"token_ids": ids, "padding_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.export(str(path), format="onnx")
        packed = gzip.compress(path.read_bytes(), 9, mtime=0)
    (source / "kerashub.onnx.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
