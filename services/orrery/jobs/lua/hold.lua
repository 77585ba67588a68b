-- Tasks through their states: queued, held under a lease, ended.

local function leave_hands(job, task, row, pool)
  local member = member_of(job, task)
  redis.call('ZREM', key('held', pool), member)
  no_longer_yields(member, get(row, 'stage'))
  redis.call('HINCRBY', key('running'), pool, -1)
  add(key('busy'), get(row, 'worker') .. ' ' .. get(row, 'stage'), -1)
  local token = get(plan_of(job), 'token:' .. task)
  if token then redis.call('HDEL', key('tokens'), token) end
end

local function whose(job)
  local head = redis.call('HMGET', key('job', job), 'priority', 'tenant')
  return head[1], head[2]
end

-- Tasks that were not started: what the bounds of the store are about.
local function count_backlog(pool, tenant, by)
  add(key('backlog'), pool, by)
  add(key('burden'), tenant, by)
end

local BACKLOG = {waiting = true, queued = true}

-- Takes a task out of the state it is in, whatever that is.
local function move_task(job, task, state)
  local row = row_of(job, task)
  local pool = get(row, 'pool')
  local class, tenant = whose(job)
  local old = move(TASK_MOVES, row, state)
  if old == 'running' then leave_hands(job, task, row, pool) end
  if old == 'queued' then take_from_line(pool, class, tenant, member_of(job, task)) end
  local change = (BACKLOG[state] and 1 or 0) - (BACKLOG[old] and 1 or 0)
  if change ~= 0 then count_backlog(pool, tenant, change) end
  return row, pool, class, tenant
end

local function stand_in_line(job, task, ticket)
  local row, pool, class, tenant = move_task(job, task, 'queued')
  redis.call('HSET', plan_of(job), 'ticket:' .. task, ticket)
  redis.call('HSET', row, 'queued_at', now())
  redis.call('HDEL', row, 'worker', 'started_at')
  put_in_line(pool, class, tenant, member_of(job, task), ticket)
  if class == CLASSES[1] then preempt(pool, get(row, 'stage')) end
end

local function enqueue(job, task) stand_in_line(job, task, redis.call('INCR', key('tickets'))) end

-- By its old ticket the task is the first of its tenant again.
local function hand_back(job, task)
  local plan = plan_of(job)
  stand_in_line(job, task, get(plan, 'ticket:' .. task))
  redis.call('HDEL', plan, 'token:' .. task)
end

local function forget_checkpoint(job, task)
  redis.call('HDEL', plan_of(job), 'checkpoint:' .. task)
  redis.call('HDEL', row_of(job, task), 'checkpoint_step')
end

local function end_task(job, task, state)
  local row, pool, class, tenant = move_task(job, task, state)
  redis.call('HSET', row, 'finished_at', now())
  return row, pool, class, tenant
end

-- Ends what is not yet ended of a job's tasks. True if somebody was at work on one.
local function drop_tasks(job)
  local interrupted = false
  for _, task in ipairs(tasks_of(job)) do
    local state = get(row_of(job, task), 'state')
    if next(TASK_MOVES[state]) then
      end_task(job, task, 'cancelled')
      interrupted = interrupted or state == 'running'
    end
  end
  return interrupted
end

local function end_job(job, state, failure)
  local row = key('job', job)
  local interrupted = drop_tasks(job)
  move(JOB_MOVES, row, state)
  redis.call('DEL', key('job', job, 'preview'))
  redis.call('HDEL', row, 'preview')
  local expires = later(get(plan_of(job), 'retention'))
  redis.call('HSET', row, 'finished_at', now(), 'expires_at', expires)
  redis.call('ZADD', key('expiring'), expires, job)
  if failure then redis.call('HSET', row, 'error', failure) end
  if interrupted or state == 'cancelled' then signal('cancel', job) end
  emit(job, 'job.' .. state, failure and '{"error":' .. failure .. '}' or '{}')
end

-- What is left of a job that cannot be taken up again needs no checkpoints.
local function end_for_good(job, state, failure)
  for _, task in ipairs(tasks_of(job)) do forget_checkpoint(job, task) end
  end_job(job, state, failure)
end

-- Ends the job unless it has ended. False if there is no such job.
local function cancel(job)
  local state = get(key('job', job), 'state')
  if state and next(JOB_MOVES[state]) then end_for_good(job, 'cancelled') end
  return state
end

-- What a worker's claim is still worth. A deleted job was cancelled first, so its workers are told just that.
-- Gives the standing and, to the owner, the task's row and pool.
local function standing(job, task, worker, token)
  local row = row_of(job, task)
  local state, holder, pool = unpack(redis.call('HMGET', row, 'state', 'worker', 'pool'))
  if not state then return 'cancelled' end
  if get(plan_of(job), 'token:' .. task) ~= token then return 'lost' end
  if state == 'cancelled' then return 'cancelled' end
  if state ~= 'running' or holder ~= worker then return 'lost' end
  local preempted = redis.call('HEXISTS', key('yielding'), member_of(job, task)) == 1
  return preempted and 'preempted' or 'owned', row, pool
end

-- A step that a checkpoint or an attempt went back to counts again when it is done again.
local function count_steps(job, task, row, step, reset)
  local plan, field = plan_of(job), 'at:' .. task
  local at = number(plan, field)
  if step > at then redis.call('HINCRBY', row, 'steps_run', step - at) end
  if step > at or reset then redis.call('HSET', plan, field, step) end
end

local function resolved(job, task)
  local found = {}
  for _, need in ipairs(cjson.decode(get(plan_of(job), 'needs:' .. task))) do
    table.insert(found, need)
    table.insert(found, get(row_of(job, need), 'outputs'))
  end
  return found
end

-- What a claim is made of.
local function claimed(job, task)
  local plan, row = plan_of(job), row_of(job, task)
  local checkpoint = get(plan, 'checkpoint:' .. task) or ''
  local spec, attempt, step = get(plan, 'spec:' .. task), number(row, 'attempt'), number(row, 'checkpoint_step')
  local waited, trace = get(plan, 'waited:' .. task), get(key('job', job), 'trace') or ''
  return cjson.encode({job, spec, attempt, resolved(job, task), checkpoint, step, waited, trace})
end

-- `asked` are the pools of the claim, in JSON.
local function run(job, task, worker, token, lease, asked)
  local known = redis.call('HMGET', row_of(job, task), 'state', 'queued_at')
  local waited = known[1] == 'queued' and string.format('%.6f', tonumber(now()) - tonumber(known[2])) or ''
  local row, pool, class = move_task(job, task, 'running')
  local plan, member = plan_of(job), member_of(job, task)
  redis.call('HINCRBY', row, 'attempt', 1)
  redis.call('HSET', row, 'worker', worker, 'started_at', now())
  redis.call('HSET', plan, 'token:' .. task, token, 'asked:' .. task, asked,
    'waited:' .. task, waited, 'at:' .. task, number(row, 'checkpoint_step'))
  redis.call('HSET', key('tokens'), token, member)
  redis.call('ZADD', key('held', pool), later(lease), member)
  redis.call('HINCRBY', key('running'), pool, 1)
  add(key('busy'), worker .. ' ' .. get(row, 'stage'), 1)
  local times = number(row, 'preemptions')
  if class == CLASSES[#CLASSES] and times < MOST_PREEMPTIONS then
    redis.call('ZADD', key('preemptable', get(row, 'stage')), times, member)
  end
  if get(key('job', job), 'state') == 'queued' then
    move(JOB_MOVES, key('job', job), 'in_progress')
    redis.call('HSET', key('job', job), 'started_at', now())
    emit(job, 'job.in_progress', '{}')
  end
  return claimed(job, task)
end

-- Forgets workers that went silent.
local function withdraw(worker)
  redis.call('HDEL', key('serves'), worker)
  redis.call('ZREM', key('workers'), worker)
end

local function withdraw_silent()
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('workers'), '-inf', now())) do withdraw(worker) end
end
