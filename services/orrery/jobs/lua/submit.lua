-- A repeated submission (a client that lost the answer) finds the job there and changes nothing.
-- Gives {'new', its place, when it came, and of each task that is queued its id and since when}
-- or {'there', its place, the record}; the place is -1 if nobody asks for it.
-- Gives {'full', pool, tasks too many, seconds per task, workers} or {'conflict', job} where the job may not be.
local job, model, workflow, request, notes, tenant, class, retention, most_of_pool, most_of_tenant,
  digest, body, remembered, placed, trace, tasks = unpack(ARGV, 1, 16)
local FIELDS = 17 -- of the plan, from here on in ARGV

local function place_if_asked(job) return placed == '1' and position_of(job) or -1 end
local function there(job) return {'there', place_if_asked(job), snapshot(job)} end

local row, plan = key('job', job), plan_of(job)
if redis.call('EXISTS', row) == 1 then return there(job) end

local name = key('idempotency', digest)
if digest ~= '' then
  local known = redis.call('HMGET', name, 'body', 'job')
  if known[1] then
    local same = known[1] == body and redis.call('EXISTS', key('job', known[2])) == 1
    return same and there(known[2]) or {'conflict', known[2]}
  end
end

local rows, more = cjson.decode(tasks), {}
for _, task in ipairs(rows) do
  local pool = task[3]
  more[pool] = (more[pool] or 0) + 1
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
for _, task in ipairs(rows) do
  local pool = task[3]
  local held = number(key('backlog'), pool)
  excess = math.max(excess, held + more[pool] - tonumber(most_of_pool))
  if held > longest then fullest, longest = pool, held end
end
if excess > 0 then
  withdraw_silent()
  return {'full', fullest, excess, redis.call('HGET', key('pace'), fullest) or '', workers_of(fullest)}
end

if digest ~= '' then
  redis.call('HSET', name, 'body', body, 'job', job)
  redis.call('EXPIRE', name, remembered)
end
local created = now()
redis.call('HSET', row, 'id', job, 'model', model, 'workflow', workflow, 'request', request, 'notes', notes,
  'tenant', tenant, 'priority', class, 'state', 'queued', 'created_at', created)
if trace ~= '' then redis.call('HSET', row, 'trace', trace) end
local number = redis.call('INCR', key('sequence'))
for _, index in ipairs({key('jobs'), key('jobs', tenant)}) do redis.call('ZADD', index, number, job) end
redis.call('HSET', plan, 'retention', retention, unpack(ARGV, FIELDS))
for _, task in ipairs(rows) do
  local id, stage, pool = unpack(task)
  redis.call('HSET', row_of(job, id), 'id', id, 'stage', stage, 'pool', pool, 'state', 'waiting', 'attempt', 0)
end
for pool, n in pairs(more) do add(key('backlog'), pool, n) end
add(key('burden'), tenant, #rows)
emit(job, 'job.queued', '{}')
local queued = {}
for _, task in ipairs(rows) do
  local id, left = task[1], task[4]
  if left == 0 then
    enqueue(job, id)
    table.insert(queued, id)
    table.insert(queued, get(row_of(job, id), 'queued_at'))
  end
end
return {'new', place_if_asked(job), created, unpack(queued)}
