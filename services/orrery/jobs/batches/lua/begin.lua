local batch, most, most_open, in_progress = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local row = row_of(batch)
if redis.call('HGET', row, 'state') ~= in_progress then return {} end
local line = tonumber(redis.call('HGET', row, 'begun') or 0)
local total = tonumber(redis.call('HGET', row, 'total'))
local room, begun = most_open - redis.call('HLEN', row .. ':open'), {}
while line < total and #begun < most and #begun < room do
  line = line + 1
  if redis.call('HEXISTS', row .. ':settled', line) == 0 then
    redis.call('HSET', row .. ':open', line, 0)
    table.insert(begun, line)
  end
end
redis.call('HSET', row, 'begun', line)
return begun
