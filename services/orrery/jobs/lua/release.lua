-- The task keeps its place: its entry, put under nobody's name with a lease that ran out long ago, goes before all new ones.
-- The empty entry is there to wake one of the workers that wait for a new one.
local job, task, worker, token = unpack(ARGV)
local answer, row, stream, entry = standing(job, task, worker, token)
if answer ~= 'owned' then return answer end
move_task(job, task, 'queued')
redis.call('HINCRBY', row, 'attempt', -1)
redis.call('HSET', row, 'queued_at', now())
redis.call('HDEL', row, 'worker', 'started_at')
redis.call('HDEL', plan_of(job), 'token:' .. task)
redis.call('XCLAIM', stream, GROUP, NOBODY, 0, entry, 'TIME', 0, 'JUSTID')
redis.call('XADD', stream, '*', 'job', '', 'task', '')
return answer
