# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The same jobs as requests to uWSGI: uwsgi reloads those of its workers by size that answer requests; mules and spoolers it
does not. Started by queue_tools.py, which posts the jobs.
"""
import os

from queue_jobs import Log
from queue_worker import do

LOG = Log(os.environ["BENCH_LOG"])


def application(environ, start_response):
    text = environ["wsgi.input"].read().decode()
    do(environ["PATH_INFO"].strip("/"), text, os.environ["BENCH_LISTS"], LOG)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
