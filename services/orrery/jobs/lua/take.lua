-- A task of the pools: one whose lease ran out, else the next in line over all of them. Without either, the seconds until a
-- lease can run out and, for each pool, the last ring of its bell: who waits for a later one misses nothing.
local pools, worker, token, lease, attempts = cjson.decode(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local exhausted = cjson.decode(ARGV[6])

-- A client that lost the answer asks again.
local mine = redis.call('HGET', key('tokens'), token)
if mine then return {1, claimed(ids_of(mine))} end

local function lapsed(pool)
  while true do
    local member = redis.call('ZRANGEBYSCORE', key('held', pool), '-inf', now(), 'LIMIT', 0, 1)[1]
    if not member then return nil end
    local job, task = ids_of(member)
    local row = row_of(job, task)
    redis.call('HINCRBY', row, 'leases_lost', 1)
    count('leases_lost', pool)
    if number(row, 'attempt') < attempts then return member end
    redis.call('ZADD', key('dead'), now(), job)
    count('dead_letters', pool)
    end_task(job, task, 'failed')
    end_job(job, 'failed', exhausted[pool])
  end
end

local function any_lapsed()
  for _, pool in ipairs(pools) do
    local member = lapsed(pool)
    if member then return member end
  end
end

local member = any_lapsed() or next_in_line(pools)
if member then
  local job, task = ids_of(member)
  return {1, run(job, task, worker, token, lease, ARGV[1])}
end

local patience, rings = '', {}
for i, pool in ipairs(pools) do
  local first = redis.call('ZRANGE', key('held', pool), 0, 0, 'WITHSCORES')[2]
  if first then
    local left = tonumber(first) - tonumber(now())
    if patience == '' or left < patience then patience = left end
  end
  local last = redis.call('XREVRANGE', key('bell', pool), '+', '-', 'COUNT', 1)[1]
  rings[i] = last and last[1] or '0-0'
end
return {0, tostring(patience), rings}
