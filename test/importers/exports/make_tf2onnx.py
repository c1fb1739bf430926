"""Exports the TensorFlow module of `make_tensorflow.py` with tf2onnx.

    python make_tf2onnx.py ../../fixtures/exports

Needs what make_tensorflow.py needs, and tf2onnx 1.17.0. Then run index_onnx.py.
"""
import gzip
import sys
from pathlib import Path

import make_tensorflow as made
import numpy as np
import tensorflow as tf

np.object = object  # of NumPy before 1.24, which tf2onnx still names
import tf2onnx
from safetensors.numpy import load_file


def converted(module, tokens, opset):
    spec = [tf.TensorSpec([None if tokens is None else 1, tokens], tf.int32, name)
            for name in ("input_ids", "attention_mask", "token_type_ids")]
    model, _ = tf2onnx.convert.from_function(
        tf.function(module.__call__, input_signature=spec), input_signature=spec, opset=opset)
    return model


def main():
    root = Path(sys.argv[1])
    weights = load_file(root / "bert" / "model.safetensors")
    bert = made.Bert(weights)
    models = {
        "tf2onnx-11": converted(bert, None, 11),
        "tf2onnx-13": converted(bert, None, 13),
        "tf2onnx-18": converted(bert, None, 18),
        "tf2onnx-fixed": converted(bert, 7, 15),
        "tf2onnx-einsum": converted(made.Bert(weights, einsum=True), None, 15),
    }
    for name, model in models.items():
        packed = gzip.compress(model.SerializeToString(deterministic=True), 9, mtime=0)
        (root / "bert" / f"{name}.onnx.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
