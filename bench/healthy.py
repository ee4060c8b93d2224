"""Logs of healthy runs, made up in the forms of the supported frameworks; the same every time.

They are full of words that frighten a grep: retries that succeed, counters of zero, settings,
advice, names of files and tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

#: One progress line in three, as training logs have them.
PROGRESS = {
    "megatron": " [2026-01-02 03:{m:02d}:{s:02d}] iteration {i:8d}/  500000 | consumed samples:"
    " {c:12d} | elapsed time per iteration (ms): {t}.3 | learning rate: 1.500000E-04 | global batch"
    " size:  1024 | lm loss: 2.{r}E+00 | loss scale: 1.0 | grad norm: 0.{r} | number of skipped"
    " iterations:   0 | number of nan iterations:   0 |",
    "deepspeed": "[2026-01-02 03:{m:02d}:{s:02d},123] [INFO] [logging.py:96:log_dist] [Rank 0]"
    " step={i}, skipped=0, lr=[0.00015], mom=[(0.9, 0.95)]",
    "torchtitan": "[rank0]:2026-01-02 03:{m:02d}:{s:02d},123 - root - INFO - step: {i:5d}  loss:"
    "  2.{r}  grad_norm:  0.{r}  memory: 61.{g}GiB(77.12%)  tps: 7,{r}  mfu: 51.{r}%",
    "trainer": "{{'loss': 2.{r}, 'grad_norm': 0.{r}, 'learning_rate': 1.5e-05, 'epoch': 0.{r}}}",
    "lightning": "Epoch 3:  {p:2d}%|####      | {i}/50000 [{m:02d}:{s:02d}<1:02:03,"
    "  3.{r}it/s, v_num=7, train_loss=2.{r}]",
    "tqdm": " {p:2d}%|###7      | {i}/100000 [{m:02d}:{s:02d}<05:06,  5.{r}it/s]",
    "gromacs": "           Step           Time\n        {i}      {c}.00000",
    "lammps": "Step Temp E_pair Press\n    {i}    300.{r}   -4.{r}    0.{r}",
}

TALK = {
    "megatron": (
        "time (ms) | forward-backward: {t}.1 | optimizer: 33.{r} | data-loader: 0.{r}",
        "saving checkpoint at iteration {i} to /lustre/run7/ckpt in torch_dist format",
        "  successfully saved checkpoint at iteration {i} to /lustre/run7/ckpt",
        "[Rank {n}] (after {i} iterations) memory (MB) | allocated: 34512.{r} | reserved: 70112.0",
    ),
    "nccl": (
        "node{n:03d}:{c}:{c} [{g}] NCCL INFO Channel 0{g}/0 : {g}[{g}] -> 1[1] via P2P/CUMEM/read",
        "node{n:03d}:{c}:{c} [{g}] NCCL INFO comm 0x7f{r} rank {n} nranks 512 - Init COMPLETE",
        "node{n:03d}:{c}:{c} [{g}] NCCL INFO NCCL_IB_TIMEOUT set by environment to 22.",
    ),
    "python": (
        "INFO:root:retrying after connection reset by peer (attempt 1 of 5)",
        "INFO:root:reconnected after 1 retry, error count 0",
        "/usr/lib/python3/site-packages/x.py:1{r}: UserWarning: this may lead to failure",
        "DEBUG tests/test_failover.py::test_fatal_error_is_reported PASSED",
        "torch.distributed: TORCH_NCCL_ASYNC_ERROR_HANDLING=1, timeout=1800s",
        "For debugging consider passing CUDA_LAUNCH_BLOCKING=1.",
        "error_rate=0.000, failed=0, killed=0, aborted=0",
    ),
    "data": (
        "loading shard /data/segfault_dataset/part-{i:05d}.parquet (attempt 0)",
        "tokenised 100000 documents in {t} s, 0 errors",
        "generated: the kernel panicked, and the process was killed by the fault of error {r}",
    ),
    "system": (
        "EDAC MC0: 0 CE 0 UE on any memory",
        "gpu {g}: ECC errors: 0 corrected, 0 uncorrected",
        "mlx5_0: link up, port 1, 0 symbol errors",
    ),
}


def lines(count: int, seed: int = 1) -> Iterator[str]:
    """Lines of all frameworks mixed, every third of them progress."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    steps, talk = list(PROGRESS.values()), [line for some in TALK.values() for line in some]
    for number in range(count):
        form = steps[number // 3 % len(steps)] if number % 3 == 0 else chance.choice(talk)
        yield form.format(
            i=number,
            c=number * 1024,
            m=number // 60 % 60,
            s=number % 60,
            t=1000 + number % 500,
            r=chance.randrange(100, 999),
            g=number % 8,
            n=number % 512,
            p=number % 100,
        )


def chunk(size: int, seed: int = 1) -> bytes:
    """About ``size`` bytes of such lines."""
    return ("\n".join(lines(size // 110, seed)) + "\n").encode()
