"""BERT-tiny with a compression recipe's numbers in it, all of them trainable.

The recipe's shape stays: bits, ranks, stages, tiers and dropped tokens. Rounding is passed straight
through: forward with the rounded value, backward as if it were not. A word row keeps real
coordinates behind its codes, and its codes are the nearest entries; an int4 weight keeps a real
value, and its row's scale learns with it (learned step size, Esser et al. 2020).
"""
import hashlib
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load, save
from safetensors.torch import load_file

WORD = "embeddings.word_embeddings.weight"
POSITION = "embeddings.position_embeddings.weight"
SEGMENT = "embeddings.token_type_embeddings.weight"
MOST = {4: 7, 8: 127}


class Codebooks(torch.nn.Module):
    """A table of codes: real coordinates, to the nearest entries of each stage, times a projection."""

    def __init__(self, header, arrays, table):
        super().__init__()
        self.stages = header["stages"]
        self.tiers = torch.tensor([t["stages"] for t in header["tiers"]])
        self.tier_of = torch.from_numpy(arrays["tierOf"].ravel().astype(np.int64))
        self.books = torch.nn.ParameterList(torch.from_numpy(arrays[f"stages.{i}"]) for i in range(len(self.stages)))
        self.projection = torch.nn.Parameter(torch.from_numpy(arrays["projection"]))
        self.offset = torch.nn.Parameter(torch.from_numpy(arrays["offset"]).ravel())
        codes = torch.zeros(header["rows"], len(self.stages), dtype=torch.long)
        for i, tier in enumerate(header["tiers"]):
            if tier["rows"]:
                codes[self.tier_of == i, : tier["stages"]] = torch.from_numpy(arrays[f"tiers.{i}"].astype(np.int64))
        self.counts = self.tiers[self.tier_of]
        self.given = codes
        self.rows = torch.nn.Parameter(self.behind(codes, table))
        self.frozen = None

    def columns(self, stage):
        return slice(stage["firstColumn"], stage["firstColumn"] + stage["columns"])

    def coordinates(self, codes, counts):
        """The sum of the entries of each row's first stages."""
        z = torch.zeros(len(codes), len(self.projection))
        for i, (stage, book) in enumerate(zip(self.stages, self.books)):
            at = self.columns(stage)
            z[:, at] = z[:, at] + book[codes[:, i]] * (counts > i)[:, None]
        return z

    @torch.no_grad()
    def codes(self, z):
        """The nearest entries, stage by stage, of what the stages before have left."""
        left, found = z.clone(), []
        for stage, book in zip(self.stages, self.books):
            part = left[:, self.columns(stage)]
            found.append(((book * book).sum(1) - 2 * part @ book.T).argmin(1))
            part -= book[found[-1]]
        return torch.stack(found, 1)

    @torch.no_grad()
    def behind(self, codes, table):
        """Where the float rows lie, by least squares; drawn to the entries until they are the nearest."""
        entries = self.coordinates(codes, self.counts)
        exact = torch.linalg.lstsq(self.projection.T, (table - self.offset).T).solution.T
        used = torch.arange(len(self.stages)) < self.counts[:, None]
        rows = entries.clone()
        for share in (0.1, 0.2, 0.4, 0.6, 0.8):
            drawn = entries + share * (exact - entries)
            same = (self.codes(drawn) == codes) | ~used
            rows = torch.where(same.all(1, keepdim=True), drawn, rows)
        return rows

    def freeze_as_given(self):
        """To measure a recipe, not to train it."""
        self.frozen = self.given

    def freeze(self):
        """From here on the codes stay; entries and projection go on learning."""
        if self.frozen is None:
            self.frozen = self.codes(self.rows)
        self.rows.requires_grad_(False)

    def forward(self, ids):
        words, where = torch.unique(ids, return_inverse=True)
        if self.frozen is not None:
            z = self.coordinates(self.frozen[words], self.counts[words])
        else:
            real = self.rows[words]
            # The entries learn as they are, the rows straight through.
            z = self.coordinates(self.codes(real), self.counts[words]) + real - real.detach()
        return F.embedding(where, z @ self.projection + self.offset)

    def arrays(self):
        codes = (self.codes(self.rows) if self.frozen is None else self.frozen).numpy().astype(np.uint8)
        out = {"projection": self.projection, "offset": self.offset[None]}
        out |= {f"stages.{i}": book for i, book in enumerate(self.books)}
        out = {k: v.detach().numpy() for k, v in out.items()}
        out["tierOf"] = self.tier_of.numpy().astype(np.uint8)[None]
        for i, stages in enumerate(self.tiers.tolist()):
            out[f"tiers.{i}"] = codes[(self.tier_of == i).numpy()][:, :stages]
        return out


class LowRank(torch.nn.Module):
    """One cluster: integer factors, a projection and an offset. The factors stay."""

    def __init__(self, header, arrays):
        super().__init__()
        assert len(header["clusters"]) == 1, "one cluster only"
        cluster, factors = header["clusters"][0], arrays["clusters.0.factors"]
        self.given = {name: arrays[name] for name in ("clusterOf", "clusters.0.factors")}
        codes = torch.from_numpy(unpacked(factors, cluster["rank"]) if cluster["bits"] == 4 else factors).float()
        # Factors of either width in one range, so that the projection learns at one rate.
        self.unit = MOST[cluster["bits"]] / MOST[4]
        self.factors = codes / self.unit
        self.projection = torch.nn.Parameter(torch.from_numpy(arrays["clusters.0.projection"]) * self.unit)
        self.offset = torch.nn.Parameter(torch.from_numpy(arrays["clusters.0.offset"]).ravel())

    def forward(self, ids):
        return self.factors[ids] @ self.projection + self.offset

    def arrays(self):
        return self.given | {
            "clusters.0.projection": self.projection.detach().numpy() / self.unit,
            "clusters.0.offset": self.offset.detach().numpy()[None],
        }


class Rounded(torch.nn.Module):
    """A matrix of few bits, with a scale a row."""

    def __init__(self, value, bits, codes, scales):
        super().__init__()
        self.bits, self.most = bits, MOST[bits]
        codes = unpacked(codes, value.shape[1]) if bits == 4 else codes
        scales = torch.from_numpy(scales).reshape(-1, 1)
        codes = torch.from_numpy(codes).float()
        # What was rounded away is still known; the recipe's codes are kept where the two disagree.
        self.matrix = torch.nn.Parameter(torch.minimum(torch.maximum(value / scales, codes - 0.49), codes + 0.49) * scales)
        self.log_scale = torch.nn.Parameter(scales.log())

    def codes(self, real):
        return real.round().clamp(-self.most, self.most)

    def forward(self):
        scales = self.log_scale.exp()
        real = self.matrix / scales
        inside = real.clamp(-self.most, self.most)
        return (inside + (self.codes(real) - inside).detach()) * scales

    def arrays(self):
        scales = self.log_scale.detach().exp()
        codes = self.codes(self.matrix.detach() / scales).numpy().astype(np.int8)
        return {"codes": packed(codes) if self.bits == 4 else codes, "scales": scales.numpy().reshape(1, -1)}


def unpacked(packed, columns):
    """Codes of 4 bits, two a byte, the first in the low half."""
    halves = np.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1)[:, :columns].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8)


def packed(codes):
    halves = (codes if codes.shape[1] % 2 == 0 else np.pad(codes, ((0, 0), (0, 1)))).astype(np.uint8) & 15
    return halves[:, ::2] | (halves[:, 1::2] << 4)


def group(arrays, prefix):
    return {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def attribute(name):
    return name.replace(".", "/")  # a module's names have no dots


class Student(torch.nn.Module):
    def __init__(self, recipe, arrays, float_weights):
        super().__init__()
        self.recipe, self.given, self.fixed = recipe, arrays, float_weights
        word, position = recipe["tables"][WORD], recipe["tables"].get(POSITION)
        assert word["method"] == "codebooks", "the word table has codebooks"
        self.word = Codebooks(word, group(arrays, f"tables/{WORD}/"), float_weights[WORD])
        low_rank = position is not None and position["method"] == "low-rank"
        self.position = LowRank(position, group(arrays, f"tables/{POSITION}/")) if low_rank else None
        self.rounded, self.vectors = torch.nn.ModuleDict(), torch.nn.ParameterDict()
        for name, value in float_weights.items():
            if name in (WORD, POSITION, SEGMENT):
                continue
            if name in recipe["weights"]:
                stored = (arrays[f"weights/{name}/{part}"] for part in ("codes", "scales"))
                self.rounded[attribute(name)] = Rounded(value, recipe["weights"][name]["bits"], *stored)
            elif value.ndim == 1:
                stored = arrays.get(f"constants/{name}")
                value = value if stored is None else torch.from_numpy(stored).reshape(value.shape)
                self.vectors[attribute(name)] = torch.nn.Parameter(value.clone())

    def value(self, name):
        """Matrices that the recipe says nothing of are int8 by the build: they stay what they are."""
        key = attribute(name)
        if key in self.rounded:
            return self.rounded[key]()
        return self.vectors[key] if key in self.vectors else self.fixed[name]

    def rows(self, ids):
        position = torch.arange(ids.shape[1])
        p = self.fixed[POSITION][position] if self.position is None else self.position(position)
        return self.word(ids) + p + self.fixed[SEGMENT][0]

    def forward(self, ids, mask, whole=False):
        return encoder(self.value, self.rows(ids), mask, whole)

    def write(self, path, **provenance):
        arrays = {k: v for k, v in self.given.items() if not k.startswith("constants/")}
        arrays |= {f"tables/{WORD}/{k}": v for k, v in self.word.arrays().items()}
        if self.position is not None:
            arrays |= {f"tables/{POSITION}/{k}": v for k, v in self.position.arrays().items()}
        for key, matrix in self.rounded.items():
            arrays |= {f"weights/{key.replace('/', '.')}/{k}": v for k, v in matrix.arrays().items()}
        constants = {key.replace("/", "."): value for key, value in self.vectors.items()}
        arrays |= {f"constants/{name}": v.detach().numpy().reshape(1, -1) for name, v in constants.items()}
        data = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
        out = pathlib.Path(path)
        beside = out.with_suffix(".safetensors")
        beside.write_bytes(data)
        header = dict(self.recipe, constants=sorted(constants))
        header["arrays"] = {"file": beside.name, "sha256": hashlib.sha256(data).hexdigest()}
        header["provenance"] = self.recipe["provenance"] | provenance
        out.write_text(json.dumps(header, indent=2) + "\n")


def read(recipe, float_weights):
    header = json.loads(pathlib.Path(recipe).read_text())
    arrays = load(pathlib.Path(recipe).with_name(header["arrays"]["file"]).read_bytes())
    return Student(header, arrays, float_weights)


def float_weights(model):
    """By their names in a recipe."""
    stored = load_file(f"{model}/model.safetensors")
    return {k.removeprefix("bert."): v.float() for k, v in stored.items()}


def teacher(weights, ids, mask, whole=False):
    """The float model."""
    rows = weights[WORD][ids] + weights[POSITION][: ids.shape[1]] + weights[SEGMENT][0]
    return encoder(weights.__getitem__, rows, mask, whole)


def encoder(value, rows, mask, whole=False):
    """BERT from the sum of embeddings on: class logits, and the hidden rows of each layer.

    Of the last layer only the row of [CLS] is computed, unless the `whole` of it is asked for.
    """
    norm = lambda x, name: F.layer_norm(x, (x.shape[-1],), value(f"{name}.weight"), value(f"{name}.bias"), 1e-12)
    linear = lambda x, name: F.linear(x, value(f"{name}.weight"), value(f"{name}.bias"))
    x = norm(rows, "embeddings.LayerNorm")
    away = (1 - mask.float())[:, None, None, :] * -1e4
    hidden = []
    for layer in range(2):
        p = f"encoder.layer.{layer}"
        asked = x if layer == 0 or whole else x[:, :1]
        split = lambda t: t.view(len(t), -1, 2, 64).transpose(1, 2)
        q, k, v = (split(linear(t, f"{p}.attention.self.{n}")) for t, n in ((asked, "query"), (x, "key"), (x, "value")))
        mixed = torch.softmax(q @ k.transpose(-1, -2) / 8 + away, -1) @ v
        mixed = mixed.transpose(1, 2).reshape(len(x), -1, 128)
        x = norm(linear(mixed, f"{p}.attention.output.dense") + asked, f"{p}.attention.output.LayerNorm")
        x = norm(x + linear(F.gelu(linear(x, f"{p}.intermediate.dense")), f"{p}.output.dense"), f"{p}.output.LayerNorm")
        hidden.append(x)
    return linear(torch.tanh(linear(x[:, 0], "pooler.dense")), "classifier"), hidden
