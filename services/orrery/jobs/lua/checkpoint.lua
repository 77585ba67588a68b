local job, task, worker, token, ref, step = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if row then
  redis.call('HSET', plan_of(job), 'checkpoint:' .. task, ref)
  redis.call('HSET', row, 'checkpoint_step', step)
  count_steps(job, task, row, tonumber(step), false)
end
return answer
