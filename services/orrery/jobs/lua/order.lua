-- The order of waiting tasks: weighted turns of the classes, in each turns of the tenants, of a tenant the oldest ticket.

local function queue_of(pool, class, tenant) return key('queue', pool, class, tenant) end

-- Credit is in thousandths of a task of average price. A tenant with nothing waiting has no account.
local function join_ring(pool, class, tenant)
  if redis.call('HSETNX', key('credit', pool, class), tenant, 1000) == 1 then
    redis.call('RPUSH', key('ring', pool, class), tenant)
  end
end

local function waiting_of(pool, class) return number(key('queued'), class .. ' ' .. pool) end

-- With its last task a class forgets whose turn it was.
local function count_waiting(pool, class, by)
  redis.call('HINCRBY', key('waiting'), pool, by)
  if redis.call('HINCRBY', key('queued'), class .. ' ' .. pool, by) == 0 then
    redis.call('HDEL', key('queued'), class .. ' ' .. pool)
    redis.call('DEL', key('ring', pool, class), key('credit', pool, class))
  end
end

local function put_in_line(pool, class, tenant, member, ticket)
  redis.call('ZADD', queue_of(pool, class, tenant), ticket, member)
  join_ring(pool, class, tenant)
  count_waiting(pool, class, 1)
  redis.call('XADD', key('bell', pool), 'MAXLEN', 1, '*', 'task', member)
end

-- The tenant stays in the ring until its turn comes: looking for it there would cost more the more tenants wait.
local function take_from_line(pool, class, tenant, member)
  if redis.call('ZREM', queue_of(pool, class, tenant), member) == 1 then count_waiting(pool, class, -1) end
end

-- Smooth weighted round-robin: of the classes with work the one that is furthest behind its share.
local function next_class(pool)
  local turns = key('turns')
  if number(key('owed'), pool) > 0 then
    if waiting_of(pool, CLASSES[1]) > 0 then
      add(key('owed'), pool, -1)
      return CLASSES[1]
    end
    redis.call('HDEL', key('owed'), pool)
  end
  local best, most, total = nil, nil, 0
  for i, class in ipairs(CLASSES) do
    local field = class .. ' ' .. pool
    if waiting_of(pool, class) > 0 then
      local behind = redis.call('HINCRBY', turns, field, WEIGHTS[i])
      total = total + WEIGHTS[i]
      if not best or behind > most then best, most = class, behind end
    else
      redis.call('HDEL', turns, field)
    end
  end
  if best then redis.call('HINCRBY', turns, best .. ' ' .. pool, -total) end
  return best
end

-- Deficit round-robin: the first of the ring that can pay for one task. Who cannot, or no longer can, goes to the end with
-- credit for one more.
local function next_tenant(pool, class)
  local ring, credits = key('ring', pool, class), key('credit', pool, class)
  while true do
    local tenant = redis.call('LINDEX', ring, 0)
    local credit = number(credits, tenant)
    if redis.call('EXISTS', queue_of(pool, class, tenant)) == 0 then
      redis.call('LPOP', ring)
      redis.call('HDEL', credits, tenant)
    else
      if credit < 2000 then
        redis.call('LMOVE', ring, ring, 'LEFT', 'RIGHT')
      else
        redis.call('HINCRBY', credits, tenant, -1000)
      end
      if credit < 1000 then redis.call('HINCRBY', credits, tenant, 1000) else return tenant end
    end
  end
end

local function next_in_line(pool)
  local class = next_class(pool)
  if not class then return nil end
  local member = redis.call('ZPOPMIN', queue_of(pool, class, next_tenant(pool, class)))[1]
  count_waiting(pool, class, -1)
  return member
end

-- Once a task's price is known, its tenant is charged what it cost above the average, or given back what it cost below.
-- Whose turn it is gets nothing back: tasks that cost nothing would let the turn last for ever.
local function charge(pool, class, tenant, seconds)
  local mean = average(key('price'), pool, seconds, PRICE_SMOOTHING)
  local credits = key('credit', pool, class)
  local credit = tonumber(get(credits, tenant) or nil)
  if mean <= 0 or not credit then return end
  local above = math.floor(1000 * (seconds / mean - 1) + 0.5)
  if above < 0 and redis.call('LINDEX', key('ring', pool, class), 0) == tenant then return end
  redis.call('HSET', credits, tenant, math.max(-MOST_CREDIT, math.min(credit - above, MOST_CREDIT)))
end

-- How many of the workers that announced themselves for the pool hold nothing of the stage. A stage does one task at a time.
local function idle_workers(pool, stage)
  local idle = 0
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('workers'), '(' .. now(), '+inf')) do
    if number(key('busy'), worker .. ' ' .. stage) == 0 then
      for _, served in ipairs(cjson.decode(get(key('serves'), worker))) do
        if served == pool then idle = idle + 1 end
      end
    end
  end
  return idle
end

-- Tells a running batch task to yield if more interactive tasks wait than hands are free or about to be.
local function preempt(pool, stage)
  local preemptable, yielding = key('preemptable', pool), key('yielding', pool)
  local victim = redis.call('ZRANGE', preemptable, 0, 0)[1]
  if not victim then return end
  local coming = redis.call('SCARD', yielding) + number(key('owed'), pool)
  if waiting_of(pool, CLASSES[1]) <= coming + idle_workers(pool, stage) then return end
  redis.call('ZREM', preemptable, victim)
  redis.call('SADD', yielding, victim)
  signal('preempt', ids_of(victim))
end
