local job, task, worker, token, failure, retry, attempts = unpack(ARGV)
local answer, row, stream, entry = standing(job, task, worker, token)
if answer ~= 'owned' then return answer end
if retry == '1' and tonumber(redis.call('HGET', row, 'attempt')) < tonumber(attempts) then
  redis.call('HDEL', plan_of(job), 'token:' .. task)
  settle(stream, entry)
  enqueue(job, task)
else
  fail_task(job, task, failure)
end
return answer
