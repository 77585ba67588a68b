local batch, line, jobs = unpack(ARGV)
local row = row_of(batch)
if redis.call('HEXISTS', row .. ':open', line) == 1 then redis.call('HSET', row .. ':open', line, jobs) end
return redis.call('HGET', row, 'state')
