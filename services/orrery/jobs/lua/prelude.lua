-- Stands before every script, after the constants that scripts.py derives from the Python side.
--
--   job:<id>             hash    the record
--   job:<id>:plan        hash    tasks, result, remaining, retention, version; per task spec, needs, left, followers, promised, and
--                                while they apply ticket, token, checkpoint, at (the last step reported), asked (the
--                                pools that it was claimed from), waited (seconds before that, unless it was taken over)
--   job:<id>:task:<id>   hash    the task's record
--   job:<id>:preview     hash    note, media_type, image, and untold until an event told of it; while the job runs
--   job:<id>:events      stream  the job's share of `events`, under the same ids
--   jobs, jobs:<tenant>  zset    ids by order of submission
--   expiring, dead       zset    ended jobs by when they expire; jobs that lost all attempts by when they ended
--   idempotency:<digest> string  what an idempotency key stands for
--   queue:<pool>:<class>:<tenant>   zset  queued tasks by ticket
--   ring:<pool>:<class>  zset    tenants by the place of their turns
--   credit, place, seats:<stage>:<class>  hash  of tenants: what each may still take, its latest place, its rings
--   held:<pool>          zset    running tasks by when their lease runs out
--   preemptable:<stage>  zset    running tasks that may be displaced, by how often they were
--   yielding, coming     hash    the pool that each task told to yield makes room for; per pool, how many do
--   bell:<pool>          stream  one entry, replaced whenever a task is queued: claims that found nothing wait for it
--   waiting, running     hash    number of tasks per pool; queued per pool and class; turns, per set of pools and class,
--                                how far the class is behind
--   owed                 hash    per pool, turns that displaced tasks left to interactive ones
--   backlog, burden      hash    tasks not yet started, of pools and of tenants
--   busy                 hash    tasks held by worker and stage
--   served, pace         hash    per pool: tasks done, seconds that one holds a worker
--   price                hash    per stage: seconds that a task is charged
--   incidents:<kind>     hash    per pool, how often it happened: leases_lost, retries, preemptions, dead_letters
--   tokens               hash    the running task of each token
--   workers, serves      zset, hash    when a worker goes silent, and its pools
--   events, signals      streams
--   sequence, tickets, places, versions    counters

local root = KEYS[1] -- the hash tag: every key lies in its slot

local function key(...)
  return table.concat({root, ...}, ':')
end

local function plan_of(job) return key('job', job, 'plan') end
local function row_of(job, task) return key('job', job, 'task', task) end

-- A task's name in sets. Neither id holds a line break.
local function member_of(job, task) return job .. '\n' .. task end
local function ids_of(member) return string.match(member, '^(.-)\n(.*)$') end

-- A job has another version after every script that wrote to its hashes, whatever it wrote: no script has to think of it.
local server, versioned = redis, {}
local CHANGES = {HSET = true, HDEL = true, HINCRBY = true}

local redis = setmetatable({
  call = function(...)
    local command, name = ...
    local job = CHANGES[command] and string.match(name, '^{[^}]*}:job:([^:]+)')
    if job and not versioned[job] then
      versioned[job] = true
      server.call('HSET', plan_of(job), 'version', server.call('INCR', key('versions')))
    end
    return server.call(...)
  end
}, {__index = server})

local function get(hash, field) return redis.call('HGET', hash, field) end
local function number(hash, field) return tonumber(redis.call('HGET', hash, field) or 0) end

local function now()
  local time = redis.call('TIME')
  return string.format('%d.%06d', time[1], time[2])
end

local function later(seconds) return string.format('%.6f', tonumber(now()) + tonumber(seconds)) end

local function emit(job, kind, data)
  local fields = {'job', job, 'type', kind, 'at', now(), 'data', data}
  local id = redis.call('XADD', key('events'), 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(fields))
  redis.call('XADD', key('job', job, 'events'), 'MAXLEN', '~', JOB_EVENTS_KEPT, id, unpack(fields))
end

local function signal(kind, job, task)
  redis.call('XADD', key('signals'), 'MAXLEN', '~', SIGNALS_KEPT, '*', 'kind', kind, 'job', job, 'task', task or '')
end

-- Fields that came to nothing are dropped, so that tenants and workers that are gone leave no trace.
local function add(hash, field, by)
  local sum = redis.call('HINCRBY', hash, field, by)
  if sum == 0 then redis.call('HDEL', hash, field) end
  return sum
end

local function count(kind, pool) redis.call('HINCRBY', key('incidents', kind), pool, 1) end

local function average(hash, field, value, smoothing)
  local old = get(hash, field)
  local new = old and tonumber(old) + smoothing * (value - tonumber(old)) or value
  redis.call('HSET', hash, field, string.format('%.17g', new))
  return new
end

local function move(moves, row, state)
  local old = get(row, 'state')
  if not moves[old][state] then error(row .. ' may not go from ' .. old .. ' to ' .. state) end
  redis.call('HSET', row, 'state', state)
  return old
end

local function tasks_of(job) return cjson.decode(get(plan_of(job), 'tasks')) end

-- As one string: clients read many small ones slowly.
local function snapshot(job)
  local record = redis.call('HGETALL', key('job', job))
  if #record == 0 then return false end
  local rows = {}
  for i, task in ipairs(tasks_of(job)) do rows[i] = redis.call('HGETALL', row_of(job, task)) end
  return cjson.encode({record, get(plan_of(job), 'result'), rows})
end
