"""Exports folders of `make_sources.py` with optimum, as its command line does.

    python make_optimum.py ../../fixtures/exports

Needs optimum 2.3.0, optimum-onnx 0.1.0 and transformers 4.57.3, which is the newest that it knows. Then
run index_onnx.py.
"""
import gzip
import sys
import tempfile
from pathlib import Path

import onnx
from optimum.exporters.onnx import main_export

TASKS = {
    "bert": "text-classification",
    "bert-answers": "question-answering",
    "bert-embed": "feature-extraction",
    "bert-tokens": "token-classification",
    "distilbert": "text-classification",
    "electra": "text-classification",
    "albert": "text-classification",
    "roberta": "text-classification",
    "roberta-bpe": "text-classification",
}


def main():
    root = Path(sys.argv[1])
    for source, task in TASKS.items():
        with tempfile.TemporaryDirectory() as folder:
            main_export(str(root / source), folder, task=task, device="cpu", no_post_process=True)
            model = onnx.load(Path(folder) / "model.onnx")
        for node in model.graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
        del model.metadata_props[:]
        packed = gzip.compress(model.SerializeToString(deterministic=True), 9, mtime=0)
        (root / source / "optimum.onnx.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
