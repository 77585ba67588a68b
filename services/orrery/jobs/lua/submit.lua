-- A repeated submission (a client that lost the answer) finds the job there and changes nothing.
local job, model, workflow, request, notes, result, tasks = unpack(ARGV)
local row, plan = key('job', job), plan_of(job)
if redis.call('EXISTS', row) == 1 then return snapshot(job) end

local rows, ids = cjson.decode(tasks), {}
redis.call('HSET', row, 'id', job, 'model', model, 'workflow', workflow, 'request', request, 'notes', notes,
  'state', 'queued', 'created_at', now())
redis.call('ZADD', key('jobs'), redis.call('INCR', key('sequence')), job)
for i, task in ipairs(rows) do
  ids[i] = task.id
  redis.call('HSET', row_of(job, task.id), 'id', task.id, 'stage', task.stage, 'pool', task.pool,
    'state', 'waiting', 'attempt', 0)
  for _, name in ipairs({'spec', 'needs', 'left', 'followers', 'promised'}) do
    redis.call('HSET', plan, name .. ':' .. task.id, task[name])
  end
end
redis.call('HSET', plan, 'tasks', cjson.encode(ids), 'result', result, 'remaining', #ids)
emit(job, 'job.queued', '{}')
for _, task in ipairs(rows) do
  if task.left == 0 then enqueue(job, task.id) end
end
return snapshot(job)
