local over = redis.call('ZRANGEBYSCORE', key('batches', 'ended'), '-inf', ARGV[1], 'LIMIT', 0, 1000)
for _, batch in ipairs(over) do
  local tenant = cjson.decode(redis.call('HGET', row_of(batch), 'order')).tenant
  redis.call('DEL', row_of(batch))
  redis.call('ZREM', key('batches', 'of', tenant), batch)
  redis.call('ZREM', key('batches', 'ended'), batch)
end
return #over
