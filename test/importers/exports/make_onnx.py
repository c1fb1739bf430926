"""Exports the folders of `make_sources.py` to ONNX in every way that users do.

    python make_onnx.py ../../fixtures/exports

Needs torch, transformers, onnx, onnxscript and onnxruntime. Writes `<source>/<variant>.onnx.gz` and
`onnx.json`: for each file the outputs of onnxruntime for the token ids of `golden.json`.
"""
import gzip
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import transformers as hf
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers.optimizer import optimize_model

import make_sources

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


class Logits(torch.nn.Module):
    """Only what the variant is about goes into the graph."""

    def __init__(self, model, names, finish=None):
        super().__init__()
        self.model, self.names, self.finish = model, names, finish

    def forward(self, *tensors):
        outputs = self.model(**dict(zip(self.names, tensors)))
        values = make_sources.output_of(self.model, outputs)
        return values if self.finish is None else self.finish(values)


def mean_pooled(values):
    return values.mean(1)


def unit_length(values):
    return torch.nn.functional.normalize(values.mean(1), p=2, dim=1)


def load(root, source, attention):
    config = json.loads((root / source / "config.json").read_text())
    kind = getattr(hf, config["architectures"][0])
    return kind.from_pretrained(root / source, attn_implementation=attention).eval()


def export(root, source, path, *, dynamo, opset, attention="sdpa", half=False, inputs=None,
           fixed=False, finish=None, raw=False, fold=True, output="logits", outputs=None):
    model = load(root, source, attention)
    ids, segments = make_sources.sentences(model)[-1 if not fixed else 0]
    given = make_sources.arguments(model, ids, segments)
    names = inputs or list(given)
    if half:
        model = model.half()
    wrapped = model if raw else Logits(model, names, finish)
    args = () if raw else tuple(given[name] for name in names)
    kwargs = dict(input_names=names, opset_version=opset, dynamo=dynamo, verbose=False)
    if outputs is not None:
        kwargs["output_names"] = outputs
    if raw:
        kwargs["kwargs"] = {name: given[name] for name in names}
    else:
        kwargs["output_names"] = [output]
    if dynamo:
        axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        shapes = {name: axes for name in names} if raw else (tuple(axes for _ in names),)
        if not fixed:
            kwargs["dynamic_shapes"] = shapes
        kwargs["optimize"] = fold
        kwargs["external_data"] = False
    elif not fixed:
        kwargs["dynamic_axes"] = {name: {0: "batch", 1: "tokens"} for name in names}
        kwargs["do_constant_folding"] = fold
    torch.onnx.export(wrapped, args, str(path), **kwargs)


def strip(path):
    """Without PyTorch's stack traces, which are most of such a file; scopes stay."""
    model = onnx.load(path)
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        del value.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.save(model, path)


def optimize(source_path, path, **options):
    model = optimize_model(str(source_path), model_type="bert", num_heads=2, hidden_size=16,
                           opt_level=0, **options)
    model.save_model_to_file(str(path))


def optimize_at_runtime(source_path, path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(str(source_path), options, providers=["CPUExecutionProvider"])


class Texts(CalibrationDataReader):
    def __init__(self, path):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.names = [one.name for one in session.get_inputs()]
        generator = np.random.default_rng(3)
        self.items = iter(
            [feed(self.names, generator.integers(5, 40, n), n // 2) for n in range(5, 20)]
        )

    def get_next(self):
        return next(self.items, None)


def feed(names, ids, segment_start):
    ids = np.asarray(ids, np.int64)[None]
    values = {}
    for name in names:
        if "mask" in name:
            values[name] = np.ones_like(ids)
        elif "type" in name:
            values[name] = (np.arange(ids.shape[1]) >= segment_start).astype(np.int64)[None]
        else:
            values[name] = ids
    return values


def quantize(source_path, path, form, **options):
    ops = ["MatMul", "Gemm", "Add", "Gather", "Attention"]
    quantize_static(str(source_path), str(path), Texts(source_path), quant_format=form,
                    op_types_to_quantize=options.pop("ops", ops), **options)


PLAIN = dict(dynamo=False, opset=17)
SOFTMAX = dict(finish=lambda values: torch.softmax(values, -1))
VARIANTS = {
    "bert": {
        "torchscript-11": lambda r, s, p: export(r, s, p, dynamo=False, opset=11, attention="eager"),
        "torchscript-13": lambda r, s, p: export(r, s, p, dynamo=False, opset=13, attention="eager"),
        "torchscript-14-sdpa": lambda r, s, p: export(r, s, p, dynamo=False, opset=14),
        "torchscript-17": lambda r, s, p: export(r, s, p, **PLAIN),
        "torchscript-raw": lambda r, s, p: export(r, s, p, **PLAIN, raw=True),
        "torchscript-unfolded": lambda r, s, p: export(r, s, p, **PLAIN, fold=False),
        "torchscript-fixed": lambda r, s, p: export(r, s, p, **PLAIN, fixed=True),
        "torchscript-half": lambda r, s, p: export(r, s, p, **PLAIN, half=True, attention="eager"),
        "torchscript-softmax": lambda r, s, p: export(r, s, p, **PLAIN, **SOFTMAX),
        "torchscript-no-segments": lambda r, s, p: export(
            r, s, p, **PLAIN, inputs=["input_ids", "attention_mask"]),
        "torchscript-ids-only": lambda r, s, p: export(r, s, p, **PLAIN, inputs=["input_ids"]),
        "dynamo-18-eager": lambda r, s, p: export(r, s, p, dynamo=True, opset=18, attention="eager"),
        "dynamo-20": lambda r, s, p: export(r, s, p, dynamo=True, opset=20),
        "dynamo-23": lambda r, s, p: export(r, s, p, dynamo=True, opset=23),
        "dynamo-raw": lambda r, s, p: export(r, s, p, dynamo=True, opset=20, raw=True),
        "dynamo-fixed": lambda r, s, p: export(r, s, p, dynamo=True, opset=20, fixed=True),
        "dynamo-functions": lambda r, s, p: export(
            r, s, p, dynamo=True, opset=18, fold=False, attention="eager"),
        "fused": lambda r, s, p: optimize(r / s / "torchscript-13.onnx", p),
        "fused-heads": lambda r, s, p: optimize(
            r / s / "torchscript-13.onnx", p, optimization_options=heads_option()),
        "fused-at-runtime": lambda r, s, p: optimize_at_runtime(r / s / "torchscript-17.onnx", p),
        "fused-dynamo": lambda r, s, p: optimize_at_runtime(r / s / "dynamo-20.onnx", p),
        "int8-qdq": lambda r, s, p: quantize(
            r / s / "torchscript-17.onnx", p, QuantFormat.QDQ, per_channel=True,
            weight_type=QuantType.QInt8),
        "int8-qdq-tensor": lambda r, s, p: quantize(
            r / s / "torchscript-17.onnx", p, QuantFormat.QDQ, weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8),
        "int8-operators": lambda r, s, p: quantize(
            r / s / "torchscript-17.onnx", p, QuantFormat.QOperator, weight_type=QuantType.QInt8,
            ops=["MatMul", "Gemm", "Add"]),
        "int8-dynamic": lambda r, s, p: quantize_dynamic(
            str(r / s / "torchscript-17.onnx"), str(p), weight_type=QuantType.QInt8),
        "external": lambda r, s, p: external(r / s / "torchscript-17.onnx", p),
    },
    "bert-tanh-gelu": {
        "torchscript-13": lambda r, s, p: export(r, s, p, dynamo=False, opset=13, attention="eager"),
        "dynamo-20": lambda r, s, p: export(r, s, p, dynamo=True, opset=20),
        "fused": lambda r, s, p: optimize(r / s / "torchscript-13.onnx", p),
    },
    "bert-labels": {
        "torchscript-sigmoid": lambda r, s, p: export(r, s, p, **PLAIN, finish=torch.sigmoid),
    },
    "bert-embed": {
        "torchscript-17": lambda r, s, p: export(r, s, p, **PLAIN, output="last_hidden_state"),
        "dynamo-raw": lambda r, s, p: export(r, s, p, dynamo=True, opset=20, raw=True),
        "torchscript-mean": lambda r, s, p: export(
            r, s, p, **PLAIN, finish=mean_pooled, output="sentence_embedding"),
        "dynamo-unit-length": lambda r, s, p: export(
            r, s, p, dynamo=True, opset=20, finish=unit_length, output="sentence_embedding"),
    },
}
EAGER = dict(attention="eager")
VARIANTS["mobilebert"] = {
    "torchscript-11": lambda r, s, p: export(r, s, p, dynamo=False, opset=11, **EAGER),
    "torchscript-17": lambda r, s, p: export(r, s, p, **PLAIN, **EAGER),
    "torchscript-fixed": lambda r, s, p: export(r, s, p, **PLAIN, **EAGER, fixed=True),
    "int8-qdq": lambda r, s, p: quantize(
        r / s / "torchscript-17.onnx", p, QuantFormat.QDQ, per_channel=True,
        weight_type=QuantType.QInt8, ops=["MatMul", "Gemm"]),
}
VARIANTS["mobilebert-tokens"] = {
    "torchscript-17": lambda r, s, p: export(r, s, p, **PLAIN, **EAGER),
}
VARIANTS["modernbert"] = {
    "torchscript-11": lambda r, s, p: export(r, s, p, dynamo=False, opset=11, **EAGER),
    "torchscript-17": lambda r, s, p: export(r, s, p, **PLAIN),
    "torchscript-fixed": lambda r, s, p: export(r, s, p, **PLAIN, fixed=True),
    "dynamo-18-eager": lambda r, s, p: export(r, s, p, dynamo=True, opset=18, **EAGER),
    "dynamo-20": lambda r, s, p: export(r, s, p, dynamo=True, opset=20),
    "dynamo-23": lambda r, s, p: export(r, s, p, dynamo=True, opset=23),
    "dynamo-fixed": lambda r, s, p: export(r, s, p, dynamo=True, opset=20, fixed=True),
    "fused-at-runtime": lambda r, s, p: optimize_at_runtime(r / s / "dynamo-20.onnx", p),
    # Not Add: scores with the mask of a band have no range that 8 bits could share.
    "int8-qdq": lambda r, s, p: quantize(
        r / s / "dynamo-20.onnx", p, QuantFormat.QDQ, per_channel=True,
        weight_type=QuantType.QInt8, ops=["MatMul", "Gemm"]),
    "int8-operators": lambda r, s, p: quantize(
        r / s / "dynamo-20.onnx", p, QuantFormat.QOperator, weight_type=QuantType.QInt8,
        ops=["MatMul", "Gemm"]),
    "int8-dynamic": lambda r, s, p: quantize_dynamic(
        str(r / s / "dynamo-20.onnx"), str(p), weight_type=QuantType.QInt8),
}
VARIANTS["modernbert-embed"] = {
    "torchscript-raw": lambda r, s, p: export(r, s, p, **PLAIN, raw=True),
    "dynamo-raw": lambda r, s, p: export(r, s, p, dynamo=True, opset=20, raw=True),
}
VARIANTS["modernbert-tokens"] = {
    "dynamo-20": lambda r, s, p: export(r, s, p, dynamo=True, opset=20),
}
BOTH = {
    "torchscript-17": lambda r, s, p: export(r, s, p, **PLAIN),
    "dynamo-20": lambda r, s, p: export(r, s, p, dynamo=True, opset=20),
}
ENDS = dict(raw=True, outputs=["start_logits", "end_logits"])
RAW = {"dynamo-raw": lambda r, s, p: export(r, s, p, dynamo=True, opset=20, **ENDS)}
for name in ["distilbert", "electra", "albert", "roberta"]:
    VARIANTS[name] = BOTH
for name in ["bert-answers", "distilbert-answers"]:
    VARIANTS[name] = RAW
for name in ["bert-tokens", "bert-number", "distilbert-tokens", "electra-tokens"]:
    VARIANTS[name] = {"dynamo-20": BOTH["dynamo-20"]}


def heads_option():
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions("bert")
    options.use_multi_head_attention = True
    return options


def external(source_path, path):
    model = onnx.load(source_path)
    onnx.save(model, path, save_as_external_data=True, location=path.stem + ".weights",
              size_threshold=64)


def outputs_of(path, golden):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    size = session.get_inputs()[0].shape[1]
    result = []
    for example in golden:
        if isinstance(size, int) and size != len(example["ids"]):
            continue
        start = example["segmentStart"] if any("type" in name for name in names) else 99
        values = session.run(None, feed(names, example["ids"], start))
        shown = np.stack(values, -1) if "start_logits" in [
            one.name for one in session.get_outputs()] else values[0]
        result.append(dict(ids=example["ids"], segmentStart=min(start, len(example["ids"])),
                           values=shown.astype(np.float64).flatten().tolist()))
    return result


def main():
    root = Path(sys.argv[1])
    wanted = sys.argv[2:]
    index_path = root / "onnx.json"
    index = json.loads(index_path.read_text()) if wanted and index_path.exists() else {}
    for source, variants in VARIANTS.items():
        golden = json.loads((root / source / "golden.json").read_text())
        for variant, make in variants.items():
            if wanted and f"{source}/{variant}" not in wanted:
                continue
            path = root / source / f"{variant}.onnx"
            try:
                make(root, source, path)
                strip(path) if variant != "external" else None
                index[f"{source}/{variant}"] = outputs_of(path, golden)
                print(source, variant, path.stat().st_size)
            except Exception as error:
                print(source, variant, "FAILED", repr(error)[:300])
    for path in root.glob("*/*.onnx"):
        packed = path.with_suffix(".onnx.gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
        path.unlink()
    index_path.write_text(json.dumps(dict(sorted(index.items()))) + "\n")


if __name__ == "__main__":
    main()
