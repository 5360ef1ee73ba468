"""The grapheme-to-phoneme model of the package g2p_en: its checkpoint, its own equations in NumPy, and cgru's.

A GRU encoder reads the letters, a GRU decoder spells phonemes until it says </s>: 256 hidden units each, PyTorch's
form (gates r, z, n; reset after). The package itself is not imported: it downloads corpora when it is.
"""

import importlib.metadata
from pathlib import Path

import numpy as np

import cgru

GRAPHEMES = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
START, END, MOST = 2, 3, 20


def _phonemes():
    """The decoder's 74 symbols in the order of its embedding: alphabetical, vowels with stress 0, 1, 2."""
    vowels = ["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"]
    consonants = ["CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH", *"BDFGKLMNPRSTVWYZ"]
    stressed = [vowel + stress for vowel in vowels for stress in "012"]
    return ["<pad>", "<unk>", "<s>", "</s>", *sorted([*stressed, *consonants, "UW"])]


PHONEMES = _phonemes()


def data_file(name):
    """The path of a file of the installed package, or None."""
    try:
        files = importlib.metadata.files("g2p_en") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(file.locate()) for file in files if file.name == name]
    return found[0] if found and found[0].is_file() else None


def checkpoint():
    """The weights by name: enc_emb (29, 256), enc_w_ih (768, 256), ..., dec_emb (74, 256), ..., fc_w (74, 256)."""
    with np.load(data_file("checkpoint20.npz"), allow_pickle=False) as file:
        return dict(file)


def letters(word):
    """Indices of the letters and of </s>."""
    return [GRAPHEMES.index(letter) if letter in GRAPHEMES else 1 for letter in [*word, "</s>"]]


class NumPyModel:
    """The package's own equations, in float32, as its `predict` computes them."""

    def __init__(self, weights):
        self.weights = weights

    def _cell(self, kind, x, h):
        w = self.weights
        rzn_ih = np.matmul(x, w[f"{kind}_w_ih"].T) + w[f"{kind}_b_ih"]
        rzn_hh = np.matmul(h, w[f"{kind}_w_hh"].T) + w[f"{kind}_b_hh"]
        H = h.shape[-1]
        r, z = np.split(1 / (1 + np.exp(-(rzn_ih[:, : 2 * H] + rzn_hh[:, : 2 * H]))), 2, -1)
        n = np.tanh(rzn_ih[:, 2 * H :] + r * rzn_hh[:, 2 * H :])
        return (1 - z) * n + z * h

    def __call__(self, word):
        w = self.weights
        h = np.zeros((1, w["enc_w_hh"].shape[1]), np.float32)
        for letter in letters(word):
            h = self._cell("enc", w["enc_emb"][[letter]], h)
        spelt, symbol = [], START
        for _ in range(MOST):
            h = self._cell("dec", w["dec_emb"][[symbol]], h)
            symbol = int((np.matmul(h, w["fc_w"].T) + w["fc_b"]).argmax())
            if symbol == END:
                break
            spelt.append(PHONEMES[symbol])
        return spelt


class CgruModel:
    """The same with cgru: the word in one call to the encoder, then a stream of the decoder.

    `weight_dtype` is that of the matrices of both GRUs; embeddings and the output layer stay float32.
    """

    def __init__(self, weights, weight_dtype="float32"):
        self.enc_emb, self.dec_emb, self.fc_w, self.fc_b = (
            weights[name] for name in ("enc_emb", "dec_emb", "fc_w", "fc_b")
        )
        self.encoder, self.decoder = (_gru(weights, kind, weight_dtype) for kind in ("enc", "dec"))

    def encode(self, word):
        """The encoder's state (1, 256) after a word."""
        return self.encoder(self.enc_emb[letters(word)])[1]

    def encode_by_steps(self, word):
        """The same, letter by letter."""
        h = None
        for letter in letters(word):
            _, h = self.encoder(self.enc_emb[[letter]], h)
        return h

    def __call__(self, word):
        stream = self.decoder.stream(hx=self.encode(word))
        spelt, symbol = [], START
        for _ in range(MOST):
            h = stream.step(self.dec_emb[symbol])
            symbol = int((self.fc_w @ h + self.fc_b).argmax())
            if symbol == END:
                break
            spelt.append(PHONEMES[symbol])
        return spelt


def _gru(weights, kind, weight_dtype):
    names = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
    model = cgru.GRU.from_state_dict({name: weights[f"{kind}_{short}"] for short, name in names.items()})
    return model if weight_dtype == "float32" else model.quantize(weight_dtype)


def words(count):
    """`count` different words: the package's homographs, then new words made of their parts."""
    lines = data_file("homographs.en").read_text(encoding="utf-8").splitlines()
    heads = [line.split("|")[0].lower() for line in lines if "|" in line and not line.startswith("#")]
    found = dict.fromkeys(heads)
    rng = np.random.default_rng(19)
    while len(found) < count:
        first, second = rng.choice(heads, 2)
        word = first[: rng.integers(2, 6)] + second[-rng.integers(2, 6) :]
        if word.isalpha() and word.isascii():
            found[word] = None
    return list(found)[:count]
