"""Exports folders of `make_sources.py` with optimum, as its command line does.

    python make_optimum.py ../../fixtures/exports [source ...]

Needs optimum 2.3.0, optimum-onnx 0.1.0 and transformers 4.57.3, which is the newest that it knows. Then
run index_onnx.py.
"""
import gzip
import json
import shutil
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
    "modernbert": "text-classification",
    "modernbert-embed": "feature-extraction",
}


# What make_sources.py gives ModernBERT, under the names that this version of transformers reads.
EARLIER = dict(global_attn_every_n_layers=2, global_rope_theta=1000.0, local_rope_theta=50.0)


def with_earlier_names(source, folder):
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **EARLIER}))
    return folder


def main():
    root = Path(sys.argv[1])
    for source in sys.argv[2:] or TASKS:
        task = TASKS[source]
        with tempfile.TemporaryDirectory() as folder:
            given = root / source
            if source.startswith("modernbert"):
                given = with_earlier_names(given, Path(folder) / "source")
            main_export(str(given), folder, task=task, device="cpu", no_post_process=True)
            model = onnx.load(Path(folder) / "model.onnx")
        for node in model.graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
        del model.metadata_props[:]
        packed = gzip.compress(model.SerializeToString(deterministic=True), 9, mtime=0)
        (root / source / "optimum.onnx.gz").write_bytes(packed)


if __name__ == "__main__":
    main()
