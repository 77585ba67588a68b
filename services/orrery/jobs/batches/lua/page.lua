-- The latest first.
local tenant, after, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local all = key('batches', 'of', tenant)
local from = '+inf'
if after ~= '' then from = '(' .. (redis.call('ZSCORE', all, after) or '-inf') end
local found = {}
for i, batch in ipairs(redis.call('ZREVRANGEBYSCORE', all, from, '-inf', 'LIMIT', 0, limit + 1)) do found[i] = snapshot(batch) end
return found
