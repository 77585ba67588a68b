-- After the page come pairs: a line and its outcome.
local batch, validating, first, page = unpack(ARGV, 1, 4)
local row = row_of(batch)
if redis.call('HGET', row, 'state') ~= validating then return 0 end
redis.call('HSET', row .. ':pages', first, page)
for i = 5, #ARGV, 2 do redis.call('HSET', row .. ':settled', ARGV[i], ARGV[i + 1]) end
return 1
