#!/usr/bin/env python3
"""Finds the package that each text of the corpus describes, in Debian's package lists.

Writes names.txt.xz: a line for each line of ../debian-sections/corpus.jsonl.xz, the package's name, or
an empty line where the lists no longer have the text.

Usage: make_names.py LISTS_DIR       (lists as ../debian-sections/README.md fetches them)
"""
import json
import lzma
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "debian-sections"))
from make_dataset import clean, one, stanzas  # noqa: E402


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lists = sys.argv[1]
    long = {s["Description-md5"]: s["Description-en"]
            for s in stanzas(one(f"{lists}/*bookworm_main_i18n_Translation-en*"))}
    names = {}
    for s in sorted(stanzas(one(f"{lists}/*bookworm_main_binary-amd64_Packages*")), key=lambda s: s["Package"]):
        description = long.get(s.get("Description-md5"))
        if description and "Section" in s:
            names.setdefault((clean(description), s["Section"]), s["Package"])
    missing = 0
    with lzma.open(HERE.parent / "debian-sections" / "corpus.jsonl.xz", "rt", encoding="utf-8") as corpus, \
            lzma.open(HERE / "names.txt.xz", "wt", encoding="utf-8", preset=9 | lzma.PRESET_EXTREME) as out:
        for row in map(json.loads, corpus):
            name = names.get((row["text"], row["label"]), "")
            missing += name == ""
            out.write(name + "\n")
    print(f"{missing} texts without a name")


if __name__ == "__main__":
    main()
