local worker, seconds, pools = ARGV[1], tonumber(ARGV[2]), ARGV[3]
withdraw_silent()
if pools == '[]' then return withdraw(worker) end
redis.call('ZADD', key('workers'), string.format('%.6f', tonumber(now()) + seconds), worker)
redis.call('HSET', key('serves'), worker, pools)
