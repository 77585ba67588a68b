-- The hashes of the kinds that are asked for, and how many jobs are dead.
local found = {}
for i, kind in ipairs(ARGV) do found[i] = redis.call('HGETALL', key('incidents', kind)) end
return {found, redis.call('ZCARD', key('dead'))}
