local job, task, worker, token, failure, retry, attempts = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if not row then return answer end
if retry == '1' and number(row, 'attempt') < tonumber(attempts) then
  enqueue(job, task)
  redis.call('HDEL', plan_of(job), 'token:' .. task)
else
  end_task(job, task, 'failed')
  end_for_good(job, 'failed', failure)
end
return 'owned'
