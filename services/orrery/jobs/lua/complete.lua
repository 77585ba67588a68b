-- Gives the standing and, when the plan reads an output that is not there, that output's name; then nothing is written.
local job, task, worker, token, outputs, memo, seconds = unpack(ARGV)
local answer, row = standing(job, task, worker, token)
if not row then return {answer} end

local plan, made = plan_of(job), cjson.decode(outputs)
for _, name in ipairs(cjson.decode(get(plan, 'promised:' .. task))) do
  if not made[name] then return {'owned', name} end
end
redis.call('HSET', row, 'outputs', outputs, 'memo', memo, 'stage_seconds', seconds)
forget_checkpoint(job, task)
local _, pool, class, tenant = end_task(job, task, 'done')
redis.call('HINCRBY', key('served'), pool, 1)
local held = tonumber(get(row, 'finished_at')) - tonumber(get(row, 'started_at'))
average(key('pace'), pool, held, PACE_SMOOTHING)
charge(cjson.decode(get(plan, 'asked:' .. task)), pool, class, tenant, tonumber(seconds))
for _, follower in ipairs(cjson.decode(get(plan, 'followers:' .. task))) do
  if redis.call('HINCRBY', plan, 'left:' .. follower, -1) == 0 then enqueue(job, follower) end
end
if redis.call('HINCRBY', plan, 'remaining', -1) == 0 then end_for_good(job, 'completed') end
return {'owned'}
