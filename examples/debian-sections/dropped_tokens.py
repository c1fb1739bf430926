"""Texts as a compressed model reads them: words with a token that its recipe drops, in other pieces."""
import typing

import torch

from train import SPECIAL


class PieceTexts(typing.NamedTuple):
    ids: torch.Tensor
    mask: torch.Tensor
    starts: torch.Tensor
    """Where each token that was given is now."""
    whole: torch.Tensor
    """1 where it still is."""


class Pieces:
    def __init__(self, dropped, vocab, limit):
        self.tokens = open(vocab, encoding="utf-8").read().split("\n")[:-1]
        self.dropped = torch.zeros(len(self.tokens), dtype=torch.bool)
        self.dropped[dropped] = True
        self.known = {token: i for i, token in enumerate(self.tokens) if not self.dropped[i]}
        self.limit = limit

    def __call__(self, ids, mask):
        touched = self.dropped[ids].any(1).tolist()
        rows = [self.row(row) if hit else (row, range(len(row)), [1] * len(row)) for row, hit in zip(ids.tolist(), touched)]
        width = min(self.limit, max(len(row) for row, _, _ in rows))
        padded = torch.tensor([(row + [0] * width)[:width] for row, _, _ in rows])
        starts, whole = (torch.tensor([list(row[part]) for row in rows]) for part in (1, 2))
        whole = whole * mask * (starts < width)
        return PieceTexts(padded, (padded != 0).to(mask.dtype), starts.clamp(max=width - 1), whole)

    def row(self, ids):
        """The row anew, and of each of its tokens the place, and whether it is there."""
        out, starts, whole, at = [], [], [], 0
        while at < len(ids):
            end = at + 1
            while ids[at] >= SPECIAL and end < len(ids) and self.tokens[ids[end]].startswith("##"):
                end += 1
            word = ids[at:end]
            if self.dropped[word].any():
                starts += [len(out)] * len(word)
                whole += [0] * len(word)
                out += self.word("".join(self.tokens[i].removeprefix("##") if k else self.tokens[i] for k, i in enumerate(word)))
            else:
                starts += range(len(out), len(out) + len(word))
                whole += [1] * len(word)
                out += word
            at = end
        return out, starts, whole

    def word(self, text):
        """WordPiece: the longest token that is known, again and again."""
        mark, text = ("##", text[2:]) if text.startswith("##") else ("", text)
        found = []
        while text:
            length = next((n for n in range(len(text), 0, -1) if mark + text[:n] in self.known), None)
            if length is None:
                return [self.known["[UNK]"]]
            found.append(self.known[mark + text[:length]])
            mark, text = "##", text[length:]
        return found
