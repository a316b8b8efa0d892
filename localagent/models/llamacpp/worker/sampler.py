"""Choosing the next token, with llama.cpp's samplers.

`c` is the module llama_cpp, as a parameter: only `worker.llama` imports it.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy

from localagent.models.base import Request
from localagent.models.llamacpp.worker.interface import RequestFailed

MARGIN = 1.5
"""How much the best token's logit must exceed the next one's to stay the best in a step of another
size. Measured on Qwen2.5-Coder-1.5B Q4_K_M, whose logits differ by at most 0.75 between
steps of 1 and 2 to 16 rows: the activations are rounded to 8 bits, which magnifies differences in
the order of additions."""


NEAR = 16.0
"""Logits so far below the best one do not change a probability: all 150,000 tokens of a vocabulary
together would have a fiftieth of the best one's weight at this distance."""


def logits_of(c: Any, context: int, vocabulary: int, row: int) -> Any:
    """The logits of a row of the last step. Raises RequestFailed."""
    pointer = c.llama_get_logits_ith(context, row)
    if not pointer:
        raise RequestFailed("backend", "llama.cpp computed no logits")
    return numpy.ctypeslib.as_array(pointer, (vocabulary,))


def likeliest(logits: Any, count: int) -> list[tuple[int, float]]:
    """The `count` likeliest tokens with their probabilities, the likeliest first."""
    best = logits.max()
    near = numpy.flatnonzero(logits > best - NEAR)
    weights = numpy.exp(logits[near] - best)
    order = numpy.argsort(-weights)[:count]
    shares = weights[order] / weights.sum()
    return list(zip(near[order].tolist(), shares.tolist(), strict=True))


class GreedySampler:
    """Chooses the likeliest token from the logits, without a list of all candidates."""

    def __init__(self, c: Any, context: int, vocabulary: int) -> None:
        self._c, self._context, self._size = c, context, vocabulary

    def sample(self, row: int) -> int:
        """The likeliest token by the logits of a row."""
        return int(self._logits(row).argmax())

    def start_grammar(self) -> None:
        """Nothing to start: there is no grammar."""

    def is_sure(self, row: int) -> bool:
        """Whether no other token is close."""
        logits = self._logits(row)
        best = float(logits.max())
        return int(numpy.count_nonzero(logits > best - MARGIN)) == 1

    def _logits(self, row: int) -> Any:
        return logits_of(self._c, self._context, self._size, row)

    def close(self) -> None:
        """Nothing to free."""


_PENALIZED = 256  # tokens of the reply that count as present


class ChainSampler:
    """Chooses tokens as a request says: greedy, or top-k, top-p, min-p, temperature and a seed.

    With a grammar, it chooses a token freely first and checks it. Only if the grammar refuses the
    token, it checks the whole vocabulary and chooses again. The check of 150,000 tokens takes
    longer than a small model's step, and most free choices fit. llama.cpp's programs do the same.
    """

    def __init__(self, c: Any, context: int, vocab: int, request: Request) -> None:
        self._c, self._context = c, context
        self._free = _chain(c, vocab, request)
        self._bound = self._grammar = None
        self._binds = not (request.think or request.trigger)
        if request.grammar is not None:
            self._grammar = c.llama_sampler_init_grammar(
                vocab, request.grammar.encode("utf-8", "replace"), b"root"
            )
            if not self._grammar:
                c.llama_sampler_free(self._free)
                raise RequestFailed("backend", "the grammar is not valid GBNF with a rule `root`")
            self._bound = _chain(c, vocab, request, self._grammar)
        self._choice = (c.llama_token_data * 1)()
        self._choices = c.llama_token_data_array(data=self._choice, size=1)

    def sample(self, row: int) -> int:
        """A token, by the logits of a row of the last step."""
        token: int = self._c.llama_sampler_sample(self._free, self._context, row)
        if self._grammar is None or not self._binds:
            return token
        if self._allowed(token):
            self._c.llama_sampler_accept(self._bound, token)
            return token
        token = int(self._c.llama_sampler_sample(self._bound, self._context, row))
        self._c.llama_sampler_accept(self._free, token)
        return token

    def start_grammar(self) -> None:
        """See `TokenSampler.start_grammar`."""
        self._binds = True

    def is_sure(self, row: int) -> bool:  # noqa: ARG002 - as the protocol has it
        """Never: a drawn token depends on all of the logits."""
        return False

    def _allowed(self, token: int) -> bool:
        self._choice[0].id = token
        self._choice[0].logit = 1.0
        self._choices.selected = -1
        self._choices.sorted = False
        self._c.llama_sampler_apply(self._grammar, ctypes.byref(self._choices))
        return bool(self._choice[0].logit == 1.0)

    def close(self) -> None:
        """Free the sampler; a chain of samplers frees its parts, too."""
        self._c.llama_sampler_free(self._free)
        if self._bound is not None:
            self._c.llama_sampler_free(self._bound)


def _chain(c: Any, vocab: int, request: Request, grammar: int | None = None) -> int:
    parameters = c.llama_sampler_chain_default_params()
    parameters.no_perf = True
    chain: int = c.llama_sampler_chain_init(parameters)
    parts = [] if grammar is None else [grammar]
    if request.penalizes:
        penalties = (request.repeat_penalty, 0.0, request.presence_penalty)
        size = c.llama_vocab_n_tokens(vocab)
        parts.append(c.llama_sampler_init_penalties(size, _PENALIZED, *penalties))
    if request.temperature == 0:
        parts.append(c.llama_sampler_init_greedy())
    else:
        parts += [
            c.llama_sampler_init_top_k(request.top_k),
            c.llama_sampler_init_top_p(request.top_p, 1),
            c.llama_sampler_init_min_p(request.min_p, 1),
            c.llama_sampler_init_temp(request.temperature),
            c.llama_sampler_init_dist(request.seed),
        ]
    for part in parts:
        c.llama_sampler_chain_add(chain, part)
    return chain
