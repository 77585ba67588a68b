-- The place of a job in the queue. Stands before the scripts that ask for it.

local function next_queued(job)
  for _, task in ipairs(tasks_of(job)) do
    if get(row_of(job, task), 'state') == 'queued' then return task end
  end
end

-- Those who come before it in the ring get a turn more than those who come after.
local function ahead_in_class(pool, class, tenant, rank)
  local ahead, turns = rank, rank + 1
  for _, other in ipairs(redis.call('ZRANGE', key('ring', pool, class), 0, -1)) do
    if other == tenant then
      turns = rank
    else
      ahead = ahead + math.min(turns, redis.call('ZCARD', queue_of(pool, class, other)))
    end
  end
  return ahead
end

local function ahead_in_others(pool, class, ahead)
  local weight, more = 1, 0
  for i, other in ipairs(CLASSES) do
    if other == class then weight = WEIGHTS[i] end
  end
  for i, other in ipairs(CLASSES) do
    local share = math.floor((ahead + 1) * WEIGHTS[i] / weight)
    if other ~= class then more = more + math.min(share, waiting_of(pool, other)) end
  end
  return more
end

-- Tasks that its pool hands out before this one. Who serves other pools as well may take of those in between.
local function place_of(job, task)
  local class, tenant = whose(job)
  local pool = get(row_of(job, task), 'pool')
  local rank = redis.call('ZRANK', queue_of(pool, class, tenant), member_of(job, task))
  local ahead = ahead_in_class(pool, class, tenant, rank)
  return redis.call('ZCOUNT', key('held', pool), '-inf', now()) + ahead + ahead_in_others(pool, class, ahead)
end

-- -1 if nothing of the job is queued.
local function position_of(job)
  local task = next_queued(job)
  return task and place_of(job, task) or -1
end
