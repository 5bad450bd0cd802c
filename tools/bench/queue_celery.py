# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The same jobs as tasks of Celery, with its own queues in the same redis. Started by queue_tools.py.

As its documentation advises for tasks that may be run again: acknowledged late, and handed out again when a worker process is
lost; long tasks: one at a time is fetched.
"""
import os

import celery
from queue_jobs import Log
from queue_worker import do

app = celery.Celery("queue_celery", broker="redis+socket://" + os.environ["BENCH_SOCKET"])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1,
                task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="bench.job")
def job(pool, text):
    do(pool, text, os.environ["BENCH_LISTS"], Log(os.environ["BENCH_LOG"]))
