local job, task, worker, token, step, of, data = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if answer == 'owned' then
  redis.call('HSET', row, 'step', step, 'num_steps', of)
  emit(job, 'job.progress', data)
end
return answer
