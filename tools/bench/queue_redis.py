# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The queue of make bench-queue: lists in redis, by which no job gets lost, whoever dies.

A job is moved (BLMOVE) from the list of its pool into the list of who takes it, and removed from there when it is done. What
lies in the list of somebody who is not connected any more is handed out again. A plain BRPOP would lose what a killed worker
had popped, for each tool alike: then the tools would be measured by the queue's fault.
"""
import os
import subprocess
import time
import uuid

import redis

TAKEN = "taken:"


class Server:
    """A redis of our own: on a socket in our folder, in memory only."""

    def __init__(self, folder):
        self.socket = os.path.join(folder, "redis.sock")
        with open(os.path.join(folder, "redis.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
                 "--dir", folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"redis-server does not start: {folder}/redis.log")
            time.sleep(0.05)

    def answers(self):
        try:
            return redis.Redis(unix_socket_path=self.socket).ping()
        except redis.exceptions.ConnectionError:
            return False

    def empty(self):
        redis.Redis(unix_socket_path=self.socket).flushall()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Queue:
    """A worker's connection. Not for two threads."""

    def __init__(self, socket, name=None):
        self.name = name or uuid.uuid4().hex
        self.redis = redis.Redis(unix_socket_path=socket, decode_responses=True, single_connection_client=True,
                                 client_name=self.name)

    def put(self, pool, text):
        self.redis.lpush(pool, text)

    def take(self, pool, timeout):
        """The oldest job, or None."""
        return self.redis.blmove(pool, TAKEN + self.name, timeout, "RIGHT", "LEFT")

    def done(self):
        self.redis.delete(TAKEN + self.name)

    def put_back(self, pool):
        """As the next to be taken."""
        self.redis.lmove(TAKEN + self.name, pool, "LEFT", "RIGHT")

    def hand_out_again(self, pool_of):
        """What those had taken who are gone. Returns how many."""
        here = {client["name"] for client in self.redis.client_list()}
        n = 0
        for key in self.redis.scan_iter(TAKEN + "*", count=1000):
            if key[len(TAKEN):] not in here:
                for text in self.redis.lrange(key, 0, -1):
                    with self.redis.pipeline() as step:  # all or nothing
                        step.lrem(key, 1, text).rpush(pool_of(text), text).execute()
                    n += 1
        return n

    def left(self, pools):
        """Texts of all jobs that wait or are taken."""
        keys = [*pools, *self.redis.scan_iter(TAKEN + "*", count=1000)]
        return [text for key in keys for text in self.redis.lrange(key, 0, -1)]
