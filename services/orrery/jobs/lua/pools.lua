withdraw_silent()
return {
  redis.call('HGETALL', key('waiting')),
  redis.call('HGETALL', key('running')),
  redis.call('HVALS', key('serves')),
}
