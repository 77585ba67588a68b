local job, task, worker, token, step, of, data = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if row then
  redis.call('HSET', row, 'step', step, 'num_steps', of)
  count_steps(job, task, row, tonumber(step), true)
  emit(job, 'job.progress', data)
end
return answer
