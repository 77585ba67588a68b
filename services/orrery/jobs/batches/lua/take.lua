local due = redis.call('ZRANGEBYSCORE', key('batches', 'due'), '-inf', now, 'LIMIT', 0, 1)
if #due == 0 then return false end
redis.call('ZADD', key('batches', 'due'), now + ARGV[1], due[1])
return snapshot(due[1])
