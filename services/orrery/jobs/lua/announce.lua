local worker, seconds, pools = ARGV[1], ARGV[2], ARGV[3]
withdraw_silent()
if pools == '[]' then return withdraw(worker) end
redis.call('ZADD', key('workers'), later(seconds), worker)
redis.call('HSET', key('serves'), worker, pools)
