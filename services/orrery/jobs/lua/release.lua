-- The task keeps its place.
local job, task, worker, token = unpack(ARGV)
local answer, row, stream, entry = standing(job, task, worker, token)
if answer ~= 'owned' then return answer end
move_task(job, task, 'queued')
redis.call('HINCRBY', row, 'attempt', -1)
redis.call('HSET', row, 'queued_at', now())
redis.call('HDEL', row, 'worker', 'started_at')
redis.call('HDEL', plan_of(job), 'token:' .. task)
hand_back(stream, entry)
return answer
