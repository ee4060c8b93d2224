"""A long history, made in the database itself."""

from __future__ import annotations


def history(attempts: int) -> str:
    """SQL for MariaDB: ``attempts`` of half as many jobs, each with evidence and a decision.

    Of 50 users, ``u0`` has most of the jobs and ``u49`` the fewest, long ago. One cause in 5,000
    is ``xid``.
    """
    jobs, begin = attempts // 2, "'2026-01-01' + INTERVAL seq MINUTE"
    return f"""
INSERT INTO jobs SELECT seq, 'c', seq, seq, {begin}, {begin}, 'train',
  IF(seq < 20, 'u49', IF(seq % 3, 'u0', CONCAT('u', seq % 49))), 1000, CONCAT('p', seq % 20),
  '{{"APS": {{"auto_resume_mode": "requeue"}}}}', 1, '', 0, 0,
  IF(seq % 997, 'COMPLETED', 'RUNNING'), '', seq % 100 <> 0, {begin}, 0 FROM seq_1_to_{jobs};
INSERT INTO attempts SELECT seq, (seq + 1) DIV 2, (seq + 1) % 2,
  IF(seq % 1999, 'FAILED', 'BOOT_FAIL'), CONCAT('n[', seq % 60 + 1, '-', seq % 60 + 4, ']'),
  {begin}, {begin} + INTERVAL 5 MINUTE, 1, 0, '', NULL, 4, 64, 8 FROM seq_1_to_{attempts};
INSERT INTO anomalies SELECT seq, seq, 'r', IF(seq % 7, 'CRASH', 'OOM'),
  IF(seq % 5000, 'segfault', 'xid'), 'root', 'requeue', '/home/u/train.out', seq, 7,
  'Rank0: segmentation fault', '["before"]', '["after"]',
  CONCAT('{{"node": "n', seq % 60 + 1, '", "rank": "0"}}'), {begin}, seq, NULL
  FROM seq_1_to_{attempts};
INSERT INTO decisions SELECT seq, seq, seq, 'requeue', 'requeue', 'CRASH segfault: requeue', '',
  IF(seq % 1999, 'converged', 'open'), 'recovered', '', NULL, {begin}, {begin}, 0, 0, 0, 0,
  'segfault' FROM seq_1_to_{attempts};
INSERT INTO actions SELECT seq, seq, 'requeue_hold', seq, 't', 'done', 1, '', {begin}, NULL, NULL,
  0 FROM seq_1_to_{attempts};
INSERT INTO events SELECT seq, {begin}, IF(seq % 10, (seq + 1) DIV 2, NULL), 0,
  IF(seq % 1999, 'decision', 'reload'), 'requeue' FROM seq_1_to_{attempts};
INSERT INTO log_positions SELECT seq, seq, '/home/u/train.out', seq, 0, 0, 0, 0, 't', NULL, NULL,
  NULL, {begin}, NULL, NULL, NULL FROM seq_1_to_{attempts};
INSERT INTO requests SELECT seq, seq, 'requeue', 'u0', 'r', IF(seq % 1999, 'done', 'open'), '',
  {begin}, NULL FROM seq_1_to_{jobs};
INSERT INTO node_suspicions SELECT seq, seq, CONCAT('n', seq % 600), 'HARDWARE', 'xid', 1, {begin},
  '', NULL FROM seq_1_to_{attempts};
INSERT INTO job_efficiency_records SELECT seq, seq, 'c', (seq + 1) DIV 2, 'train', 'u0', 'p1', 0,
  'FAILED', 'CRASH', 'segfault', 'recovered', 1, 4, 8, {begin}, NULL, {begin}, NULL, NULL,
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, {begin} FROM seq_1_to_{attempts};
ANALYZE TABLE jobs, attempts, anomalies, decisions, actions, events, node_suspicions,
  log_positions, requests, job_efficiency_records;
"""  # noqa: S608 -- numbers alone
