#!/usr/bin/env python3
"""Builds corpus.jsonl.xz from Debian package lists: one {"text","label","split"} per line.

Text is the short description, a newline and the long description; label is the section of
the package. Equal texts are kept once (first package by name). The 24 largest sections stay.
The split is by SHA-256 of the text: lowest 2,000 are "test", next 2,000 "val", rest "train".
Test rows also carry "kin": whether a training text comes from the same source package.

Usage: make_dataset.py LISTS_DIR [corpus.jsonl.xz]      (only the standard library is needed)
"""
import collections
import glob
import hashlib
import json
import lzma
import subprocess
import sys

TEST, VAL, SECTIONS = 2000, 2000, 24


def stanzas(path):
    """Yields each stanza of a (possibly compressed) apt list as a dict of its fields."""
    raw = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], check=True, capture_output=True)
    for block in raw.stdout.decode("utf-8").split("\n\n"):
        fields, name = {}, None
        for line in block.split("\n"):
            if line[:1] == " " and name:
                fields[name] += "\n" + line[1:]
            elif ":" in line:
                name, value = line.split(":", 1)
                fields[name] = value.strip()
        if fields:
            yield fields


def clean(description):
    """First line, then paragraphs, one per line; list items and verbatim lines keep their line."""
    short, *rest = description.split("\n")
    lines = [short.strip()]
    join = False
    for line in rest:
        bare = " ".join(line.split())
        if bare in ("", "."):
            join = False
        elif join and not line.startswith(" "):
            lines[-1] += " " + bare
        else:
            lines.append(bare)
            join = not line.startswith(" ")
    return "\n".join(lines)


def one(pattern):
    found = sorted(glob.glob(pattern))
    if len(found) != 1:
        sys.exit(f"expected one file for {pattern}, found {found}")
    return found[0]


def main():
    lists = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) > 2 else "corpus.jsonl.xz"
    long = {s["Description-md5"]: s["Description-en"] for s in stanzas(one(f"{lists}/*bookworm_main_i18n_Translation-en*"))}
    rows = {}
    for s in sorted(stanzas(one(f"{lists}/*bookworm_main_binary-amd64_Packages*")), key=lambda s: s["Package"]):
        description = long.get(s.get("Description-md5"))
        if description and "Section" in s:
            source = s.get("Source", s["Package"]).split()[0]
            rows.setdefault(clean(description), (s["Section"], source))
    size = collections.Counter(label for label, _ in rows.values())
    keep = {label for label, _ in size.most_common(SECTIONS)}
    print({k: v for k, v in size.most_common()}, file=sys.stderr)
    order = sorted((t for t in rows if rows[t][0] in keep), key=lambda t: hashlib.sha256(t.encode()).digest())
    sources = {rows[t][1] for t in order[TEST + VAL:]}
    split = {}
    for i, text in enumerate(order):
        split[text] = "test" if i < TEST else "val" if i < TEST + VAL else "train"
    # Written sorted by source and text, so that like texts lie together and compress well.
    with lzma.open(out, "wt", encoding="utf-8", preset=9 | lzma.PRESET_EXTREME) as f:
        for text in sorted(order, key=lambda t: (rows[t][1], t)):
            row = {"text": text, "label": rows[text][0], "split": split[text]}
            if split[text] == "test":
                row["kin"] = rows[text][1] in sources
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(collections.Counter(split.values()), file=sys.stderr)


if __name__ == "__main__":
    main()
