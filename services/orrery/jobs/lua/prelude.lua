-- Stands before every script, after the constants that scripts.py derives from the Python side.
--
--   job:<id>             hash    the record
--   job:<id>:plan        hash    tasks, result, remaining; per task spec, needs, left, followers, promised, entry, token
--   job:<id>:task:<id>   hash    the task's record
--   job:<id>:events      stream  the job's share of `events`, under the same ids
--   jobs                 zset    ids by order of submission
--   pool:<pool>          stream  one entry per queued or running task
--   waiting, running     hash    number of tasks per pool
--   workers, serves      zset, hash    when a worker goes silent, and its pools
--   events, cancellations, sequence

local root = KEYS[1] -- the hash tag: every key lies in its slot

local function key(...)
  return table.concat({root, ...}, ':')
end

local function plan_of(job) return key('job', job, 'plan') end
local function row_of(job, task) return key('job', job, 'task', task) end

local function now()
  local time = redis.call('TIME')
  return string.format('%d.%06d', time[1], time[2])
end

local function emit(job, kind, data)
  local fields = {'job', job, 'type', kind, 'at', now(), 'data', data}
  local id = redis.call('XADD', key('events'), 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(fields))
  redis.call('XADD', key('job', job, 'events'), 'MAXLEN', '~', JOB_EVENTS_KEPT, id, unpack(fields))
end

local function move(moves, row, state)
  local old = redis.call('HGET', row, 'state')
  if not moves[old][state] then error(row .. ' may not go from ' .. old .. ' to ' .. state) end
  redis.call('HSET', row, 'state', state)
  return old
end

local COUNTERS = {queued = 'waiting', running = 'running'}

local function count(pool, state, by)
  if COUNTERS[state] then redis.call('HINCRBY', key(COUNTERS[state]), pool, by) end
end

local function move_task(job, task, state)
  local row = row_of(job, task)
  local pool = redis.call('HGET', row, 'pool')
  local old = move(TASK_MOVES, row, state)
  count(pool, old, -1)
  count(pool, state, 1)
  return row, pool, old
end

-- The stream of a pool. It never exists without its group, because it is made nowhere else.
local function open(pool)
  local stream = key('pool', pool)
  if redis.call('EXISTS', stream) == 0 then
    redis.call('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
  end
  return stream
end

local function last_delivered(stream)
  local group = redis.call('XINFO', 'GROUPS', stream)[1]
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then return group[i + 1] end
  end
end

-- Entries are never deleted singly (that would spoil the group's lag): what lies before the oldest one still held is cut.
local function settle(stream, entry)
  redis.call('XACK', stream, GROUP, entry)
  local oldest = redis.call('XPENDING', stream, GROUP, '-', '+', 1)[1]
  redis.call('XTRIM', stream, 'MINID', '~', oldest and oldest[1] or last_delivered(stream))
end

local function enqueue(job, task)
  local row, pool = move_task(job, task, 'queued')
  local entry = redis.call('XADD', open(pool), '*', 'job', job, 'task', task)
  redis.call('HSET', plan_of(job), 'entry:' .. task, entry)
  redis.call('HSET', row, 'queued_at', now())
  redis.call('HDEL', row, 'worker', 'started_at')
end

local function settle_task(job, task, pool)
  local entry = redis.call('HGET', plan_of(job), 'entry:' .. task)
  if not entry then return end
  redis.call('HDEL', plan_of(job), 'entry:' .. task)
  settle(open(pool), entry)
end

local function end_task(job, task, state)
  local row, pool, old = move_task(job, task, state)
  redis.call('HSET', row, 'finished_at', now())
  settle_task(job, task, pool)
  return old
end

-- Ends what is not yet ended of a job's tasks. True if somebody was at work on one.
local function drop_tasks(job)
  local interrupted = false
  for _, task in ipairs(cjson.decode(redis.call('HGET', plan_of(job), 'tasks'))) do
    local state = redis.call('HGET', row_of(job, task), 'state')
    if next(TASK_MOVES[state]) then
      interrupted = end_task(job, task, 'cancelled') == 'running' or interrupted
    end
  end
  return interrupted
end

local function end_job(job, state, failure)
  local row = key('job', job)
  local interrupted = drop_tasks(job)
  move(JOB_MOVES, row, state)
  redis.call('HSET', row, 'finished_at', now())
  if failure then redis.call('HSET', row, 'error', failure) end
  if interrupted or state == 'cancelled' then
    redis.call('XADD', key('cancellations'), 'MAXLEN', '~', CANCELLATIONS_KEPT, '*', 'job', job)
  end
  emit(job, 'job.' .. state, failure and '{"error":' .. failure .. '}' or '{}')
end

-- Ends the job unless it has ended. False if there is no such job.
local function cancel(job)
  local state = redis.call('HGET', key('job', job), 'state')
  if state and next(JOB_MOVES[state]) then end_job(job, 'cancelled') end
  return state
end

local function fail_task(job, task, failure)
  end_task(job, task, 'failed')
  end_job(job, 'failed', failure)
end

local function holds(stream, entry, worker)
  return #redis.call('XPENDING', stream, GROUP, entry, entry, 1, worker) > 0
end

-- An entry put under nobody's name with a lease that ran out long ago goes before all new ones. The empty entry is there to
-- wake one of the workers that wait for a new one.
local function hand_back(stream, entry)
  redis.call('XCLAIM', stream, GROUP, NOBODY, 0, entry, 'TIME', 0, 'JUSTID')
  redis.call('XADD', stream, '*', 'job', '', 'task', '')
end

-- What a worker's claim is still worth. A deleted job was cancelled first, so its workers are told just that.
-- Gives the standing and, to the owner, the task's row, stream and entry.
local function standing(job, task, worker, token)
  local plan, row = plan_of(job), row_of(job, task)
  if redis.call('EXISTS', row) == 0 then return 'cancelled' end
  if redis.call('HGET', plan, 'token:' .. task) ~= token then return 'lost' end
  if redis.call('HGET', row, 'state') == 'cancelled' then return 'cancelled' end
  local entry = redis.call('HGET', plan, 'entry:' .. task)
  local stream = key('pool', redis.call('HGET', row, 'pool'))
  if not entry or not holds(stream, entry, worker) then return 'lost' end
  return 'owned', row, stream, entry
end

local function resolved(job, task)
  local found = {}
  for _, need in ipairs(cjson.decode(redis.call('HGET', plan_of(job), 'needs:' .. task))) do
    table.insert(found, need)
    table.insert(found, redis.call('HGET', row_of(job, need), 'outputs'))
  end
  return found
end

local function run(job, task, worker, token)
  local row = move_task(job, task, 'running')
  local attempt = redis.call('HINCRBY', row, 'attempt', 1)
  redis.call('HSET', row, 'worker', worker, 'started_at', now())
  redis.call('HSET', plan_of(job), 'token:' .. task, token)
  if redis.call('HGET', key('job', job), 'state') == 'queued' then
    move(JOB_MOVES, key('job', job), 'in_progress')
    redis.call('HSET', key('job', job), 'started_at', now())
    emit(job, 'job.in_progress', '{}')
  end
  return {job, redis.call('HGET', plan_of(job), 'spec:' .. task), attempt, resolved(job, task)}
end

-- Starts the task of an entry that `worker` holds. 'skipped' if there is nothing to run.
local function begin(stream, entry, worker, token, attempts, exhausted)
  local job, task = entry[2][2], entry[2][4]
  if redis.call('HGET', plan_of(job), 'entry:' .. task) ~= entry[1] then
    settle(stream, entry[1])
    return 'skipped'
  end
  local row = row_of(job, task)
  local lapsed = redis.call('HGET', row, 'state') == 'running'
  if lapsed and tonumber(redis.call('HGET', row, 'attempt')) >= tonumber(attempts) then
    fail_task(job, task, exhausted)
    return 'skipped'
  end
  return run(job, task, worker, token)
end

local function snapshot(job)
  local record = redis.call('HGETALL', key('job', job))
  if #record == 0 then return false end
  local rows = {}
  for i, task in ipairs(cjson.decode(redis.call('HGET', plan_of(job), 'tasks'))) do
    rows[i] = redis.call('HGETALL', row_of(job, task))
  end
  return {record, redis.call('HGET', plan_of(job), 'result'), rows}
end

-- Forgets a worker, and its name in the groups unless a task is still under that name.
local function withdraw(worker)
  local pools = redis.call('HGET', key('serves'), worker)
  for _, pool in ipairs(pools and cjson.decode(pools) or {}) do
    local stream = open(pool)
    if #redis.call('XPENDING', stream, GROUP, '-', '+', 1, worker) == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, worker)
    end
  end
  redis.call('HDEL', key('serves'), worker)
  redis.call('ZREM', key('workers'), worker)
end

local function withdraw_silent()
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('workers'), '-inf', now())) do withdraw(worker) end
end
