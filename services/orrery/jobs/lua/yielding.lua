-- Running batch tasks make room for interactive ones of their stage.

-- The workers that announced themselves for the pool.
local function workers_at(pool)
  local found = {}
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('workers'), '(' .. now(), '+inf')) do
    for _, served in ipairs(cjson.decode(get(key('serves'), worker))) do
      if served == pool then found[worker] = true end
    end
  end
  return found
end

-- How many of the workers hold nothing of the stage. A stage does one task at a time.
local function idle_workers(workers, stage)
  local idle = 0
  for worker in pairs(workers) do
    if number(key('busy'), worker .. ' ' .. stage) == 0 then idle = idle + 1 end
  end
  return idle
end

-- Of the tasks that may be displaced the one that was least often: of the pool, or of a worker that serves the pool too.
local function victim_for(pool, stage, workers)
  for _, member in ipairs(redis.call('ZRANGE', key('preemptable', stage), 0, -1)) do
    local held = redis.call('HMGET', row_of(ids_of(member)), 'pool', 'worker')
    if held[1] == pool or workers[held[2]] then return member end
  end
end

-- Tells a running batch task to yield if more interactive tasks wait than hands are free or about to be.
local function preempt(pool, stage)
  if redis.call('EXISTS', key('preemptable', stage)) == 0 then return end
  local workers = workers_at(pool)
  local coming = number(key('coming'), pool) + number(key('owed'), pool)
  if waiting_of(pool, CLASSES[1]) <= coming + idle_workers(workers, stage) then return end
  local victim = victim_for(pool, stage, workers)
  if not victim then return end
  redis.call('ZREM', key('preemptable', stage), victim)
  redis.call('HSET', key('yielding'), victim, pool)
  add(key('coming'), pool, 1)
  signal('preempt', ids_of(victim))
end

local function no_longer_yields(member, stage)
  redis.call('ZREM', key('preemptable', stage), member)
  local pool = get(key('yielding'), member)
  if pool then
    redis.call('HDEL', key('yielding'), member)
    add(key('coming'), pool, -1)
  end
end
