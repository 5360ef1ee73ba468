"""A text to learn, made by a generator with a fixed seed: words with a spelling, sentences with a grammar.

Of the 64 symbols 0 is the space, 1 the full stop, and 62 are letters. The generator first draws its language:

* **spelling**: each letter has FOLLOWERS letters that may come after it; a lexicon of WORDS different words of 2 to 6
  letters is drawn from that chain, so letters and pairs of letters are far from equally frequent;
* **grammar**: each word has SUCCESSORS words that may come after it, the r-th of them with a probability in proportion
  to 1 / r. After a word the sentence ends with probability END, in ``. `` in place of the space, and the next begins
  with one of the successors of the full stop.

So there is something to learn at every distance: which symbols there are, which letter follows a letter (1 back), how
a word goes on (up to 5 back), and which word follows a word (up to 12 back). What is left is chance, and the generator
knows how much: `Text.nats`, the mean surprise of a symbol to one who knows the language. No loss can stay below it.
"""

from dataclasses import dataclass

import numpy as np

VOCABULARY = 64
SPACE, STOP, FIRST_LETTER = 0, 1, 2
WORDS, FOLLOWERS, SUCCESSORS = 200, 5, 6
LENGTHS = (2, 6)  # of a word, letters
END = 0.15  # of a sentence, after a word
SEED = 17


@dataclass(frozen=True)
class Text:
    """A text.

    Attributes
    ----------
    symbols : ndarray
        (S,), int64, from 0 to 63.
    lexicon : list of tuple of int
        The words that it is made of, without space and stop.
    nats : float
        Mean of -log(probability) of a symbol, by the generator: the loss of one who knows the language.
    """

    symbols: np.ndarray
    lexicon: list
    nats: float


def make(length, seed=SEED):
    """A text of so many symbols; the same seed, the same text, and a longer one begins with the shorter."""
    rng = np.random.default_rng(seed)
    lexicon = draw_lexicon(rng)
    # A row for each word and one for the start of a sentence; of each row the words that may come next.
    successors = np.stack([rng.choice(WORDS, SUCCESSORS, replace=False) for _ in range(WORDS + 1)])
    chances = 1 / np.arange(1, SUCCESSORS + 1)
    chances /= chances.sum()
    most = length // (LENGTHS[0] + 1) + 1  # words, at most: a word and its space have so many symbols at least
    of_words, of_ends = rng.spawn(2)  # so a longer text begins with the shorter one
    ranks = of_words.choice(SUCCESSORS, most, p=chances)
    ends = of_ends.random(most) < END
    symbols, surprise, last, at = [], 0.0, WORDS, 0
    while len(symbols) < length:
        word = int(successors[last, ranks[at]])
        symbols += lexicon[word]
        symbols += [STOP, SPACE] if ends[at] else [SPACE]
        surprise -= np.log(chances[ranks[at]]) + np.log(END if ends[at] else 1 - END)
        last = WORDS if ends[at] else word
        at += 1
    return Text(np.array(symbols[:length], np.int64), lexicon, float(surprise / len(symbols)))


def draw_lexicon(rng):
    """So many different words, lists of symbols. One may be the beginning of another: a space or a stop ends a word."""
    letters = VOCABULARY - FIRST_LETTER
    followers = np.stack([rng.choice(letters, FOLLOWERS, replace=False) for _ in range(letters)])
    words = {}
    while len(words) < WORDS:
        word = [int(rng.integers(letters))]
        for _ in range(int(rng.integers(LENGTHS[0], LENGTHS[1] + 1)) - 1):
            word.append(int(followers[word[-1], rng.integers(FOLLOWERS)]))
        words[tuple(FIRST_LETTER + letter for letter in word)] = True
    return list(words)


def batches(text, count, T, N, seed=SEED):
    """So many batches (T + 1, N) of windows of the text: the first T rows are inputs, the last T what comes next."""
    rng = np.random.default_rng([seed, T, N])
    starts = rng.integers(0, len(text.symbols) - T, (count, N))
    return text.symbols[starts[:, None, :] + np.arange(T + 1)[None, :, None]]
