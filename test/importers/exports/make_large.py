"""Writes a BERT of about 100 MB in every format, for `npm run bench import`.

    python make_large.py torch <folder>       # <folder>/huggingface, <folder>/onnx
    python make_large.py tensorflow <folder>  # <folder>/tfjs, <folder>/tflite, of the same weights

The first needs what make_onnx.py needs, the second, behind it, what make_tensorflow.py needs.
"""
import shutil
import sys
from pathlib import Path

WIDTH, HEADS, LAYERS, TOKENS = 384, 12, 8, 128
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(5, 28000)]


def write_vocabulary(folder):
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")


def with_torch(root):
    import torch
    import transformers as hf

    config = hf.BertConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, num_attention_heads=HEADS,
        num_hidden_layers=LAYERS, intermediate_size=4 * WIDTH, num_labels=3,
    )
    config.architectures = ["BertForSequenceClassification"]
    torch.manual_seed(1)
    model = hf.BertForSequenceClassification(config).eval()
    model.save_pretrained(root / "huggingface")
    write_vocabulary(root / "huggingface")
    (root / "onnx").mkdir(exist_ok=True)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.arange(5, 16)[None]
    torch.onnx.export(
        model, (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        str(root / "onnx" / "model.onnx"), input_names=names, output_names=["logits"],
        opset_version=17, dynamo=False, dynamic_axes={name: {0: "batch", 1: "n"} for name in names},
    )
    write_vocabulary(root / "onnx")


def with_tensorflow(root):
    import make_tensorflow as made

    made.WIDTH, made.HEADS, made.LAYERS = WIDTH, HEADS, LAYERS
    bert = made.Bert(made.load_file(root / "huggingface" / "model.safetensors"))
    made.save_tfjs(bert, made.concrete(bert, None), root / "tfjs")
    write_vocabulary(root / "tfjs")
    shutil.rmtree(root / "tflite", ignore_errors=True)
    (root / "tflite").mkdir()
    made.save_tflite(bert, made.concrete(bert, TOKENS), root / "tflite" / "model.tflite")
    write_vocabulary(root / "tflite")


if __name__ == "__main__":
    ways = {"torch": with_torch, "tensorflow": with_tensorflow}
    ways[sys.argv[1]](Path(sys.argv[2]))
