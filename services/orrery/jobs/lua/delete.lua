local job = ARGV[1]
if not cancel(job) then return false end
local last = snapshot(job)
for _, task in ipairs(cjson.decode(redis.call('HGET', plan_of(job), 'tasks'))) do
  redis.call('DEL', row_of(job, task))
end
redis.call('DEL', key('job', job), plan_of(job), key('job', job, 'events'))
redis.call('ZREM', key('jobs'), job)
return last
