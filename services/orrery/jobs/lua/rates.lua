return {redis.call('HGETALL', key('served')), redis.call('HGETALL', key('pace'))}
