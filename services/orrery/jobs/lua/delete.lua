local job = ARGV[1]
if not cancel(job) then return false end
local last = snapshot(job)
redis.call('ZREM', key('jobs', get(key('job', job), 'tenant')), job)
for _, task in ipairs(tasks_of(job)) do redis.call('DEL', row_of(job, task)) end
redis.call('DEL', key('job', job), plan_of(job), key('job', job, 'events'))
for _, index in ipairs({'jobs', 'expiring', 'dead'}) do redis.call('ZREM', key(index), job) end
return last
