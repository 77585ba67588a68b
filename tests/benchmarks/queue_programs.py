"""One program for each queue that is measured, both producer and worker of it: see `queue.py`."""

from __future__ import annotations

PACKAGES = ("taskiq-redis", "streaq", "celery[redis]")

COMMON = """
import asyncio, json, sys, time
from redis import Redis
mode, url, count, pause = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
done, first, marks = 0, None, Redis.from_url(url)
def begun():
    global first
    first = first or time.perf_counter()
def mark(n):
    if pause: marks.rpush("done", n)
def ended():
    global done
    done += 1
    if done == count and not pause:
        print("\\nSECONDS", time.perf_counter() - first, flush=True)
        import os; os._exit(0)
async def at_once(call):
    numbers, start = iter(range(count)), time.perf_counter()
    async def some():
        for n in numbers: await call(n)
    await asyncio.gather(*(some() for _ in range(16)))
    print("\\nSECONDS", time.perf_counter() - start, flush=True)
"""

SOURCES = {
    "orrery": """
from jobs.setting import completion, submission
from orrery.jobs.redis import RedisJobs
jobs = RedisJobs.connect(url, lease=2.0, max_waiting_per_pool=10**7, max_waiting_per_tenant=10**7)
async def hold():
    while True:
        claim = await jobs.claim(["encode"], "worker", wait=2)
        if claim is None: continue
        begun()
        if pause: await asyncio.sleep(pause)
        mark(int(claim.job_id))
        await jobs.complete(claim, completion(claim))
        ended()
async def work(): await asyncio.gather(*(hold() for _ in range(16)))
asyncio.run(work() if mode == "work" else at_once(lambda n: jobs.submit(submission(str(n)))))
""",
    "taskiq-redis": """
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker
broker = RedisStreamBroker(url, idle_timeout=2000, consumer_id="0")
@broker.task(task_name="noop")
async def noop(n):
    begun()
    if pause: await asyncio.sleep(pause)
    mark(n)
    ended()
async def main():
    if mode == "work": broker.is_worker_process = True
    await broker.startup()
    if mode == "work":
        await run_receiver_task(broker, max_async_tasks=16, ack_time=AcknowledgeType.WHEN_EXECUTED)
    else:
        await at_once(noop.kiq)
asyncio.run(main())
""",
    "streaq": """
from streaq import Worker
worker = Worker(redis_url=url, concurrency=16, idle_timeout=2, handle_signals=False)
@worker.task
async def noop(n: int) -> None:
    begun()
    if pause: await asyncio.sleep(pause)
    mark(n)
    ended()
async def main():
    if mode == "work":
        await worker.run_async()
    else:
        async with worker:
            async def put(n): await noop.enqueue(n)
            await at_once(put)
asyncio.run(main())
""",
    "celery": """
from celery import Celery
app = Celery(broker=url)
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=1,
                task_reject_on_worker_lost=True, worker_redirect_stdouts=False,
                broker_transport_options={"visibility_timeout": 2})
@app.task(name="noop")
def noop(n):
    begun()
    if pause: time.sleep(pause)
    mark(n)
    ended()
if mode == "work":
    app.Worker(pool="threads", concurrency=16, loglevel="ERROR").start()
else:
    start = time.perf_counter()
    for n in range(count): noop.delay(n)
    print("\\nSECONDS", time.perf_counter() - start)
""",
}
