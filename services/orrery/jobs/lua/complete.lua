-- Gives the standing and, when the plan reads an output that is not there, that output's name; then nothing is written.
local job, task, worker, token, outputs, memo, seconds = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if answer ~= 'owned' then return {answer} end

local plan, made = plan_of(job), cjson.decode(outputs)
for _, name in ipairs(cjson.decode(redis.call('HGET', plan, 'promised:' .. task))) do
  if not made[name] then return {answer, name} end
end
redis.call('HSET', row, 'outputs', outputs, 'memo', memo, 'stage_seconds', seconds)
end_task(job, task, 'done')
for _, follower in ipairs(cjson.decode(redis.call('HGET', plan, 'followers:' .. task))) do
  if redis.call('HINCRBY', plan, 'left:' .. follower, -1) == 0 then enqueue(job, follower) end
end
if redis.call('HINCRBY', plan, 'remaining', -1) == 0 then end_job(job, 'completed') end
return {answer}
