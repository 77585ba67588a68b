return redis.call('ZRANGEBYSCORE', key('expiring'), '-inf', now(), 'LIMIT', 0, ARGV[1])
