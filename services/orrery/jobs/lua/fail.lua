local job, task, worker, token, failure, retry, attempts, exhausted = unpack(ARGV)
local answer, row, pool = standing(job, task, worker, token)
if not row then return answer end
if retry == '1' and number(row, 'attempt') < tonumber(attempts) then
  enqueue(job, task)
  count('retries', pool)
  redis.call('HDEL', plan_of(job), 'token:' .. task)
elseif retry == '1' then
  redis.call('ZADD', key('dead'), now(), job)
  count('dead_letters', pool)
  end_task(job, task, 'failed')
  end_job(job, 'failed', exhausted)
else
  end_task(job, task, 'failed')
  end_for_good(job, 'failed', failure)
end
return 'owned'
