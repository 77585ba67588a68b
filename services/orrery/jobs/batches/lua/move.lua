-- The one writer of a batch's state. The rest of ARGV are facts: names and values.
local batch, state = ARGV[1], ARGV[2]
local row = row_of(batch)
local old = redis.call('HGET', row, 'state')
if not old or not MOVES[old][state] then return 0 end
redis.call('HSET', row, 'state', state, 'at:' .. state, now)
if #ARGV > 2 then redis.call('HSET', row, unpack(ARGV, 3)) end
redis.call('ZADD', key('batches', 'due'), now, batch)
if next(MOVES[state]) == nil then
  redis.call('ZREM', key('batches', 'due'), batch)
  redis.call('ZADD', key('batches', 'ended'), now, batch)
  redis.call('DEL', row .. ':pages', row .. ':open', row .. ':settled')
end
return 1
