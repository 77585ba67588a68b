-- The one way back from an end, and so beside the tables of moves.
local job = ARGV[1]
if redis.call('ZREM', key('dead'), job) == 0 then return snapshot(job) end
local plan, row, ready = plan_of(job), key('job', job), {}
redis.call('ZREM', key('expiring'), job)
redis.call('HSET', row, 'state', 'queued')
redis.call('HDEL', row, 'error', 'started_at', 'finished_at', 'expires_at')
local _, tenant = whose(job)
for _, task in ipairs(tasks_of(job)) do
  local record = row_of(job, task)
  if get(record, 'state') ~= 'done' then
    redis.call('HSET', record, 'state', 'waiting', 'attempt', 0)
    redis.call('HDEL', record, 'worker', 'started_at', 'finished_at')
    redis.call('HDEL', plan, 'token:' .. task)
    count_backlog(get(record, 'pool'), tenant, 1)
    if number(plan, 'left:' .. task) == 0 then table.insert(ready, task) end
  end
end
emit(job, 'job.queued', '{"requeued":true}')
for _, task in ipairs(ready) do enqueue(job, task) end
return snapshot(job)
