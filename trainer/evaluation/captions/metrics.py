"""Metrics of captions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU

from trainer.evaluation.intervals import proportion
from trainer.evaluation.slices import SMALL
from trainer.input.vocabulary import words_of

_MAX_LOSS = 700.0  # Nats: the exponential of more is no float.

References = Sequence[Sequence[str]]


@dataclass(frozen=True)
class TokenSums:
    """Sums over the tokens of captions, each predicted from the true tokens before it.

    Tokens are the words and <end> of a caption. A word out of the vocabulary counts as the token <unknown>.

    Attributes:
        tokens: number of tokens.
        right: number of those to which the model gives the highest probability.
        negative_log_likelihood: sum of -log(probability of the token), natural logarithm; finite.
    """

    tokens: int = 0
    right: int = 0
    negative_log_likelihood: float = 0.0

    def __add__(self, more: TokenSums) -> TokenSums:
        return TokenSums(
            self.tokens + more.tokens,
            self.right + more.right,
            self.negative_log_likelihood + more.negative_log_likelihood,
        )

    def metrics(self) -> dict[str, float]:
        """``loss`` (nats a token), ``perplexity`` (its exponential) and ``token_accuracy``."""
        loss = self.negative_log_likelihood / self.tokens
        perplexity = math.exp(min(loss, _MAX_LOSS))
        return {"loss": loss, "perplexity": perplexity, "token_accuracy": self.right / self.tokens}


class _AtSpaces:
    """The tokenizer that `rouge_score` is given."""

    def tokenize(self, text: str) -> list[str]:
        return words_of(text)


def rouge_l(predicted: Iterable[str], references: Iterable[Sequence[str]]) -> npt.NDArray[np.float64]:
    """ROUGE-L F1 of captions (n,), of each with the reference that gives the highest, float64 (n,).

    C.-Y. Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004; computed by `rouge_score`. It is
    1 for an exact match only, and 0 for an empty caption.
    """
    from rouge_score.rouge_scorer import RougeScorer  # Here, because its import of NLTK takes a second.

    scorer = RougeScorer(["rougeL"], tokenizer=_AtSpaces())
    scores = [
        scorer.score_multi(texts, caption)["rougeL"].fmeasure
        for caption, texts in zip(predicted, references, strict=True)
    ]
    return np.array(scores, np.float64)


def exact_matches(predicted: Iterable[str], references: Iterable[Sequence[str]]) -> npt.NDArray[np.bool_]:
    """Whether each caption equals one of its references, bool (n,)."""
    return np.array([caption in texts for caption, texts in zip(predicted, references, strict=True)], bool)


def bleu_4(predicted: Sequence[str], references: References) -> float:
    """BLEU-4 of all captions together, from 0 to 100, with any number of references each.

    Papineni et al., ACL 2002; computed by `sacrebleu` without a tokenizer, with its smoothing of counts of 0
    ("exp"). It is 0 if no caption has four words.
    """
    streams = [list(stream) for stream in zip_longest(*references)]
    # `force` leaves out a warning about captions that end in " .".
    score = float(BLEU(tokenize="none", force=True).corpus_score(list(predicted), streams).score)
    return min(score, 100.0)  # Rounding makes 100.00000000000004 of perfect captions.


def text_metrics(
    predicted: Sequence[str],
    references: References,
    exact: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Metrics of captions beside references.

    Args:
        predicted: captions (n,), n at least 1.
        references: at least one for each.
        exact: as `exact_matches` gives them.
        scores: as `rouge_l` gives them.

    Returns:
        ``exact_match`` with ``exact_match_interval`` (Wilson), ``bleu_4`` and ``rouge_l``, the mean.
    """
    share, interval = proportion(int(exact.sum()), len(exact))
    return {
        "exact_match": share,
        "exact_match_interval": interval,
        "bleu_4": bleu_4(predicted, references),
        "rouge_l": math.fsum(scores) / len(scores),
    }


def variety(predicted: Sequence[str]) -> dict[str, Any]:
    """How many different captions there are, and the share of the most common one."""
    counts = Counter(predicted)
    return {
        "distinct_captions": len(counts),
        "distinct_captions_share": len(counts) / len(predicted),
        "most_common_caption_share": max(counts.values()) / len(predicted),
    }


def by_position(predicted: Sequence[str], references: References, max_words: int) -> list[dict[str, Any]]:
    """The part ``by_position``: of the k-th words of first references, the share that captions have there.

    Args:
        predicted: captions (n,).
        references: at least one for each; only the first counts.
        max_words: number of positions; words of references behind them are left out.

    Returns:
        A row for each position. It counts the references that have a word there; intervals are Wilson's.
    """
    counts, correct = np.zeros(max_words, np.int64), np.zeros(max_words, np.int64)
    for caption, texts in zip(predicted, references, strict=True):
        wanted = words_of(texts[0])[:max_words]
        counts[: len(wanted)] += 1
        for place, (word, found) in enumerate(zip(wanted, words_of(caption), strict=False)):
            correct[place] += word == found
    rows = []
    for place, (right, count) in enumerate(zip(correct.tolist(), counts.tolist(), strict=True)):
        accuracy, interval = proportion(right, count)
        row = {"accuracy": accuracy, "accuracy_interval": interval, "num_sequences": count}
        rows.append({"position": place + 1, **row})
    return rows


def slice_row(exact: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The row of a group in the part ``slices``: of exact matches (k,) and ROUGE-L (k,), k from 0."""
    share, interval = proportion(int(exact.sum()), len(exact))
    return {
        "num_sequences": len(exact),
        "exact_match": share,
        "exact_match_interval": interval,
        "rouge_l": math.fsum(scores) / len(scores) if len(scores) else None,
        "is_small": len(exact) < SMALL,
    }


def shuffled_places(count: int) -> npt.NDArray[np.int64] | None:
    """Of each sequence, the place of the one whose references it is judged by instead, int64 (n,).

    A permutation without fixed points: one cycle through all, drawn from a fixed seed. None for one sequence.
    """
    if count < 2:
        return None
    order = np.random.Generator(np.random.Philox(0)).permutation(count)
    places = np.empty(count, np.int64)
    places[order] = np.roll(order, -1)
    return places
