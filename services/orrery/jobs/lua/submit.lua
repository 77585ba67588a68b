-- A repeated submission (a client that lost the answer) finds the job there and changes nothing.
-- Gives {'ok', the record, its place if that is asked for, else -1}.
-- Gives {'full', pool, tasks too many, seconds per task, workers} or {'conflict', job} where the job may not be.
local job, model, workflow, request, notes, result, tasks, tenant, class, retention, most_of_pool, most_of_tenant,
  digest, body, remembered, placed, trace = unpack(ARGV)

local function answer(job) return {'ok', snapshot(job), placed == '1' and position_of(job) or -1} end

local row, plan = key('job', job), plan_of(job)
if redis.call('EXISTS', row) == 1 then return answer(job) end

local name = key('idempotency', digest)
if digest ~= '' then
  local known = redis.call('HMGET', name, 'body', 'job')
  if known[1] then
    local there = known[1] == body and redis.call('EXISTS', key('job', known[2])) == 1
    return there and answer(known[2]) or {'conflict', known[2]}
  end
end

local rows, ids, more = cjson.decode(tasks), {}, {}
for i, task in ipairs(rows) do
  ids[i] = task.id
  more[task.pool] = (more[task.pool] or 0) + 1
end

local function workers_of(pool)
  local found = 0
  for _, pools in ipairs(redis.call('HVALS', key('serves'))) do
    for _, served in ipairs(cjson.decode(pools)) do
      if served == pool then found = found + 1 end
    end
  end
  return found
end

local excess, fullest, longest = number(key('burden'), tenant) + #rows - tonumber(most_of_tenant), nil, -1
for i, task in ipairs(rows) do
  local held = number(key('backlog'), task.pool)
  excess = math.max(excess, held + more[task.pool] - tonumber(most_of_pool))
  if held > longest then fullest, longest = task.pool, held end
end
if excess > 0 then
  withdraw_silent()
  return {'full', fullest, excess, redis.call('HGET', key('pace'), fullest) or '', workers_of(fullest)}
end

if digest ~= '' then
  redis.call('HSET', name, 'body', body, 'job', job)
  redis.call('EXPIRE', name, remembered)
end
redis.call('HSET', row, 'id', job, 'model', model, 'workflow', workflow, 'request', request, 'notes', notes,
  'tenant', tenant, 'priority', class, 'state', 'queued', 'created_at', now())
if trace ~= '' then redis.call('HSET', row, 'trace', trace) end
local number = redis.call('INCR', key('sequence'))
for _, index in ipairs({key('jobs'), key('jobs', tenant)}) do redis.call('ZADD', index, number, job) end
local fields = {'tasks', cjson.encode(ids), 'result', result, 'remaining', #ids, 'retention', retention}
for _, task in ipairs(rows) do
  redis.call('HSET', row_of(job, task.id), 'id', task.id, 'stage', task.stage, 'pool', task.pool,
    'state', 'waiting', 'attempt', 0)
  for _, field in ipairs({'spec', 'needs', 'left', 'followers', 'promised'}) do
    table.insert(fields, field .. ':' .. task.id)
    table.insert(fields, task[field])
  end
  count_backlog(task.pool, tenant, 1)
end
redis.call('HSET', plan, unpack(fields))
emit(job, 'job.queued', '{}')
for _, task in ipairs(rows) do
  if task.left == 0 then enqueue(job, task.id) end
end
return answer(job)
