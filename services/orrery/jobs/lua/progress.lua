local job, task, worker, token, step, of, data = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if row then
  redis.call('HSET', row, 'step', step, 'num_steps', of)
  count_steps(job, task, row, tonumber(step), true)
  if redis.call('HDEL', key('job', job, 'preview'), 'untold') == 1 then
    data = string.sub(data, 1, -2) .. ',"preview":' .. get(key('job', job), 'preview') .. '}'
  end
  emit(job, 'job.progress', data)
end
return answer
