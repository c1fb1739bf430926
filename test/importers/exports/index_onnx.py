"""Adds what onnxruntime computes of exports that are not in `onnx.json` yet.

    python index_onnx.py ../../fixtures/exports

Needs onnxruntime. For the scripts whose framework cannot be installed beside torch.
"""
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}


def feed(session, ids, segment_start):
    ids = np.asarray(ids)[None]
    values = {}
    for given in session.get_inputs():
        if "mask" in given.name:
            value = np.ones_like(ids)
        elif "type" in given.name or "segment" in given.name:
            value = np.arange(ids.shape[1])[None] >= segment_start
        else:
            value = ids
        values[given.name] = value.astype(TYPES[given.type])
    return values


def outputs_of(model, golden):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[1]
    result = []
    for example in golden:
        if isinstance(size, int) and size != len(example["ids"]):
            continue
        values = session.run(None, feed(session, example["ids"], example["segmentStart"]))
        names = [one.name for one in session.get_outputs()]
        shown = np.stack(values, -1) if "start_logits" in names else values[0]
        result.append(dict(example, values=shown.astype(np.float64).flatten().tolist()))
    return result


def main():
    root = Path(sys.argv[1])
    index = json.loads((root / "onnx.json").read_text())
    for path in sorted(root.glob("*/*.onnx.gz")):
        variant = f"{path.parent.name}/{path.name.removesuffix('.onnx.gz')}"
        if variant in index:
            continue
        golden = json.loads((path.parent / "golden.json").read_text())
        index[variant] = outputs_of(gzip.decompress(path.read_bytes()), golden)
        print(variant)
    (root / "onnx.json").write_text(json.dumps(dict(sorted(index.items()))) + "\n")


if __name__ == "__main__":
    main()
