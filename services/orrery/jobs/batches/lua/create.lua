local batch, tenant, order, state, created_at = unpack(ARGV)
local row = row_of(batch)
if redis.call('EXISTS', row) == 0 then
  redis.call('HSET', row, 'order', order, 'state', state, 'at:' .. state, created_at)
  redis.call('ZADD', key('batches', 'of', tenant), redis.call('INCR', key('batches', 'sequence')), batch)
  redis.call('ZADD', key('batches', 'due'), now, batch)
end
return snapshot(batch)
