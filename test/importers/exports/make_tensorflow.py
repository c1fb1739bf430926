"""Writes the `bert` source of `make_sources.py` with TensorFlow: tfjs folders and TFLite files.

    python make_tensorflow.py ../../fixtures/exports

Needs tensorflow, tf_keras, tensorflow_hub, tensorflowjs and safetensors. The weights are those of
`bert/model.safetensors`; `tensorflow.json` has what TensorFlow computes of each variant.
"""
import gzip
import json
import math
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # its own ops are not those of tfjs
# tensorflowjs imports these for formats that are not used here.
for name in ["tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf"]:
    sys.modules.setdefault(name, types.ModuleType(name))
sys.modules["jax"].experimental = sys.modules["jax.experimental"]
sys.modules["jax.experimental"].jax2tf = sys.modules["jax.experimental.jax2tf"]
sys.modules["jax.experimental.jax2tf"].shape_poly = types.SimpleNamespace(PolyShape=None)

import numpy as np
import tensorflow as tf
import tf_keras as keras
from safetensors.numpy import load_file
import tensorflowjs
from tensorflowjs.converters import tf_saved_model_conversion_v2 as conversion

HEADS, WIDTH, LAYERS, EPSILON = 2, 16, 2, 1e-12


def gelu(x):
    """tf.nn.gelu has become 1 - erfc, which tfjs does not know."""
    return 0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2.0)))


class Bert(tf.Module):
    """As Google's BERT writes it: one-hot segments, moments, reshaped heads."""

    def __init__(self, weights, einsum=False):
        super().__init__()
        self.w = {name: tf.Variable(value, name=name.replace("/", "_")) for name, value in weights.items()}
        self.einsum = einsum

    def dense(self, name, x):
        return tf.matmul(x, self.w[f"{name}.weight"], transpose_b=True) + self.w[f"{name}.bias"]

    def norm(self, name, x):
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        gamma, beta = self.w[f"{name}.weight"], self.w[f"{name}.bias"]
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)

    def heads(self, x):
        shape = tf.shape(x)
        return tf.reshape(x, [shape[0], shape[1], HEADS, WIDTH // HEADS])

    def attention(self, prefix, x, mask):
        q, k, v = [self.heads(self.dense(f"{prefix}.self.{part}", x)) for part in ("query", "key", "value")]
        if self.einsum:
            scores = tf.einsum("aecd,abcd->acbe", k, q)
        else:
            q, k, v = [tf.transpose(part, [0, 2, 1, 3]) for part in (q, k, v)]
            scores = tf.matmul(q, k, transpose_b=True)
        scores = scores / math.sqrt(WIDTH / HEADS)
        scores += (1.0 - tf.cast(mask, tf.float32))[:, None, None, :] * -10000.0
        weights = tf.nn.softmax(scores, -1)
        if self.einsum:
            mixed = tf.einsum("acbe,aecd->abcd", weights, v)
        else:
            mixed = tf.transpose(tf.matmul(weights, v), [0, 2, 1, 3])
        shape = tf.shape(x)
        return tf.reshape(mixed, [shape[0], shape[1], WIDTH])

    def __call__(self, input_ids, attention_mask, token_type_ids):
        tokens = tf.shape(input_ids)[1]
        x = tf.gather(self.w["bert.embeddings.word_embeddings.weight"], input_ids)
        types_ = tf.one_hot(token_type_ids, 2)
        segments = tf.matmul(tf.reshape(types_, [-1, 2]),
                             self.w["bert.embeddings.token_type_embeddings.weight"])
        x += tf.reshape(segments, [tf.shape(input_ids)[0], tokens, WIDTH])
        x += self.w["bert.embeddings.position_embeddings.weight"][None, :tokens]
        x = self.norm("bert.embeddings.LayerNorm", x)
        for layer in range(LAYERS):
            prefix = f"bert.encoder.layer.{layer}"
            mixed = self.attention(f"{prefix}.attention", x, attention_mask)
            x = self.norm(f"{prefix}.attention.output.LayerNorm",
                          self.dense(f"{prefix}.attention.output.dense", mixed) + x)
            wide = gelu(self.dense(f"{prefix}.intermediate.dense", x))
            x = self.norm(f"{prefix}.output.LayerNorm", self.dense(f"{prefix}.output.dense", wide) + x)
        pooled = tf.tanh(self.dense("bert.pooler.dense", x[:, 0]))
        return {"logits": self.dense("classifier", pooled)}


def concrete(module, tokens):
    spec = [tf.TensorSpec([None if tokens is None else 1, tokens], tf.int32, name)
            for name in ("input_ids", "attention_mask", "token_type_ids")]
    return tf.function(module.__call__).get_concrete_function(*spec)


def position_layer(weights):
    class Positions(keras.layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(name="table", shape=(24, WIDTH))

        def call(self, x):
            return x + self.table[: tf.shape(x)[1]]

    return Positions


def keras_model(weights):
    """Keras' own layers, as its examples write a transformer."""
    ids = keras.Input([None], dtype="int32", name="input_ids")
    segments = keras.Input([None], dtype="int32", name="token_type_ids")
    value = lambda name: weights[name]
    dense = lambda name: [value(f"{name}.weight").T, value(f"{name}.bias")]
    embed = lambda name: keras.layers.Embedding(
        *value(f"bert.embeddings.{name}.weight").shape, name=name,
        weights=[value(f"bert.embeddings.{name}.weight")])
    norms = []

    def norm(name, x):
        layer = keras.layers.LayerNormalization(epsilon=EPSILON, name=name.replace(".", "_"))
        y = layer(x)
        layer.set_weights([value(f"{name}.weight"), value(f"{name}.bias")])
        return y

    def linear(name, x, activation=None):
        layer = keras.layers.Dense(value(f"{name}.bias").shape[0], activation, name=name.replace(".", "_"))
        y = layer(x)
        layer.set_weights(dense(name))
        return y

    x = embed("word_embeddings")(ids) + embed("token_type_embeddings")(segments)
    positions = position_layer(weights)(name="positions")
    x = positions(x)
    positions.set_weights([value("bert.embeddings.position_embeddings.weight")])
    x = norm("bert.embeddings.LayerNorm", x)
    for index in range(LAYERS):
        prefix = f"bert.encoder.layer.{index}"
        attention = keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention_{index}")
        mixed = attention(x, x)
        split = lambda part: [
            value(f"{prefix}.attention.self.{part}.weight").T.reshape(WIDTH, HEADS, -1),
            value(f"{prefix}.attention.self.{part}.bias").reshape(HEADS, -1)]
        out = f"{prefix}.attention.output.dense"
        attention.set_weights([
            *split("query"), *split("key"), *split("value"),
            value(f"{out}.weight").T.reshape(HEADS, WIDTH // HEADS, WIDTH), value(f"{out}.bias")])
        x = norm(f"{prefix}.attention.output.LayerNorm", mixed + x)
        wide = linear(f"{prefix}.intermediate.dense", x, gelu)
        x = norm(f"{prefix}.output.LayerNorm", linear(f"{prefix}.output.dense", wide) + x)
    pooled = linear("bert.pooler.dense", x[:, 0], "tanh")
    return keras.Model([ids, segments], linear("classifier", pooled), name="bert")


def layers_model(weights):
    """Of layers alone, as tfjs' layers format needs it: positions are an input, rows are averaged."""
    names = ["input_ids", "token_type_ids", "position_ids"]
    inputs = [keras.Input([None], dtype="int32", name=name) for name in names]
    tables = ["word_embeddings", "token_type_embeddings", "position_embeddings"]
    value = lambda name: weights[f"bert.{name}"]
    parts = []
    for table, given in zip(tables, inputs):
        rows = value(f"embeddings.{table}.weight")
        parts.append(keras.layers.Embedding(*rows.shape, weights=[rows], name=table)(given))

    def norm(name, x):
        layer = keras.layers.LayerNormalization(epsilon=EPSILON, name=name.replace(".", "_"))
        y = layer(x)
        layer.set_weights([value(f"{name}.weight"), value(f"{name}.bias")])
        return y

    def linear(name, x, activation):
        layer = keras.layers.Dense(value(f"{name}.bias").shape[0], activation, name=name.replace(".", "_"))
        y = layer(x)
        layer.set_weights([value(f"{name}.weight").T, value(f"{name}.bias")])
        return y

    x = norm("embeddings.LayerNorm", keras.layers.Add(name="embeddings")(parts))
    for index in range(LAYERS):
        prefix = f"encoder.layer.{index}"
        attention = keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention_{index}")
        mixed = attention(x, x)
        split = lambda part: [
            value(f"{prefix}.attention.self.{part}.weight").T.reshape(WIDTH, HEADS, -1),
            value(f"{prefix}.attention.self.{part}.bias").reshape(HEADS, -1)]
        out = f"{prefix}.attention.output.dense"
        attention.set_weights([
            *split("query"), *split("key"), *split("value"),
            value(f"{out}.weight").T.reshape(HEADS, WIDTH // HEADS, WIDTH), value(f"{out}.bias")])
        joined = keras.layers.Add(name=f"add_{index}")([mixed, x])
        x = norm(f"{prefix}.attention.output.LayerNorm", joined)
        wide = linear(f"{prefix}.intermediate.dense", x, "relu")
        narrow = keras.layers.Dropout(0.1)(linear(f"{prefix}.output.dense", wide, "linear"))
        x = norm(f"{prefix}.output.LayerNorm", keras.layers.Add(name=f"sum_{index}")([narrow, x]))
    pooled = keras.layers.GlobalAveragePooling1D(name="pooling")(x)
    dense = keras.layers.Dense(3, "softmax", name="classifier")
    y = dense(linear("pooler.dense", pooled, "tanh"))
    dense.set_weights([weights["classifier.weight"].T, weights["classifier.bias"]])
    return keras.Model(inputs, y, name="layers")


def outputs_of_layers(model, golden):
    result = []
    for example in golden:
        ids = np.int32([example["ids"]])
        count = ids.shape[1]
        segments = np.int32([np.arange(count) >= example["segmentStart"]])
        values = model([ids, segments, np.int32([np.arange(count)])]).numpy()
        result.append(dict(example, values=values.astype(np.float64).flatten().tolist()))
    return result


def save_tfjs(module, function, folder, **quantization):
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(module, saved, signatures=function)
        shutil.rmtree(folder, ignore_errors=True)
        conversion.convert_tf_saved_model(saved, str(folder), **quantization)


def save_tflite(module, function, path, **options):
    lite = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    for name, value in options.items():
        setattr(lite, name, value)
    path.write_bytes(lite.convert())


def texts(weights):
    generator = np.random.default_rng(3)

    def generate():
        for _ in range(20):
            ids = generator.integers(5, 40, (1, 7)).astype(np.int32)
            yield {"input_ids": ids, "attention_mask": np.ones_like(ids),
                   "token_type_ids": (np.arange(7) >= 4).astype(np.int32)[None]}

    return generate


def main():
    root = Path(sys.argv[1])
    weights = load_file(root / "bert" / "model.safetensors")
    golden = json.loads((root / "bert" / "golden.json").read_text())
    bert, bert_einsum = Bert(weights), Bert(weights, einsum=True)
    any_length, einsum, fixed = concrete(bert, None), concrete(bert_einsum, None), concrete(bert, 7)
    tfjs = root / "tfjs"
    save_tfjs(bert, any_length, tfjs / "module")
    save_tfjs(bert_einsum, einsum, tfjs / "einsum")
    for kind in ("uint8", "uint16", "float16"):
        save_tfjs(bert, any_length, tfjs / f"module-{kind}", quantization_dtype_map={kind: "*"})
    save_tfjs(bert, any_length, tfjs / "sharded", weight_shard_size_bytes=8000)
    layers = layers_model(weights)
    tensorflowjs.converters.save_keras_model(layers, str(tfjs / "layers"))
    (root / "layers.json").write_text(json.dumps(outputs_of_layers(layers, golden)) + "\n")
    model = keras_model(weights)
    with tempfile.TemporaryDirectory() as saved:
        model.export(saved) if hasattr(model, "export") else tf.saved_model.save(model, saved)
        shutil.rmtree(tfjs / "keras", ignore_errors=True)
        conversion.convert_tf_saved_model(saved, str(tfjs / "keras"))
    error = np.abs(model([np.int32([golden[1]["ids"]]),
                          np.int32([[int(i >= golden[1]["segmentStart"]) for i in range(len(golden[1]["ids"]))]])]).numpy()
                   - golden[1]["values"]).max()
    print("keras against transformers:", error)
    lite = root / "tflite"
    lite.mkdir(exist_ok=True)
    save_tflite(bert, fixed, lite / "module.tflite")
    save_tflite(bert_einsum, concrete(bert_einsum, 7), lite / "einsum.tflite")
    save_tflite(bert, fixed, lite / "half.tflite", optimizations=[tf.lite.Optimize.DEFAULT],
                target_spec=half_spec())
    save_tflite(bert, fixed, lite / "int8.tflite", optimizations=[tf.lite.Optimize.DEFAULT],
                representative_dataset=texts(weights),
                target_spec=int8_spec())
    (lite / "vocab.txt").write_bytes((root / "bert" / "vocab.txt").read_bytes())
    for folder in tfjs.iterdir():
        (folder / "vocab.txt").write_bytes((root / "bert" / "vocab.txt").read_bytes())
        pack(folder / "model.json")
    values = {path.stem: outputs_of(path, golden[0]) for path in sorted(lite.glob("*.tflite"))}
    (root / "tflite.json").write_text(json.dumps(values) + "\n")
    for path in lite.glob("*.tflite"):
        pack(path)


def pack(path):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    path.unlink()


def outputs_of(path, example):
    """As the TFLite interpreter computes them, for the text of the fixed length."""
    lite = tf.lite.Interpreter(str(path))
    lite.allocate_tensors()
    ids = np.int32([example["ids"]])
    for detail in lite.get_input_details():
        name = detail["name"]
        is_segment = "type" in name or "segment" in name
        value = np.ones_like(ids) if "mask" in name else np.zeros_like(ids) if is_segment else ids
        lite.set_tensor(detail["index"], value)
    lite.invoke()
    detail = lite.get_output_details()[0]
    values = lite.get_tensor(detail["index"]).astype(np.float64)
    scale, zero = detail["quantization"]
    if scale:
        values = (values - zero) * scale
    return [dict(ids=example["ids"], segmentStart=len(example["ids"]), values=values.flatten().tolist())]



def half_spec():
    spec = tf.lite.TargetSpec()
    spec.supported_types = [tf.float16]
    return spec


def int8_spec():
    spec = tf.lite.TargetSpec()
    spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return spec


if __name__ == "__main__":
    main()
