-- The order of waiting tasks: weighted turns of the classes, in each turns of the tenants, of a tenant the oldest ticket.
-- Who claims from several pools is given their tasks as if they stood in one line.

local function queue_of(pool, class, tenant) return key('queue', pool, class, tenant) end
local function stage_of(pool) return string.match(pool, '^[^/]*') end

local function new_place() return redis.call('INCR', key('places')) end

-- Credit is in thousandths of a task of average price. A tenant has one account and one place in all pools of a stage, so
-- that one of them gives it no turn more than the other; without a seat in any of them it has none.
local function join_ring(pool, class, tenant)
  local ring, stage = key('ring', pool, class), stage_of(pool)
  if redis.call('ZSCORE', ring, tenant) then return end
  if redis.call('HINCRBY', key('seats', stage, class), tenant, 1) == 1 then
    redis.call('HSET', key('credit', stage, class), tenant, 1000)
    redis.call('HSET', key('place', stage, class), tenant, new_place())
  end
  redis.call('ZADD', ring, get(key('place', stage, class), tenant), tenant)
end

local function leave_ring(pool, class, tenant)
  local stage = stage_of(pool)
  redis.call('ZREM', key('ring', pool, class), tenant)
  if add(key('seats', stage, class), tenant, -1) == 0 then
    redis.call('HDEL', key('credit', stage, class), tenant)
    redis.call('HDEL', key('place', stage, class), tenant)
  end
end

local function waiting_of(pool, class) return number(key('queued'), class .. ' ' .. pool) end

-- With its last task a class forgets whose turn it was.
local function count_waiting(pool, class, by)
  redis.call('HINCRBY', key('waiting'), pool, by)
  if add(key('queued'), class .. ' ' .. pool, by) == 0 then
    for _, tenant in ipairs(redis.call('ZRANGE', key('ring', pool, class), 0, -1)) do leave_ring(pool, class, tenant) end
  end
end

local function put_in_line(pool, class, tenant, member, ticket)
  redis.call('ZADD', queue_of(pool, class, tenant), ticket, member)
  join_ring(pool, class, tenant)
  count_waiting(pool, class, 1)
  redis.call('XADD', key('bell', pool), 'MAXLEN', 1, '*', 'task', member)
end

-- The tenant stays in the ring until its turn comes.
local function take_from_line(pool, class, tenant, member)
  if redis.call('ZREM', queue_of(pool, class, tenant), member) == 1 then count_waiting(pool, class, -1) end
end

-- Whether a displaced task left its turn to an interactive one of the pools. The turn of those that are gone lapses.
local function owes_turn(pools)
  for _, pool in ipairs(pools) do
    if number(key('owed'), pool) > 0 then
      if waiting_of(pool, CLASSES[1]) > 0 then
        add(key('owed'), pool, -1)
        return true
      end
      redis.call('HDEL', key('owed'), pool)
    end
  end
end

local function any_waiting(pools, class)
  for _, pool in ipairs(pools) do
    if waiting_of(pool, class) > 0 then return true end
  end
end

-- Smooth weighted round-robin: of the classes with work the one that is furthest behind its share. Each set of pools that is
-- claimed from keeps its own turns: the shares are exact for everyone, whatever others serve beside the same pool.
local function next_class(pools)
  if owes_turn(pools) then return CLASSES[1] end
  local turns, names = key('turns'), {unpack(pools)}
  table.sort(names)
  local union = ' ' .. table.concat(names, ' ')
  local best, most, total = nil, nil, 0
  for i, class in ipairs(CLASSES) do
    if any_waiting(pools, class) then
      local behind = redis.call('HINCRBY', turns, class .. union, WEIGHTS[i])
      total = total + WEIGHTS[i]
      if not best or behind > most then best, most = class, behind end
    else
      redis.call('HDEL', turns, class .. union)
    end
  end
  if best then redis.call('HINCRBY', turns, best .. union, -total) end
  return best
end

-- The lowest member of the sorted sets that `name` gives for the pools, and its pool.
local function first_of(pools, name)
  local found, lowest, where
  for _, pool in ipairs(pools) do
    local head = redis.call('ZRANGE', name(pool), 0, 0, 'WITHSCORES')
    if head[1] and (not found or tonumber(head[2]) < lowest) then found, lowest, where = head[1], tonumber(head[2]), pool end
  end
  return found, where
end

local function first_in_rings(pools, class)
  return first_of(pools, function(pool) return key('ring', pool, class) end)
end

local function to_the_end(pools, pool, class, tenant)
  local place = new_place()
  redis.call('HSET', key('place', stage_of(pool), class), tenant, place)
  for _, other in ipairs(pools) do redis.call('ZADD', key('ring', other, class), 'XX', place, tenant) end
end

-- Deficit round-robin: the first of the rings that can pay for one task. Who cannot, or no longer can, goes to the end with
-- credit for one more.
local function next_tenant(pools, class)
  while true do
    local tenant, pool = first_in_rings(pools, class)
    if redis.call('EXISTS', queue_of(pool, class, tenant)) == 0 then
      leave_ring(pool, class, tenant)
    else
      local credits = key('credit', stage_of(pool), class)
      local credit = number(credits, tenant)
      if credit < 2000 then
        to_the_end(pools, pool, class, tenant)
      else
        redis.call('HINCRBY', credits, tenant, -1000)
      end
      if credit < 1000 then redis.call('HINCRBY', credits, tenant, 1000) else return tenant end
    end
  end
end

local function next_in_line(pools)
  local class = next_class(pools)
  if not class then return nil end
  local tenant = next_tenant(pools, class)
  local member, pool = first_of(pools, function(pool) return queue_of(pool, class, tenant) end)
  redis.call('ZREM', queue_of(pool, class, tenant), member)
  count_waiting(pool, class, -1)
  return member
end

-- Once a task's price is known, its tenant is charged what it cost above the stage's average, or given back what it cost
-- below. Whose turn it is in the pools that the task was claimed from gets nothing back: tasks that cost nothing would let
-- the turn last for ever.
local function charge(pools, pool, class, tenant, seconds)
  local stage = stage_of(pool)
  local mean = average(key('price'), stage, seconds, PRICE_SMOOTHING)
  local credits = key('credit', stage, class)
  local credit = tonumber(get(credits, tenant) or nil)
  if mean <= 0 or not credit then return end
  local above = math.floor(1000 * (seconds / mean - 1) + 0.5)
  if above < 0 and first_in_rings(pools, class) == tenant then return end
  redis.call('HSET', credits, tenant, math.max(-MOST_CREDIT, math.min(credit - above, MOST_CREDIT)))
end
