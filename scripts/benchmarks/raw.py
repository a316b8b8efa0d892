"""llama.cpp by itself, to compare with: `python raw.py MODEL JOB` prints its times as JSON.

All times are in seconds.

Each job is a process that uses the low-level functions only: no worker, no pipe, no slots.
`JOB` is JSON: window, batch, threads, extra_bufts, flash, prompt (tokens), write (tokens), streams.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

import llama_cpp as c


def main(path: str, job: dict) -> None:
    """Read a prompt once, then decode greedily in as many streams as the job names."""
    quiet = c.llama_log_callback(lambda *_: None)
    c.llama_log_set(quiet, ctypes.c_void_p(0))
    c.llama_backend_init()
    began = time.perf_counter()
    model_parameters = c.llama_model_default_params()
    model_parameters.use_extra_bufts = job["extra_bufts"]
    model = c.llama_model_load_from_file(path.encode(), model_parameters)
    parameters = c.llama_context_default_params()
    parameters.n_ctx = job["window"]
    parameters.n_batch = parameters.n_ubatch = job["batch"]
    parameters.n_threads = parameters.n_threads_batch = job["threads"]
    parameters.n_seq_max = job["streams"]
    parameters.kv_unified = True
    parameters.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_AUTO if job["flash"] else 0
    parameters.no_perf = True
    context = c.llama_init_from_model(model, parameters)
    times = {"load": time.perf_counter() - began}
    rows = c.llama_batch_init(job["batch"], 0, 1)

    def decode(tokens: list[tuple[int, int, int, bool]]) -> None:
        for place, (token, position, seq, wanted) in enumerate(tokens):
            rows.token[place], rows.pos[place] = token, position
            rows.n_seq_id[place], rows.seq_id[place][0] = 1, seq
            rows.logits[place] = wanted
        rows.n_tokens = len(tokens)
        if c.llama_decode(context, rows):
            raise SystemExit("llama_decode failed")

    prompt, streams = job["prompt"], job["streams"]
    began = time.perf_counter()
    for start in range(0, len(prompt) - 1, job["batch"]):
        end = min(start + job["batch"], len(prompt) - 1)
        decode([(prompt[n], n, 0, False) for n in range(start, end)])
    times["prefill"] = time.perf_counter() - began
    memory = c.llama_get_memory(context)
    for seq in range(1, streams):
        c.llama_memory_seq_cp(memory, 0, seq, 0, len(prompt) - 1)
    sampler = c.llama_sampler_init_greedy()
    tokens = [prompt[-1]] * streams
    began = time.perf_counter()
    for step in range(job["write"]):
        position = len(prompt) - 1 + step
        decode([(token, position, seq, True) for seq, token in enumerate(tokens)])
        tokens = [c.llama_sampler_sample(sampler, context, n) for n in range(streams)]
    times["decode"] = time.perf_counter() - began
    print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
