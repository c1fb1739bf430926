"""Exports KerasHub's BERT with the weights of `bert-tanh-gelu` of `make_sources.py`: ONNX, tfjs, TFLite.

    python make_kerashub.py ../../fixtures/exports

Needs what make_tensorflow.py needs, keras-hub 0.32.0 and tf2onnx 1.17.0. Then run index_onnx.py.
"""
import gzip
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import keras_hub  # first: it would take what make_tensorflow.py puts in jax's place for jax
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

import make_tensorflow as made
from tensorflowjs.converters import tf_saved_model_conversion_v2 as conversion

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


def classifier(weights):
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=40, num_layers=2, num_heads=HEADS, hidden_dim=WIDTH, intermediate_dim=24,
        max_sequence_length=24, num_segments=2,
    )
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=3)
    for variable in model.weights:
        variable.assign(np.reshape(values_of(variable.path, weights), variable.shape))
    return model


def inputs_of(example):
    ids = np.int32([example["ids"]])
    segments = (np.arange(ids.shape[1]) >= example["segmentStart"]).astype(np.int32)[None]
    return {"token_ids": ids, "padding_mask": np.ones_like(ids), "segment_ids": segments}


def save_onnx(model, path):
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.onnx"
        model.export(str(plain), format="onnx")
        path.write_bytes(gzip.compress(plain.read_bytes(), 9, mtime=0))


def save_tfjs(model, folder):
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as saved:
        model.export(saved)
        conversion.convert_tf_saved_model(saved, str(folder))


def save_tflite(model, path):
    """For texts of seven tokens."""
    names = ["token_ids", "padding_mask", "segment_ids"]
    spec = {name: tf.TensorSpec([1, 7], tf.int32, name) for name in names}
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda inputs: {"logits": model(inputs)}, input_signature=[spec])
    with tempfile.TemporaryDirectory() as saved:
        archive.write_out(saved, verbose=False)
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(saved).convert())


def main():
    root = Path(sys.argv[1])
    source = root / "bert-tanh-gelu"
    golden = json.loads((source / "golden.json").read_text())
    model = classifier(load_file(source / "model.safetensors"))
    for example in golden:
        error = np.abs(model(inputs_of(example)).numpy().flatten() - example["values"]).max()
        print("against transformers:", error)
    save_onnx(model, source / "kerashub.onnx.gz")
    save_tfjs(model, root / "tfjs" / "kerashub")
    made.pack(root / "tfjs" / "kerashub" / "model.json")
    lite = root / "tflite" / "kerashub.tflite"
    save_tflite(model, lite)
    index = json.loads((root / "tflite.json").read_text())
    index["kerashub"] = made.outputs_of(lite, golden[0])
    (root / "tflite.json").write_text(json.dumps(index) + "\n")
    made.pack(lite)
    vocabulary = (source / "vocab.txt").read_bytes()
    (root / "tfjs" / "kerashub" / "vocab.txt").write_bytes(vocabulary)


if __name__ == "__main__":
    main()
