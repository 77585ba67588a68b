-- The orders and pages of the batches that have not ended.
local found = {}
for i, batch in ipairs(redis.call('ZRANGE', key('batches', 'due'), 0, -1)) do
  found[i] = {redis.call('HGET', row_of(batch), 'order'), redis.call('HVALS', row_of(batch) .. ':pages')}
end
return found
