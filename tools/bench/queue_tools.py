# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""How each tool keeps the eight workers of make bench-queue, within the container, with the same limit per worker.

A Tool is started, given jobs, looked after once a tick, asked what is left, and stopped.
"""
import http.client
import json
import os
import shutil
import socket
import sys
import threading
import time
from importlib.util import find_spec

from field import HERE, MIB, PYTHON, Ebbd, Keeper, read, write
from queue_jobs import POOLS
from queue_redis import Queue

LIMIT_MIB = 128  # per worker, between jobs
BUDGET_MIB = 640  # all workers: 25 GB / 40
START_S = 60


def wait_for(condition, what):
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench-queue: {what}")
        time.sleep(0.05)


class Nothing(Keeper):
    """Plain workers, started again when they end: by whom does not matter. Nobody looks at their memory."""

    title = "nothing done"
    note = "nothing done: a plain keeper starts a worker again when it has ended; nobody looks at memory"
    needs = ()

    def __init__(self, folder, container, args, redis_socket):
        super().__init__(folder, container)
        self.args, self.socket, self.log = args, redis_socket, os.path.join(folder, "jobs.log")
        self.queue = Queue(redis_socket)

    def worker(self, pool):
        return [PYTHON, "-B", os.path.join(HERE, "queue_worker.py"), pool, self.socket, self.args.lists, self.log]

    def keeper(self):
        return [PYTHON, os.path.join(HERE, "queue_keeper.py"), *self.worker("%POOL%")]

    def start(self):
        self.run("keeper", self.keeper())
        self.wait_for_workers()

    def wait_for_workers(self):
        n = sum(POOLS.values()) + 1  # and this connection
        wait_for(lambda: len(self.queue.redis.client_list()) >= n, f"{self.title}: the workers do not come")

    def put(self, job):
        self.queue.put(job.pool, f"{job.name} {job.text}")

    def tick(self):
        self.queue.hand_out_again(lambda text: text.split("-")[0])

    def left(self):
        """How many jobs wait, or are taken and not done."""
        return len(self.queue.left(POOLS))

    def stop(self):
        super().stop()
        self.queue.redis.close()


class Ebb(Nothing):
    title = "ebb"
    note = (f"ebb: footprint_limit = {LIMIT_MIB}M, memory_budget = {BUDGET_MIB}M, min_lifetime = 1s, pressure_source and "
            "reserve are the container's; all else as it comes")

    def start(self):
        self.ebbd = Ebbd(self.folder, self.container, self.args.bin)
        self.ebbd.configure({pool: {"command": self.worker(pool), "size": size, "footprint_limit": f"{LIMIT_MIB}M",
                                    "min_lifetime": "1s"} for pool, size in POOLS.items()}, memory_budget=f"{BUDGET_MIB}M")
        self.ebbd.start()
        self.wait_for_workers()

    def stop(self):
        self.ebbd.stop()
        super().stop()


class Supervisord(Nothing):
    title = "supervisord"
    note = (f"supervisord: restarts who holds more than {LIMIT_MIB} MiB of RSS, as superlance's memmon does, but looks each 5 s "
            "rather than 60; a worker does nothing on SIGTERM but end, as scripts do")
    needs = ("supervisord",)

    def configuration(self):
        place = self.place
        lines = ["[supervisord]", "nodaemon = true", "user = root", f"logfile = {place('supervisord-events.log')}",
                 f"childlogdir = {self.folder}",
                 f"pidfile = {place('supervisord.pid')}", "[unix_http_server]", f"file = {place('supervisord.sock')}",
                 "[rpcinterface:supervisor]",
                 "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
                 "[eventlistener:memmon]", f"command = {PYTHON} {HERE}/queue_memmon.py {LIMIT_MIB * MIB}",
                 f"stderr_logfile = {place('memmon.log')}", "events = TICK_5"]
        for pool, size in POOLS.items():
            lines += [f"[program:{pool}]", f"command = {' '.join(self.worker(pool))}", f"numprocs = {size}",
                      "process_name = %(process_num)s", "autorestart = true",
                      f"stderr_logfile = {place(pool + '.log')}", "stdout_logfile = NONE"]
        return "\n".join(lines) + "\n"

    def start(self):
        write(self.place("supervisord.conf"), self.configuration())
        self.run("supervisord", ["supervisord", "-c", self.place("supervisord.conf")])
        self.wait_for_workers()


class Pm2(Nothing):
    title = "pm2"
    note = (f"pm2: max_memory_restart = {LIMIT_MIB}M, but it looks each 5 s rather than 30; all else as it comes: SIGINT, and "
            "SIGKILL 1.6 s later")
    needs = ("pm2-runtime",)

    def start(self):
        worker = {pool: self.worker(pool) for pool in POOLS}
        apps = [{"name": pool, "interpreter": words[0], "interpreter_args": words[1], "script": words[2], "args": words[3:],
                 "instances": POOLS[pool], "exec_mode": "fork", "max_memory_restart": f"{LIMIT_MIB}M"}
                for pool, words in worker.items()]
        write(self.place("pm2.json"), json.dumps({"apps": apps}))
        self.run("pm2", [program("pm2-runtime"), "start", self.place("pm2.json")], PM2_HOME=self.place("pm2"),
                 PM2_WORKER_INTERVAL="5000", PM2_DISABLE_VERSION_CHECK="true")
        self.wait_for_workers()


class Earlyoom(Nothing):
    title = "earlyoom"
    note = ("earlyoom: -m 10 -s 100 (SIGTERM when 10 % of the memory is left, SIGKILL at 5 %, whatever swap there is); it is "
            "shown the container's /proc/meminfo, as by lxcfs, since it knows no cgroups; over a plain keeper")
    needs = ("earlyoom", "unshare")

    def start(self):
        self.meminfo = self.place("meminfo")
        self.show(self.container.samples[-1])
        self.container.watchers.append(self.show)
        # A process namespace of its own, so that it cannot take anybody else on this machine for the largest.
        script = 'mount --bind "$0" /proc/meminfo && { earlyoom -m 10 -s 100 -r 0 & exec "$@"; }'
        self.run("earlyoom", ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c", script,
                              self.meminfo, *self.keeper()])
        self.wait_for_workers()

    def show(self, sample):
        """In place, so that whoever has it open reads the new figures; of the same length each time."""
        limit = self.container.limit_bytes
        own = {"MemTotal": limit, "MemFree": limit - sample.resident, "MemAvailable": limit - sample.resident,
               "AnonPages": sample.resident}
        lines = []
        for line in read("/proc/meminfo").splitlines():
            key = line.split(":")[0]
            kib = own[key] >> 10 if key in own else int(line.split()[1])
            lines.append(f"{key + ':':<16}{max(0, kib):>12} kB\n")
        with open(self.meminfo, "r+b" if os.path.exists(self.meminfo) else "wb") as file:
            file.write("".join(lines).encode())


class Uwsgi(Nothing):
    """Its workers answer requests: each slot here takes a job, posts it, and says that it is done."""

    title, option = "uwsgi", "reload-on-rss"
    note = (f"uwsgi: jobs are posted to its workers, as queues are connected to web workers; reload-on-rss = {LIMIT_MIB} looks "
            "after each request, evil-reload-on-rss kills as soon as the master sees it")
    needs = ("uwsgi",)

    def __init__(self, *given):
        super().__init__(*given)
        self.ended, self.slots = threading.Event(), []

    def start(self):
        for pool, size in POOLS.items():
            self.run(f"uwsgi-{pool}", [
                "uwsgi", "--plugin", "python3", "--master", "--processes", str(size), "--http-socket", self.place(pool),
                "--wsgi-file", os.path.join(HERE, "queue_uwsgi.py"), "--pythonpath", HERE, "--lazy-apps", "--need-app",
                "--die-on-term", "--disable-logging", "--" + self.option, str(LIMIT_MIB)],
                BENCH_LOG=self.log, BENCH_LISTS=self.args.lists, PYTHONDONTWRITEBYTECODE="1")
        for pool, size in POOLS.items():
            wait_for(lambda pool=pool: read(self.place(f"uwsgi-{pool}.log")).count("WSGI app 0") >= POOLS[pool],
                     f"{self.title}: the workers do not come")
            self.slots += [threading.Thread(target=self.slot, args=(pool,), daemon=True) for _ in range(size)]
        for slot in self.slots:
            slot.start()

    def slot(self, pool):
        queue = Queue(self.socket)
        while not self.ended.is_set():
            text = queue.take(pool, timeout=1)
            if text and self.post(pool, text):
                queue.done()
            elif text:
                queue.put_back(pool)

    def post(self, pool, text):
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.place(pool))
            connection.request("POST", "/" + pool, text)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self):
        self.ended.set()
        super().stop()
        for slot in self.slots:
            slot.join(5)


class EvilUwsgi(Uwsgi):
    title, option, note = "uwsgi evil", "evil-reload-on-rss", None


class Celery(Nothing):
    title = "celery"
    note = (f"celery: worker_max_memory_per_child = {LIMIT_MIB} MiB, acknowledged late, prefetch 1, -O fair; one parent with its "
            "children per job type; the jobs are its tasks")
    needs = ("python3-celery",)

    def start(self):
        environ = {"BENCH_SOCKET": self.socket, "BENCH_LOG": self.log, "BENCH_LISTS": self.args.lists,
                   "PYTHONPATH": HERE, "PYTHONDONTWRITEBYTECODE": "1"}
        os.environ.update(environ)
        sys.path.insert(1, HERE)
        import queue_celery  # noqa: PLC0415 # only now is it known where its broker is

        self.app = queue_celery.app
        for pool, size in POOLS.items():
            self.run(f"celery-{pool}", [
                PYTHON, "-m", "celery", "-A", "queue_celery", "worker", "-Q", pool, "-c", str(size), "-n", f"{pool}@bench",
                "-O", "fair", "--max-memory-per-child", str(LIMIT_MIB << 10), "--without-gossip", "--without-mingle",
                "--loglevel", "info"], **environ)
        for pool in POOLS:
            wait_for(lambda pool=pool: " ready." in read(self.place(f"celery-{pool}.log")),
                     "celery: the workers do not come")

    def put(self, job):
        self.app.send_task("bench.job", (job.pool, f"{job.name} {job.text}"), queue=job.pool)

    def tick(self):
        pass

    def left(self):
        return sum(self.queue.redis.llen(pool) for pool in POOLS) + self.queue.redis.hlen("unacked")


TOOLS = Nothing, Ebb, Celery, Uwsgi, EvilUwsgi, Supervisord, Pm2, Earlyoom
PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.join(  # where setup.sh puts what Debian has not
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ebb/pm2/node_modules/.bin")])


def program(name):
    return shutil.which(name, path=PLACES)


def missing(tool):
    """Why it cannot run here, or None."""
    absent = [need for need in tool.needs
              if not (find_spec(need[8:]) if need.startswith("python3-") else program(need))]
    return f"no {' and no '.join(absent)} (tools/setup.sh --bench)" if absent else None
